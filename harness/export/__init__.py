"""A report folder's results for other programs: tables, frames, and the formats of services.

columns    what a table's columns mean, and their values from a run
tables     `results.csv`, `curves.csv` and `results.parquet` in a report folder
frames     tables of one or many report folders for pandas or polars
services   the formats of services that keep and gate results
curve_events   learning curves and hyperparameters for TensorBoard

from harness.export import read_frame, read_network
results = read_frame("reports/latest")
accuracy = read_network("reports/latest/weights/....safetensors").evaluate()
"""

from ..files.weights import read_network
from .curve_events import write_events
from .frames import read_frame

__all__ = ["read_frame", "read_network", "write_events"]
