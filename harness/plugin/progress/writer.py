"""The training's side of progress: a file that says which epoch it is at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.evaluate import Evaluation

from ... import atomic_json
from ...files.names import short_digest
from . import FOLDER

_WRITE_SECONDS = 0.25  # between two writes of one training, at least: an epoch may take less

AfterEpoch = Callable[[int, Evaluation, Evaluation], None]


@contextmanager
def report_progress(report_dir: Path, name: str, epochs: int) -> Iterator[AfterEpoch]:
    """Yields the function to call after each epoch of the training called `name`.

    It takes the number of epochs done, and the evaluations of the training and the test set.
    """
    path = report_dir / FOLDER / f"{short_digest(name)}.json"
    started = time.monotonic()
    last = -_WRITE_SECONDS

    def after_epoch(epoch: int, on_train: Evaluation, on_test: Evaluation) -> None:
        nonlocal last
        seconds = time.monotonic() - started
        if seconds - last < _WRITE_SECONDS and epoch < epochs:
            return
        last = seconds
        state = {
            "name": name,
            "epoch": epoch,
            "epochs": epochs,
            "loss": float(on_train.loss.mean()),
            "accuracy": float(on_test.accuracy.mean()),
            "seconds": seconds,
        }
        with suppress(OSError):  # on a full disk, writing the record will fail the training
            path.parent.mkdir(exist_ok=True)
            atomic_json.write(path, state)

    yield after_epoch
