"""JSON files, written atomically, in strict JSON that keeps infinities and NaN."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, content: Any) -> None:
    """Writes `content` to `path` atomically: a reader sees the old file or the new one, never a part.

    JSON has no infinities and no NaN. They are written as the strings "Infinity", "-Infinity" and
    "NaN", which `float()` converts back.
    """
    text = json.dumps(_to_strict(content), indent=1, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` atomically."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's files are readable by their owner alone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: Path) -> Any:
    """The content of a file that `write` wrote; numbers that are not finite are strings."""
    return json.loads(path.read_text(encoding="utf-8"))


def _to_strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _to_strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_strict(item) for item in value]
    return value
