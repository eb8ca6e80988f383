"""Tables of one or many report folders, for pandas or polars."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..report.load import load_run
from .columns import TABLES, Table, table_of

_LIBRARIES = ("pandas", "polars")
# Text is text with any version of pandas; whole numbers and truths may be missing.
_PANDAS = {"text": "string", "whole": "Int64", "number": "float64", "truth": "boolean"}
_POLARS = {"text": "String", "whole": "Int64", "number": "Float64", "truth": "Boolean"}


def read_frame(
    folders: str | Path | Sequence[str | Path], table: str = "results", library: str | None = None
) -> Any:
    """Returns a table of one or more report folders as a data frame.

    `table` is "results" or "curves"; `library` is "pandas" or "polars", by default the first of the two
    that is installed. The table is made from the report's checked files, so that folders without CSV
    files have one, too. Raises ValueError for another table, a folder without a report, or if the
    library is not installed; the message is one line.
    """
    if table not in TABLES:
        raise ValueError(f"table is {table!r}; expected {' or '.join(TABLES)}")
    if library is not None and library not in _LIBRARIES:
        raise ValueError(f"library is {library!r}; expected {' or '.join(_LIBRARIES)}")
    module = _imported(library)
    paths = [folders] if isinstance(folders, str | Path) else folders
    found = _joined([table_of(load_run(Path(path)), table) for path in paths])
    values = found.values()
    if module.__name__ == "pandas":
        return module.DataFrame(
            {name: module.array(each, _PANDAS[found.columns[name]]) for name, each in values.items()}
        )
    schema = {name: getattr(module, _POLARS[kind]) for name, kind in found.columns.items()}
    return module.DataFrame(values, schema=schema)


def _joined(tables: Sequence[Table]) -> Table:
    """Returns one table with the columns and rows of all; a column that a table lacks is None there."""
    columns = {name: kind for table in tables for name, kind in table.columns.items()}
    rows = []
    for table in tables:
        names = [*table.columns]
        places = [names.index(name) if name in table.columns else None for name in columns]
        rows += [tuple(None if at is None else row[at] for at in places) for row in table.rows]
    return Table(columns, rows)


def _imported(library: str | None) -> Any:
    """Returns the library's module. Raises ValueError if it is not installed."""
    for name in _LIBRARIES if library is None else (library,):
        try:
            return import_module(name)
        except ImportError:
            continue
    if library is not None:
        raise ValueError(f"{library} is not installed; install it with `pip install {library}`")
    raise ValueError("neither pandas nor polars is installed; install one with `pip install pandas`")
