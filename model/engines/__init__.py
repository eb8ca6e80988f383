"""Engines: ways to run the steps of an epoch, and which of them runs an experiment.

An engine is a module here with

- `NAME`, its name for `--engine`;
- `refuses(experiment, device)`: why it cannot run the experiment exactly on the device,
  in a few words, or None if it can;
- `preferred(experiment)`: whether, if it can run the experiment, it is faster than the engines
  after it in `ENGINES`;
- `cores(replicates, available)`: how many of the `available` CPU cores it keeps busy when it
  trains that many replicates on a CPU, in `torch.get_num_threads()` threads;
- `Engine(experiment, data, seeds)`: the replicates, compiled, warmed up and ready to train.
  Raises EngineError if the device has not enough memory for them. Its `epoch(orders)` trains
  every replicate on its row of `orders`; an epoch may be passed in parts, all but the last of
  whole batches. Its `parameters()` are copies of the current parameters, stacked (see
  `model.network.stack_parameters`).

An engine never changes the mathematics: from the same seed, in the same order of examples,
its parameters equal the eager engine's to float32 rounding; the tests hold every engine to it.
A new engine needs its module and an entry in `ENGINES`.
"""

from __future__ import annotations

import torch

from ..experiment import Experiment
from . import eager
from .cluster import engine as cluster_engine
from .cuda_graph import engine as cuda_graph_engine
from .error import EngineError
from .numba_loop import engine as numba_engine
from .protocol import EngineModule

__all__ = ["ENGINES", "EngineError", "EngineModule", "choose_engine"]

# `auto` takes the first that is preferred and does not refuse.
ENGINES: tuple[EngineModule, ...] = (cluster_engine, numba_engine, cuda_graph_engine, eager)


def choose_engine(name: str, experiment: Experiment, device: torch.device) -> EngineModule:
    """The engine called `name`, or for "auto" the fastest that can run `experiment` on `device`.

    Raises EngineError if no engine has that name, or with the engine's reason if it refuses.
    """
    if name == "auto":
        return next(
            engine
            for engine in ENGINES
            if engine.preferred(experiment) and engine.refuses(experiment, device) is None
        )
    for engine in ENGINES:
        if name == engine.NAME:
            reason = engine.refuses(experiment, device)
            if reason is not None:
                raise EngineError(f"engine {name} cannot run this experiment: {reason}")
            return engine
    raise EngineError(
        f"no engine is called {name!r}; there are auto, {', '.join(e.NAME for e in ENGINES)}"
    )
