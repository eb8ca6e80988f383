"""Why an engine cannot run an experiment."""

from __future__ import annotations


class EngineError(ValueError):
    """The engine does not exist, cannot run the experiment, or has not enough memory for it."""
