"""What a field of a value may hold: each check returns it as plain Python has it, or says why not."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np


def number(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
) -> float:
    """The finite real number `value` as a float; NumPy's scalars are numbers, a bool is none.

    Raises ValueError, naming the field, unless it is greater than `above`, at least `least` and less
    than `below`.
    """
    try:
        found = float(value) if isinstance(value, Real) and not _is_bool(value) else math.nan
    except OverflowError:  # of a whole number that no float is large enough for
        found = math.inf
    if not (math.isfinite(found) and above < found < below and found >= least):
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"from {least:g}"] * (least > -math.inf)
        bounds += [f"below {below:g}"] * (below < math.inf)
        allowed = " ".join(["a finite number", *bounds])
        raise ValueError(f"{name} is {shown(value)}; expected {allowed}")
    return found


def whole(name: str, value: object) -> int:
    """The whole number `value`, 1 or more, as an int; raises ValueError, naming the field."""
    if not isinstance(value, Integral) or _is_bool(value) or value < 1:
        raise ValueError(f"{name} is {shown(value)}; expected a whole number from 1")
    return int(value)


def flag(name: str, value: object) -> bool:
    """The truth value `value`; raises ValueError, naming the field."""
    if not _is_bool(value):
        raise ValueError(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def printable(name: str, value: object) -> str:
    """The text `value`, of characters that a terminal shows; raises ValueError, naming the field."""
    if not (isinstance(value, str) and value.isprintable()):
        raise ValueError(f"{name} is {shown(value)}; expected printable text in one line")
    return value


def shown(value: object) -> str:
    """The value as messages quote it: in one line of at most 80 characters."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def one_line(text: object) -> str:
    """Returns the text, or an error's type if it has none, in one line of at most 500 characters.

    Characters that a terminal would obey, or not show, are escaped.
    """
    line = escaped(" ".join(str(text).split())) or type(text).__name__
    return line if len(line) <= 500 else f"{line[:500]}…"


def escaped(text: str) -> str:
    """Returns the text with its unprintable characters as Python escapes them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool | np.bool)
