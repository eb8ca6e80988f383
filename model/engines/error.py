"""Why an engine cannot run an experiment: the error, and what engines share to word a reason."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {"sgd": "SGD", "adam": "Adam"}


class EngineError(ValueError):
    """The engine does not exist, cannot run the experiment, or has not enough memory for it."""


def one_line(error: object) -> str:
    """Returns the error's message in one line of at most 200 characters, or its type if it has none."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def refused_optimizer(optimizer: str, supported: Iterable[str]) -> str | None:
    """Why an engine with the `supported` optimizers cannot run `optimizer`, or None if it can."""
    names = {each: _NAMES.get(each, each) for each in supported}
    return None if optimizer in names else f"it runs {' and '.join(names.values())}, not {optimizer}"
