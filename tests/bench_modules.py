"""Modules of `bench/`, for tests whose process also runs miniature suites with such a package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import pytest

EXERCISES = (
    "test_1_minibatch_size",
    "test_2_constant_init",
    "test_3_online_gradient",
    "test_4_adam_vs_sgd",
)


def numbered(cases: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[Any]:
    """Returns parameters (exercise, test, case) of a test for these cases, by exercise and test."""
    return [
        pytest.param(module, test, case, id=f"{module[5:6]}-{test.removeprefix('test_')}-{number}")
        for module, tests in cases.items()
        for test, of_test in tests.items()
        for number, case in enumerate(of_test)
    ]


def call_test(module: ModuleType, name: str, given: dict[str, Any]) -> None:
    """Calls a test of the module with these values of fixtures; its own fixtures get `trained`."""
    function = getattr(module, name)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    own = {
        each: getattr(module, each)._get_wrapped_function()(given["trained"])
        for each in names
        if each not in given
    }
    function(**{each: (given | own)[each] for each in names})


def bench_module(name: str) -> ModuleType:
    """Returns the module `bench.NAME`, without leaving `bench` among the imported packages."""
    return using_bench(f"bench.{name}")


@cache
def using_bench(name: str) -> ModuleType:
    """Returns a module that imports `bench`, without leaving `bench` among the imported packages."""
    try:
        return importlib.import_module(name)
    finally:
        for imported in [each for each in sys.modules if each.partition(".")[0] == "bench"]:
            del sys.modules[imported]
