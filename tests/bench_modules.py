"""Modules of `bench/`, for tests whose process also runs miniature suites with such a package."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from types import ModuleType


@cache
def bench_module(name: str) -> ModuleType:
    """Returns the module `bench.NAME`, without leaving `bench` among the imported packages."""
    try:
        return importlib.import_module(f"bench.{name}")
    finally:
        for imported in [each for each in sys.modules if each.partition(".")[0] == "bench"]:
            del sys.modules[imported]
