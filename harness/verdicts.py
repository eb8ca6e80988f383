"""The verdicts on claims."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Verdict = Literal[
    "reproduced",
    "not reproduced",
    "holds",
    "does not hold",
    "inconclusive",
    "not testable at this scale",
]

REPRODUCED: Verdict = "reproduced"
NOT_REPRODUCED: Verdict = "not reproduced"
HOLDS: Verdict = "holds"
DOES_NOT_HOLD: Verdict = "does not hold"
INCONCLUSIVE: Verdict = "inconclusive"
"""Intervals leave it open, or times are not comparable."""
NOT_TESTABLE: Verdict = "not testable at this scale"
"""The scale is too small to decide it."""

ONE_SEED_IS_TOO_FEW = "With one seed, the difference is within the sampling error of the test set."
SEEDS_LEAVE_IT_OPEN = "seeds leave it open."
"""These are in the evidence of inconclusive claims that more seeds may decide."""

_OPEN = (INCONCLUSIVE, NOT_TESTABLE)
OF_A_PAPER = (REPRODUCED, NOT_REPRODUCED, *_OPEN)
"""The verdicts on a claim with a source."""
OF_ITS_OWN = (HOLDS, DOES_NOT_HOLD, *_OPEN)
"""The verdicts on a claim without one."""
AGREEING = (REPRODUCED, HOLDS)
DISAGREEING = (NOT_REPRODUCED, DOES_NOT_HOLD)
OPPOSITE = {
    REPRODUCED: NOT_REPRODUCED,
    NOT_REPRODUCED: REPRODUCED,
    HOLDS: DOES_NOT_HOLD,
    DOES_NOT_HOLD: HOLDS,
}


_PLURALS: dict[Verdict, str] = {HOLDS: "hold", DOES_NOT_HOLD: "do not hold"}


def counted_verdict(verdict: Verdict, number: int) -> str:
    """Returns the number of claims with that verdict, like "1 holds" or "2 hold"."""
    return f"{number} {verdict if number == 1 else _PLURALS.get(verdict, verdict)}"


def verdicts_on(sources: Iterable[str]) -> tuple[Verdict, ...]:
    """Returns all possible verdicts on claims with these sources, in the tables' order."""
    kinds = {bool(source) for source in sources} or {True}
    words = (*(OF_A_PAPER[:2] if True in kinds else ()), *(OF_ITS_OWN[:2] if False in kinds else ()))
    return (*words, *_OPEN)
