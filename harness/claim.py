"""Claims: the assignment's sentences, each decided by a test, and the verdicts on them.

A claim is a test in an exercise's module, marked with what it is about:

    @claim("Adam is best at 0.001.", source="answer 4.3", expected=REPRODUCED)
    def test_adam_is_best_at_0_001(trained, decide):
        ...
        decide(holds, "Adam ends at 0.974 at 0.001, at 0.944 at 0.01.")
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import pytest

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


def claim(
    text: str, *, source: str, expected: Verdict | None = None, needs: str | None = None
) -> pytest.MarkDecorator:
    """Marks the test that decides a `Claim`."""
    return pytest.mark.claim(Claim(text=text, source=source, expected=expected, needs=needs))


def claims_of(module: ModuleType) -> dict[str, Claim]:
    """The claims of an exercise's module by their tests' names, in the module's order."""
    return {
        name: mark.args[0]
        for name, test in vars(module).items()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "claim"
    }
