"""Ways to run the same epoch, and which of them runs which experiment.

An engine is a module here with

- `NAME`, as `--engine` takes it;
- `refuses(experiment, device)`: why it cannot run that experiment exactly on that device,
  in a few words, or None where it can;
- `preferred(experiment)`: whether, where it can, it is faster than those after it in `ENGINES`;
- `cores(replicates, available)`: how many CPU cores it keeps busy when it trains that many
  replicates on a CPU where `available` may be used; it takes `torch.get_num_threads()` of them;
- `Engine(experiment, data, seeds)`, ready to train (compiled, warmed up) when it is made,
  with `epoch(orders)`, which trains every replicate on its row of `orders`, and
  `parameters()`, the stacked parameters as they are now (see `model.network.stack_parameters`).
  Making it raises EngineError where the device has not the memory for it. An epoch may be
  handed over in parts; all but its last one are of whole batches.

An engine never changes the mathematics: from the same seed, in the same order of examples,
it gives the eager engine's parameters to float32 rounding; `tests/` holds each to that.
A new one needs its module and its place in `ENGINES`.
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

# `auto` takes the first that does not refuse and is preferred.
ENGINES: tuple[EngineModule, ...] = (cluster_engine, numba_engine, cuda_graph_engine, eager)


def choose_engine(name: str, experiment: Experiment, device: torch.device) -> EngineModule:
    """The engine called `name`, or for "auto" the fastest that runs `experiment` on `device`.

    Raises EngineError where there is none of that name, or it refuses, with its reason.
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
