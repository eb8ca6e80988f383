pytest_plugins = [
    "harness.options",
    "harness.clock",
    "harness.benchmarks",
    "harness.gate",
    "harness.machine",
    "harness.trainings",
    "harness.claims",
    "harness.session",
    "harness.interrupt",
]
