"""The machine: leases on its cores and GPUs, its description, and what disturbs it."""
