"""Faults of all kinds at random times during real trainings, with `--resume` afterwards."""
