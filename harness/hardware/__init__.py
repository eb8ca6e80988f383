"""The machine: leases on its cores and GPUs, its description, and how fast it takes a step.

May import `model` and the modules beside this package.
"""
