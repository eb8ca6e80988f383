"""The training's side of progress: a file with its current epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from model.evaluate import Evaluation

from ... import atomic_json
from ...files.names import short_digest
from . import FOLDER

_WRITE_SECONDS = 0.25  # the least time between two writes of a training, whose epochs may be shorter

AfterEpoch = Callable[[int, Evaluation, Evaluation], None]


class ProgressFile:
    """The file of the training called `name`, of `epochs` epochs."""

    def __init__(self, report_dir: Path, name: str, epochs: int):
        self._path = report_dir / FOLDER / f"{short_digest(name)}.json"
        self._name = name
        self._epochs = epochs
        self._started = time.monotonic()
        self._last = -_WRITE_SECONDS

    def wait(self, line: str) -> None:
        """Writes what the training waits for; "" means that it no longer waits."""
        self._write(epoch=0, waiting=line)

    def copy(self, state: Mapping[str, Any]) -> None:
        """Writes the state of a training that runs elsewhere; see `state.State`."""
        self._write(**state)

    def after_epoch(self, epoch: int, on_train: Evaluation, on_test: Evaluation) -> None:
        """Writes the number of epochs done, and the evaluations of both sets."""
        seconds = time.monotonic() - self._started
        if seconds - self._last < _WRITE_SECONDS and epoch < self._epochs:
            return
        self._last = seconds
        self._write(
            epoch=epoch,
            loss=float(on_train.loss.mean()),
            accuracy=float(on_test.accuracy.mean()),
            seconds=seconds,
        )

    def _write(self, **state: Any) -> None:
        with suppress(OSError):  # if the disk is full, writing the record will fail
            self._path.parent.mkdir(exist_ok=True)
            atomic_json.write_json(self._path, {"name": self._name, "epochs": self._epochs, **state})
