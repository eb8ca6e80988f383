"""Claims: sentences that are decided by a test each, and the verdicts on them.

A claim is a test in an exercise's module, marked with its sentence, and where that stands if a paper
makes it:

    @claim("Adam is best at 0.001.", source="answer 4.3", expected=REPRODUCED)
    def test_adam_is_best_at_0_001(trained, decide):
        ...
        decide(holds, "Adam ends at 0.974 at 0.001, at 0.944 at 0.01.")
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import cast

import pytest

from model.values import printable, shown

from .verdicts import OF_A_PAPER, OF_ITS_OWN, Verdict


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence that is decided."""

    text: str
    source: str
    """Where a paper has it: table, figure or paragraph; empty where it is the study's own."""
    expected: Verdict | None
    """The verdict known from published runs at the full scale on MNIST; None where it may differ."""
    needs: str | None
    """What scales but the study's last lack to decide it; None where they decide it as well."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts that there are on it: that it holds, that it does not, and two open ones."""
        return OF_A_PAPER if self.source else OF_ITS_OWN

    def __post_init__(self) -> None:
        for name in ("text", "source", "needs"):
            if (given := getattr(self, name)) is not None:
                printable(name, given)
        if not self.text.strip():
            raise ValueError("text is empty; expected the claim's sentence")
        if self.expected is not None and self.expected not in self.verdicts:
            whose = "with a source" if self.source else "without a source"
            raise ValueError(
                f"expected is {shown(self.expected)}; expected, for a claim {whose}, one of "
                f"{', '.join(self.verdicts)}, or None"
            )


def claim(
    text: str, *, source: str = "", expected: Verdict | None = None, needs: str | None = None
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
        claims = _marks(test, "claim")
        if isinstance(test, type):
            inside = [method for method in vars(test).values() if _marks(method, "claim")]
            if claims or inside:
                where = f"{name}::{inside[0].__name__}" if inside else name
                raise ValueError(f"{where} is a claim in a class; expected a function")
        elif not claims:
            if _decides(name, test):
                raise ValueError(f"{name} decides a claim, and is not marked with @claim")
        elif _marks(test, "parametrize"):
            raise ValueError(f"{name} is a parametrised claim; expected a test that runs once")
        elif len(claims) > 1:
            raise ValueError(f"{name} is marked with {len(claims)} claims; expected one")
        elif not (claims[0].args and isinstance(claims[0].args[0], Claim)):
            raise ValueError(f"{name} is marked with pytest.mark.claim; expected harness.claim.claim")
        elif not name.startswith("test"):
            raise ValueError(
                f"{name} is a claim, and no test by its name; expected one like test_{name}"
            )
        else:
            found[name] = claims[0].args[0]
    return found


def _marks(test: object, name: str) -> list[pytest.Mark]:
    """The marks of that name on a function or class."""
    return [mark for mark in getattr(test, "pytestmark", []) if getattr(mark, "name", None) == name]


def _decides(name: str, test: object) -> bool:
    """Whether it is a test that asks for `decide`."""
    is_test = isinstance(test, FunctionType) and name.startswith("test")
    return is_test and "decide" in inspect.signature(cast(FunctionType, test)).parameters
