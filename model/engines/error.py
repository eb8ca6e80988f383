"""Why an engine cannot run an experiment: the error, and a reason that engines share."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {"sgd": "SGD", "adam": "Adam"}


class EngineError(ValueError):
    """The engine does not exist, cannot run the experiment, or has not enough memory for it."""


def refused_optimizer(optimizer: str, supported: Iterable[str]) -> str | None:
    """Why an engine with the `supported` optimizers cannot run `optimizer`, or None if it can."""
    names = {each: _NAMES.get(each, each) for each in supported}
    return None if optimizer in names else f"it runs {' and '.join(names.values())}, not {optimizer}"
