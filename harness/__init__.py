"""pytest's side: options, leases, the store of trainings, timings, tables, the report.

`conftest.py` names the plugins in here; `bench` uses their fixtures, and nothing in here
knows which exercises there are.
"""
