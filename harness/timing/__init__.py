"""pytest-benchmark: its timer, its records under xdist, and the gates on a baseline.

May import `hardware` and the modules beside this package.
"""
