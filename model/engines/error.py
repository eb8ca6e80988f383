"""The error of an engine that cannot run an experiment."""

from __future__ import annotations


class EngineError(ValueError):
    """The engine does not exist, cannot run the experiment, or lacks the memory for it."""
