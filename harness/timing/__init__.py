"""pytest-benchmark: the timer it is given, its records under xdist, and the gates on a baseline.

May import `hardware` and the modules beside this package.
"""
