pytest_plugins = ["harness.options", "harness.clock", "harness.trainings", "harness.session"]
