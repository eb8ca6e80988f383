"""The tables in a report folder: `results.csv`, `curves.csv`, and `results.parquet` with pyarrow."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ..atomic_json import write_text
from ..report.load import load_run
from .columns import Table, Value, curves_table, results_table


def write_tables(folder: Path) -> None:
    """Writes the tables of the run in `folder`.

    Raises OSError if one cannot be written, and ReportError if the folder has no run.
    """
    run = load_run(folder)
    results = results_table(run)
    write_text(folder / "results.csv", to_csv(results))
    write_text(folder / "curves.csv", to_csv(curves_table(run)))
    with suppress(ImportError):  # it is not installed, or not for this machine
        _write_parquet(folder / "results.parquet", results)


def to_csv(table: Table) -> str:
    """Returns the table as CSV with a header (RFC 4180, but with line feeds); None is an empty field.

    Truths are `true` and `false`, floats are written in full, and infinite ones as `inf`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_field(value) for value in row] for row in table.rows)
    return text.getvalue()


def _field(value: Value) -> Value:
    return str(value).lower() if isinstance(value, bool) else value


def _write_parquet(path: Path, table: Table) -> None:
    """Writes the table atomically; readers see the old file or the new one."""
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    kinds = {
        "text": pyarrow.string(),
        "whole": pyarrow.int64(),
        "number": pyarrow.float64(),
        "truth": pyarrow.bool_(),
    }
    columns = {
        name: pyarrow.array(values, kinds[table.columns[name]])
        for name, values in table.values().items()
    }
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:  # pyarrow takes no path that is not UTF-8
            parquet.write_table(pyarrow.table(columns), file)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
