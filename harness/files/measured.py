"""What a measurement returns: kept as JSON, and read again as it was, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.values import shown

# How `atomic_json` writes the floats that JSON has none for; so no text may be one of these.
SPELLED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class MeasurementError(ValueError):
    """A measurement returns what cannot be kept; one line says what."""


def checked(value: Any, where: str) -> Any:
    """The value of plain Python's types; NumPy's numbers and arrays become these, and tuples lists.

    Raises MeasurementError, naming the place by `where`, for what JSON has no form for.
    """
    if isinstance(value, np.ndarray | np.generic):
        return checked(value.tolist(), where)
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise MeasurementError(f"{where} has the key {shown(odd[0])}; keys are text")
        return {key: checked(each, f"{where}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [checked(each, f"{where}[{at}]") for at, each in enumerate(value)]
    if isinstance(value, str) and value in SPELLED:
        raise MeasurementError(f"{where} is the text {value!r}, which would be read as a number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise MeasurementError(
        f"{where} is {shown(value)}; expected numbers, text, True, False, None, lists and dictionaries"
    )


def restored(value: Any) -> Any:
    """What `checked` returned, from what JSON holds of it."""
    if isinstance(value, dict):
        return {key: restored(each) for key, each in value.items()}
    if isinstance(value, list):
        return [restored(each) for each in value]
    return SPELLED.get(value, value) if isinstance(value, str) else value
