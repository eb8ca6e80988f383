"""Claims: the assignment's sentences, each decided by a test, and the verdicts on them.

A claim is a test in an exercise's module, marked with what it is about:

    @claim("Adam is best at 0.001.", source="answer 4.3", expected=REPRODUCED)
    def test_adam_is_best_at_0_001(trained, decide):
        ...
        decide(holds, "Adam ends at 0.974 at 0.001, at 0.944 at 0.01.")
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Literal, cast

import pytest

from model.values import printable, shown

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not testable at this scale"]

REPRODUCED: Verdict = "reproduced"
NOT_REPRODUCED: Verdict = "not reproduced"
INCONCLUSIVE: Verdict = "inconclusive"
"""The intervals of the seeds leave it open."""
NOT_TESTABLE: Verdict = "not testable at this scale"
"""The quick scale lacks what it takes."""
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_TESTABLE)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the assignment, in short."""

    text: str
    source: str
    """Where it stands: exercise and table, figure or paragraph."""
    expected: Verdict | None
    """The verdict known from published runs at the paper's scale on MNIST; None where it may differ."""
    needs: str | None
    """What the quick scale lacks to decide it; None where that scale decides it as well."""

    def __post_init__(self) -> None:
        for name in ("text", "source", "needs"):
            if (given := getattr(self, name)) is not None:
                printable(name, given)
        if self.expected is not None and self.expected not in VERDICTS:
            raise ValueError(
                f"expected is {shown(self.expected)}; it takes one of {', '.join(VERDICTS)}, or None"
            )


def claim(
    text: str, *, source: str, expected: Verdict | None = None, needs: str | None = None
) -> pytest.MarkDecorator:
    """Marks the test that decides a `Claim`."""
    return pytest.mark.claim(Claim(text=text, source=source, expected=expected, needs=needs))


def claims_of(module: ModuleType) -> dict[str, Claim]:
    """The claims of an exercise's module by their tests' names, in the module's order.

    Raises ValueError, naming the test, for one that is decided and then found nowhere: a claim is one
    function of the module, and every test that asks for `decide` is a claim.
    """
    found = {}
    for name, test in vars(module).items():
        marks = {mark.name: mark for mark in getattr(test, "pytestmark", [])}
        if isinstance(test, type):
            for method in vars(test).values():
                if any(mark.name == "claim" for mark in getattr(method, "pytestmark", [])):
                    raise ValueError(
                        f"{name}::{method.__name__} is a claim in a class; it takes a function"
                    )
        elif "claim" in marks and "parametrize" in marks:
            raise ValueError(f"{name} is a parametrised claim; it takes a test that runs once")
        elif "claim" in marks:
            found[name] = marks["claim"].args[0]
        elif _decides(name, test):
            raise ValueError(f"{name} decides a claim, and is not marked with @claim")
    return found


def _decides(name: str, test: object) -> bool:
    """Whether it is a test that asks for `decide`."""
    is_test = isinstance(test, FunctionType) and name.startswith("test")
    return is_test and "decide" in inspect.signature(cast(FunctionType, test)).parameters
