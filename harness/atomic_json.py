"""JSON files: whole or not there, and strict, infinities and NaN included."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, content: Any) -> None:
    """Writes `content` to `path` as one act: readers see the old file or the new, never a part.

    JSON has no infinities and no NaN. They are written as the strings "Infinity",
    "-Infinity" and "NaN", which `float()` reads back as what they were.
    """
    text = json.dumps(_strict(content), indent=1, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as one act."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's files are for their owner alone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: Path) -> Any:
    """What `write` wrote; numbers that are not finite are still strings."""
    return json.loads(path.read_text(encoding="utf-8"))


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
