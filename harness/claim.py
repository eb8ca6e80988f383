"""Claims: sentences that tests decide.

A claim is a test in an exercise's module. Its mark has the sentence and, if a paper makes the claim,
the source:

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
    """A sentence that a test decides."""

    text: str
    source: str
    """The table, figure or paragraph in which a paper makes it; empty if it is the study's own."""
    expected: Verdict | None
    """The verdict known from published runs at the full scale on MNIST; None if it may differ."""
    needs: str | None
    """What smaller scales than the full one lack to decide it; None if they decide it as well."""
    criterion: str = ""
    """What its words mean as a measurement, in a sentence; empty if they need no explanation."""
    shown_in: str = ""
    """The name of the figure that shows it, without the exercise's, such as "time-to-accuracy"."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The possible verdicts: that it holds, that it does not hold, and two open ones."""
        return OF_A_PAPER if self.source else OF_ITS_OWN

    def __post_init__(self) -> None:
        for name in ("text", "source", "needs", "criterion", "shown_in"):
            if (given := getattr(self, name)) is not None:
                printable(name, given)
        if not self.text.strip():
            raise ValueError("text is empty; expected the claim's sentence")
        if self.expected is not None and self.expected not in self.verdicts:
            kind = "with a source" if self.source else "without a source"
            raise ValueError(
                f"expected is {shown(self.expected)}; a claim {kind} takes None or one of "
                f"{', '.join(self.verdicts)}"
            )


def claim(
    text: str,
    *,
    source: str = "",
    criterion: str = "",
    shown_in: str = "",
    expected: Verdict | None = None,
    needs: str | None = None,
) -> pytest.MarkDecorator:
    """Marks the test that decides a `Claim`."""
    return pytest.mark.claim(
        Claim(
            text=text,
            source=source,
            criterion=criterion,
            shown_in=shown_in,
            expected=expected,
            needs=needs,
        )
    )


def claims_of(module: ModuleType) -> dict[str, Claim]:
    """Returns the claims of an exercise's module by their tests' names, in the module's order.

    A claim is a function of the module that runs once, and every test that uses `decide` is a claim.
    Raises ValueError, naming the test, for any other, as no table would show its verdict.
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
                raise ValueError(f"{name} uses decide, but is not marked with @claim; mark it")
        elif _marks(test, "parametrize"):
            raise ValueError(f"{name} is a parametrised claim; expected a test that runs once")
        elif len(claims) > 1:
            raise ValueError(f"{name} is marked with {len(claims)} claims; expected one")
        elif not (claims[0].args and isinstance(claims[0].args[0], Claim)):
            raise ValueError(f"{name} is marked with pytest.mark.claim; expected harness.claim.claim")
        elif not name.startswith("test"):
            raise ValueError(f"{name} is a claim, but its name is not a test's; name it test_{name}")
        else:
            found[name] = claims[0].args[0]
    return found


def _marks(test: object, name: str) -> list[pytest.Mark]:
    """Returns the marks called `name` on a function or class."""
    return [mark for mark in getattr(test, "pytestmark", []) if getattr(mark, "name", None) == name]


def _decides(name: str, test: object) -> bool:
    """Returns whether `test` is a test that uses `decide`."""
    is_test = isinstance(test, FunctionType) and name.startswith("test")
    return is_test and "decide" in inspect.signature(cast(FunctionType, test)).parameters
