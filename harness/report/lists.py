"""Lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def first_few(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """Joins the names; of more than `most`, the first ones, and says how many more there are."""
    if len(names) <= most:
        return separator.join(names)
    return f"{separator.join(names[:most])} and {len(names) - most} more"
