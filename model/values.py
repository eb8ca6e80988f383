"""Checks of values' fields: each returns the field as a plain Python object or raises ValueError."""

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
    """Returns the finite real number `value` as a float; NumPy's scalars are numbers, a bool is not.

    Raises ValueError, naming the field, unless it is greater than `above`, at least `least` and less
    than `below`.
    """
    try:
        found = float(value) if isinstance(value, Real) and not _is_bool(value) else math.nan
    except OverflowError:  # a whole number that is too large for a float
        found = math.inf
    if not (math.isfinite(found) and above < found < below and found >= least):
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"from {least:g}"] * (least > -math.inf)
        bounds += [f"below {below:g}"] * (below < math.inf)
        allowed = " ".join(["a finite number", " and ".join(bounds)]).rstrip()
        raise ValueError(f"{name} is {shown(value)}; expected {allowed}")
    return found


def whole(name: str, value: object) -> int:
    """Returns the whole number `value`, 1 or more, as an int; raises ValueError, naming the field."""
    if not isinstance(value, Integral) or _is_bool(value) or value < 1:
        raise ValueError(f"{name} is {shown(value)}; expected a whole number from 1")
    return int(value)


def flag(name: str, value: object) -> bool:
    """Returns the truth value `value` as a bool; raises ValueError, naming the field."""
    if not _is_bool(value):
        raise ValueError(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def printable(name: str, value: object) -> str:
    """Returns the text `value` if it is printable; raises ValueError, naming the field."""
    if not (isinstance(value, str) and value.isprintable()):
        raise ValueError(f"{name} is {shown(value)}; expected printable text in one line")
    return value


def shown(value: object) -> str:
    """Returns the value as messages quote it: in one line of at most 80 characters."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:79]}…"


def one_line(text: object) -> str:
    """Returns the text, or an error's type if its text is empty, in one line of at most 500 characters.

    Unprintable characters, such as a terminal's control sequences, are escaped.
    """
    line = escaped(" ".join(str(text).split())) or type(text).__name__
    return line if len(line) <= 500 else f"{line[:500]}…"


def escaped(text: str) -> str:
    """Returns the text with its unprintable characters as Python escapes them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool | np.bool)
