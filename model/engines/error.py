"""Why an engine cannot run an experiment: the error, and the line that another error makes."""

from __future__ import annotations


class EngineError(ValueError):
    """The engine does not exist, cannot run the experiment, or has not enough memory for it."""


def one_line(error: object) -> str:
    """Returns the error's message in one line of at most 200 characters, or its type if it has none."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
