"""Faults of all kinds at random times in the midst of real trainings, and `--resume` afterwards."""
