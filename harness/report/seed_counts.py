"""How many seeds the rows of a run have, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ..files.summary import CaseSummary
from ..wording import counted


def seeds_each(cases: Sequence[CaseSummary]) -> str:
    """Returns "one seed each", or "5 seeds each, and up to 20 for 3 rows on which claims were open"."""
    timed = max((case.timed_seeds for case in cases), default=1)
    words = "one seed each" if timed == 1 else f"{timed} seeds each"
    if added := [len(case.seeds) for case in cases if case.added]:
        words += f", and up to {max(added)} for {counted(len(added), 'row')} on which claims were open"
    return words
