"""The machine: leases on its cores and GPUs, its description, roofline bounds and engine speeds.

May import `model` and the modules beside this package.
"""
