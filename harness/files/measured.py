"""The values that measurements return, which JSON must keep unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.values import shown

# How `atomic_json` writes the floats that JSON lacks; a measurement's text must be none of these.
SPELLED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class MeasurementError(ValueError):
    """A measurement returned a value that cannot be kept; the message names it, in one line."""


def checked(value: Any, where: str) -> Any:
    """Returns the value in plain Python types: NumPy's numbers and arrays converted, tuples as lists.

    Raises MeasurementError, with `where` as the value's place, if JSON cannot represent it.
    """
    if isinstance(value, np.ndarray | np.generic):
        return checked(value.tolist(), where)
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise MeasurementError(f"{where} has the key {shown(odd[0])}; expected text")
        return {key: checked(each, f"{where}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [checked(each, f"{where}[{at}]") for at, each in enumerate(value)]
    if isinstance(value, str) and value in SPELLED:
        raise MeasurementError(
            f"{where} is the text {value!r}, which would be read back as a number; return another text"
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise MeasurementError(
        f"{where} is {shown(value)}; expected numbers, text, True, False, None, lists and dictionaries"
    )


def restored(value: Any) -> Any:
    """Returns the value that `checked` returned, from its form in JSON."""
    if isinstance(value, dict):
        return {key: restored(each) for key, each in value.items()}
    if isinstance(value, list):
        return [restored(each) for each in value]
    return SPELLED.get(value, value) if isinstance(value, str) else value
