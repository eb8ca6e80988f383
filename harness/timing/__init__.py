"""pytest-benchmark: its timer, its records under xdist, its storage, and the machine in its files."""
