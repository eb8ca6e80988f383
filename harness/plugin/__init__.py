"""What pytest loads: the suite's options, fixtures and session. `conftest.py` names this package.

May import everything else in `harness`; nothing else imports it.
"""

pytest_plugins = [
    "harness.plugin.options",
    "harness.timing.timer",
    "harness.timing.durations",
    "harness.timing.xdist_bridge",
    "harness.timing.session_rows",
    "harness.timing.storage",
    "harness.timing.outputs",
    "harness.gates.plugin",
    "harness.timing.machine_info",
    "harness.plugin.fixtures",
    "harness.plugin.claims",
    "harness.plugin.mnist_figures",
    "harness.plugin.session",
    "harness.plugin.shutdown",
    "harness.plugin.preconditions",  # the last, as pytest calls the last one's hooks first
]
