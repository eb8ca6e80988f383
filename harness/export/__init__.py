"""A report folder's results for other programs: tables, frames, and the formats of services.

columns    what a table's columns mean, and their values from a run
tables     `results.csv`, `curves.csv` and `results.parquet` in a report folder
frames     tables of one or many report folders for pandas or polars
services   the formats of services that keep and gate results

from harness.export import read_frame
results = read_frame("reports/latest")
"""

from .frames import read_frame

__all__ = ["read_frame"]
