"""The names of the files in `runs/` and `claims/`: readable, and unique by a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def file_name(case: str, key: Mapping[str, Any]) -> str:
    """Returns a file's name, without its suffix, for a node id and the key that its content depends on.

    `bench/test_1_x.py::test_training[row]` gives `test_1_x.row.DIGEST`; other tests and measurements,
    `bench/test_1_x.py::name`, give `test_1_x.name.DIGEST`.
    """
    module, _, test = case.partition("::")
    shown = test.removeprefix("test_training[").removesuffix("]")
    return f"{Path(module).stem}.{shown}.{short_digest([case, key])}"


def short_digest(content: Any) -> str:
    """Returns eight hexadecimal digits of a SHA-256 of `content` as JSON, to make file names unique."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
