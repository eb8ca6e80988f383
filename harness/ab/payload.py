"""A side of a comparison: trains rows in the checkout that it is started in, as it is told.

It is run as source text (`python -c`), also in checkouts that do not have it. So it imports nothing from
this package, and of the checkout only what has long been there: the exercises' rows, and `model`'s
engines, data, orders and evaluation. Requests and replies are lines of JSON, on standard input and
output; what the checkout prints goes to standard error.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import time
import traceback
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any


class Trainer:
    """The row that is being trained."""

    def prepare(self, module: str, row: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Looks up the row and chooses its engine, before any lease."""
        if not Path(*module.split(".")).with_suffix(".py").exists():
            raise LookupError(f"it has no {module}")
        exercise = importlib.import_module(module).EXERCISE
        declared = next((each for each in exercise.rows if each.name == row), None)
        if declared is None:
            raise LookupError(f"its {module} has no row {row}")

        import torch

        from model import engines
        from model.data.mnist import load

        # Exercises of earlier revisions know their epochs themselves.
        of_scale = "scale" in inspect.signature(exercise.experiment).parameters
        long = settings["scale" if of_scale else "epochs"]
        self.experiment = exercise.experiment(declared, long, settings["dataset"])
        device = torch.device(settings["device"])
        # A value that loads it; in earlier revisions a name.
        self.data = load(self.experiment.dataset, Path(settings["data_root"]), device)
        if settings["engine"] == "auto" and hasattr(engines, "prove_engines"):
            engines.prove_engines(self.experiment, self.data)
        self.engine = engines.choose_engine(settings["engine"], self.experiment, device)
        # Earlier engines were not told the experiment.
        told = (self.experiment, settings["replicates"], settings["cores"])
        takes = len(inspect.signature(self.engine.cores).parameters)
        return {
            "engine": self.engine.NAME,
            "cores": self.engine.cores(*told[-takes:]),
            "experiment": self._experiment(),
            "epochs": self.experiment.epochs,
            "batch_size": self.experiment.batch_size,
            "examples": len(self.data.train_labels),
            "targets": [*getattr(self.experiment.dataset, "targets", ())],
        }

    def _experiment(self) -> dict[str, Any]:
        """The experiment as JSON has it; nothing where an earlier revision cannot say."""
        to_dict = getattr(self.experiment, "to_dict", None)
        return {} if to_dict is None else to_dict()

    def build(self, cores: list[int], seeds: list[int]) -> dict[str, Any]:
        """Makes the networks, on these cores (none: a GPU's), ready to train."""
        import torch

        if cores:
            if hasattr(os, "sched_setaffinity"):
                for thread in os.listdir("/proc/self/task"):
                    with suppress(ProcessLookupError):  # the thread has ended
                        os.sched_setaffinity(int(thread), cores)
            torch.set_num_threads(len(cores))
        self.seeds, self.epoch, self.position = seeds, 0, 0
        # Earlier engines were not told the rates.
        rates: Any = getattr(self.experiment, "rates", lambda _: repeat([]))
        self.labels = self.data.train_labels.cpu().numpy()
        self.rates_by_epoch = rates(len(self.labels))
        self.runner = self.engine.Engine(self.experiment, self.data, tuple(seeds))
        return {}

    def turn(self, examples: int) -> dict[str, Any]:
        """Trains on the epoch's next examples; returns the seconds that took."""
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
        told = (part, rates) if len(inspect.signature(self.runner.epoch).parameters) > 1 else (part,)
        wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
        wait(device)
        started = time.perf_counter()
        self.runner.epoch(*told)
        wait(device)
        seconds = time.perf_counter() - started
        self.position += examples
        if self.position >= len(self.labels):
            self.epoch, self.position = self.epoch + 1, 0
        return {"seconds": seconds}

    def evaluate(self) -> dict[str, Any]:
        """The test accuracy of each replicate."""
        from model.evaluate import evaluate

        arguments: Any = (self.runner.parameters(), self.data.test_images, self.data.test_labels)
        if hasattr(self.experiment, "network"):  # earlier revisions had a single one
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
            why = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
            reply = {"error": why, "lacks": type(error) is LookupError}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    serve()
