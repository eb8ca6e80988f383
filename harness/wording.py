"""Lists, counts and durations in words."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Returns "1 row", or "3 rows" or "3 processes"."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def format_rate(rate: float) -> str:
    """Returns a learning rate as the axes of figures show it: "0.00001" instead of "1e-05"."""
    return f"{rate:.9f}".rstrip("0") if 1e-9 <= rate < 1e-4 else f"{rate:g}"


def format_duration(seconds: float) -> str:
    """Returns seconds up to a minute and a half, then minutes, then hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def first_few(names: Iterable[str], most: int = 5, separator: str = ", ") -> str:
    """Joins the names; of more than `most`, joins the first ones and counts the rest."""
    names = list(names)
    if len(names) <= most:
        return separator.join(names)
    return f"{separator.join(names[:most])} and {len(names) - most} more"
