"""The code of a side of a comparison: trains rows, on request, in the checkout that it is started in.

It is run as source text (`python -c`), so that it also runs in checkouts that do not have this file. It
imports nothing from this package, and only long-standing parts of the checkout: the exercises' rows, and
`model`'s engines, data, orders and evaluation. Requests and replies are lines of JSON, on standard input
and output; the checkout's own output goes to standard error.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import platform
import sys
import time
import traceback
from contextlib import suppress
from importlib import metadata
from itertools import repeat
from pathlib import Path
from typing import Any


class Trainer:
    """The row that is being trained."""

    def describe(self) -> dict[str, Any]:
        """Returns the versions that this side trains with, by name; None for what is not installed."""
        found: dict[str, Any] = {"python": platform.python_version()}
        for name in ("torch", "numpy", "numba"):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = None
        return found

    def prepare(self, module: str, row: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Looks up the row and chooses its engine, before any lease."""
        if not Path(*module.split(".")).with_suffix(".py").exists():
            raise LookupError(f"the checkout has no {module}")
        exercise = importlib.import_module(module).EXERCISE
        declared = next((each for each in exercise.rows if each.name == row), None)
        if declared is None:
            raise LookupError(f"{module} has no row {row}")

        import torch

        from model import engines
        from model.data.mnist import load

        # In earlier revisions, exercises determine their epochs themselves.
        of_scale = "scale" in inspect.signature(exercise.experiment).parameters
        long = settings["scale" if of_scale else "epochs"]
        self.experiment = exercise.experiment(declared, long, settings["dataset"])
        device = torch.device(settings["device"])
        # The data set is a value; in earlier revisions it is a name.
        self.data = load(self.experiment.dataset, Path(settings["data_root"]), device)
        if settings["engine"] == "auto" and hasattr(engines, "prove_engines"):
            engines.prove_engines(self.experiment, self.data)
        self.engine = engines.choose_engine(settings["engine"], self.experiment, device)
        # In earlier revisions, engines do not take the experiment.
        arguments = (self.experiment, settings["replicates"], settings["cores"])
        takes = len(inspect.signature(self.engine.cores).parameters)
        return {
            "engine": self.engine.NAME,
            "cores": self.engine.cores(*arguments[-takes:]),
            "experiment": self._experiment(),
            "epochs": self.experiment.epochs,
            "batch_size": self.experiment.batch_size,
            "examples": len(self.data.train_labels),
            "targets": [*getattr(self.experiment.dataset, "targets", ())],
        }

    def _experiment(self) -> dict[str, Any]:
        """Returns the experiment as JSON; empty in earlier revisions, which do not support that."""
        to_dict = getattr(self.experiment, "to_dict", None)
        return {} if to_dict is None else to_dict()

    def build(self, cores: list[int], seeds: list[int]) -> dict[str, Any]:
        """Prepares the networks for training on these cores, or on a GPU if there are none."""
        import torch

        if cores:
            if hasattr(os, "sched_setaffinity"):
                for thread in os.listdir("/proc/self/task"):
                    with suppress(ProcessLookupError):  # the thread has ended
                        os.sched_setaffinity(int(thread), cores)
            torch.set_num_threads(len(cores))
        self.seeds, self.epoch, self.position = seeds, 0, 0
        # In earlier revisions, engines do not take rates.
        rates: Any = getattr(self.experiment, "rates", lambda _: repeat([]))
        self.labels = self.data.train_labels.cpu().numpy()
        self.rates_by_epoch = rates(len(self.labels))
        self.runner = self.engine.Engine(self.experiment, self.data, tuple(seeds))
        return {}

    def turn(self, examples: int) -> dict[str, Any]:
        """Trains on the epoch's next examples and returns the seconds taken."""
        import numpy as np
        import torch

        from model.data.presentation_order import epoch_order

        device = self.data.device
        if self.position == 0:
            order = self.experiment.order
            drawn = [epoch_order(order, self.labels, seed, self.epoch) for seed in self.seeds]
            self.orders = torch.from_numpy(np.stack(drawn)).to(device)
            self.rates = next(self.rates_by_epoch)
        part = self.orders[:, self.position : self.position + examples]
        first = self.position // self.experiment.batch_size
        rates = self.rates[first : first - (-part.shape[1] // self.experiment.batch_size)]
        takes = len(inspect.signature(self.runner.epoch).parameters)
        arguments: Any = (part, rates)[:takes]
        wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
        wait(device)
        started = time.perf_counter()
        self.runner.epoch(*arguments)
        wait(device)
        seconds = time.perf_counter() - started
        self.position += examples
        if self.position >= len(self.labels):
            self.epoch, self.position = self.epoch + 1, 0
        return {"seconds": seconds}

    def evaluate(self) -> dict[str, Any]:
        """Returns the test accuracy of each replicate."""
        from model.evaluate import evaluate

        arguments: Any = (self.runner.parameters(), self.data.test_images, self.data.test_labels)
        if hasattr(self.experiment, "network"):  # earlier revisions have only one
            arguments = (self.experiment.network, *arguments)
        found = evaluate(*arguments)
        return {"accuracy": found.accuracy.tolist()}


def serve() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side = Trainer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(side, request.pop("do"))(**request)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may call sys.exit, or skip itself
            traceback.print_exc()
            reason = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
            reply = {"error": reason, "lacks": type(error) is LookupError}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    serve()
