pytest_plugins = ["harness.entry"]
