"""pytest-benchmark: its timer, its records under xdist, and the machine in its files.

May import `hardware` and the modules beside this package.
"""
