"""JSON files that are written atomically, in strict JSON that keeps infinities and NaN."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from model.atomic_file import write_text

__all__ = ["dumps", "read_json", "write_json", "write_text"]


def write_json(path: Path, content: Any) -> None:
    """Writes `content` to `path` atomically: a reader sees the old file or the new one, never a part.

    JSON has no infinities and no NaN. They are written as the strings "Infinity", "-Infinity" and
    "NaN", which `float()` converts back.
    """
    write_text(path, dumps(content))


def dumps(content: Any) -> str:
    """Returns the text that `write_json` writes."""
    return json.dumps(_to_strict(content), indent=1, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Returns the content of a file that `write_json` wrote; numbers that are not finite are strings.

    Use it for files that only the suite itself reads; `files.sealed` checks what it reads.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} cannot be read: it is nested too deeply") from None


def _to_strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _to_strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_strict(item) for item in value]
    return value
