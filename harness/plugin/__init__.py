"""The suite's options, fixtures and session, loaded by `harness.entry` for a study."""

pytest_plugins = [
    "harness.plugin.options",
    "harness.timing.timer",
    "harness.timing.durations",
    "harness.timing.xdist_bridge",
    "harness.timing.session_rows",
    "harness.timing.storage",
    "harness.timing.outputs",
    "harness.timing.benchmark_tables",
    "harness.gates.plugin",
    "harness.history.hooks",
    "harness.timing.machine_info",
    "harness.plugin.shards",
    "harness.plugin.cluster",
    "harness.plugin.fixtures",
    "harness.plugin.claim_looks",
    "harness.plugin.claims",
    "harness.plugin.mnist_figures",
    "harness.plugin.session",
    "harness.plugin.phase_file",
    "harness.plugin.junit_properties",
    "harness.plugin.job_summary",
    "harness.plugin.shutdown",
    "harness.plugin.preconditions",  # last, as pytest calls the last plugin's hooks first
]
