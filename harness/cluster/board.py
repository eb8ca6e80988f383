"""What the blocks of a session are doing: an actor of Ray's, which tasks report to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # the actor's process needs no PyTorch
    from model.evaluate import Evaluation

_REPORT_SECONDS = 0.5  # the least time between two reports of a task

BlockState: TypeAlias = Mapping[str, Any]
BlockName: TypeAlias = tuple[str, int]
"""A block's case, and its number among the blocks of the case."""


class Board:
    """The state of every block that has begun."""

    def __init__(self) -> None:
        self._states: dict[BlockName, dict[str, Any]] = {}
        self._started = time.monotonic()

    def begin(self, block: BlockName, attempt: int, node: str, host: str) -> float:
        """Enters that a node, given by Ray's id and its name, begins an attempt at the block.

        Returns the seconds since the session's start, by this one clock for all nodes.
        """
        self._states[block] = {
            "attempt": attempt,
            "node": node,
            "host": host,
            "running": True,
            "epoch": 0,
            "waiting": "",
        }
        return time.monotonic() - self._started

    def update(self, block: BlockName, state: BlockState) -> None:
        """Updates fields of the block's state."""
        self._states[block].update(state)

    def read(self) -> dict[BlockName, dict[str, Any]]:
        """Returns all states."""
        return self._states


class Reporter:
    """A task's side of the board."""

    def __init__(self, board: Any, block: BlockName):
        self._board, self._block = board, block
        self._started = self._last = time.monotonic()

    def waiting(self, line: str, by_others: bool) -> None:
        """Reports what the task waits for; "" if for nothing any more."""
        self._board.update.remote(self._block, {"waiting": line})

    def after_epoch(self, epoch: int, on_train: Evaluation, on_test: Evaluation) -> None:
        """Reports the number of epochs done, and the evaluations of both sets."""
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            state = {
                "epoch": epoch,
                "loss": float(on_train.loss.mean()),
                "accuracy": float(on_test.accuracy.mean()),
                "seconds": now - self._started,
            }
            self._board.update.remote(self._block, state)

    def end(self) -> None:
        """Reports that the task has ended."""
        self._board.update.remote(self._block, {"running": False})


def state_of_row(blocks: Sequence[BlockState | None], ended: Sequence[bool], epochs: int) -> BlockState:
    """Returns the state of a row in training, as in its progress file, from those of its blocks.

    `blocks` are None for blocks that have not begun; `ended` says whose results have arrived.
    """
    begun = [each for each in blocks if each]
    if not begun:
        return {"epoch": 0, "waiting": "waiting for the cluster"}
    trained = [each for each in begun if "loss" in each]
    if not trained:
        waiting = next((each["waiting"] for each in begun if each["waiting"]), "")
        return {"epoch": 0, "waiting": waiting or f"starting on {begun[-1]['host']}"}
    done = sum(
        epochs if over else each["epoch"] if each else 0
        for each, over in zip(blocks, ended, strict=True)
    )
    return {
        "epoch": min(done // len(blocks), epochs - 1),  # the last one is done when the record is there
        "loss": sum(each["loss"] for each in trained) / len(trained),
        "accuracy": sum(each["accuracy"] for each in trained) / len(trained),
        "seconds": max(each["seconds"] for each in trained),
    }
