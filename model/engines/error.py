"""What `choose` and the engines themselves raise."""


class EngineError(ValueError):
    """The engine that was asked for is not there, or cannot run the experiment."""
