"""Engines: the ways to run an epoch's steps, and the choice between them.

An engine is a module here with

- `NAME`, its name for `--engine`;
- `HONOURS`, the optimizers that it honours, each with the fields that it honours; see `honours`;
- `refuses(experiment, device)`: why it cannot run the experiment exactly on the device,
  in a few words, or None if it can;
- `unavailable(device)`: why it cannot run on this machine for a reason other than the experiment
  and the device, such as a missing library; None if it can, or if it never runs on such a device;
- `cores(experiment, replicates, available)`: how many of the `available` CPU cores it keeps busy
  when it trains that many replicates on a CPU, in `torch.get_num_threads()` threads;
- `Engine(experiment, data, seeds)`: the replicates, compiled, warmed up and ready to train.
  Raises EngineError if the device does not have enough memory for them. Its `epoch(orders, rates)`
  trains every replicate on its row of `orders`, at the learning rates of the steps, `rates`; an
  epoch may be passed in parts, all but the last of whole batches. Its `parameters()` returns copies
  of the current parameters, stacked (see `model.network.stack_parameters`).

An engine never changes the mathematics: from the same seed, in the same order of examples,
its parameters equal the eager engine's to float32 rounding. The tests check this for every engine,
and `proof` compares each with eager on every machine before `auto` uses it there.
A new engine needs its module and an entry in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..data.mnist import Data
from ..experiment import Experiment
from . import eager, proof
from .cluster import engine as cluster_engine
from .cuda_graph import engine as cuda_graph_engine
from .error import EngineError
from .numba_loop import engine as numba_engine
from .protocol import EngineModule

__all__ = [
    "ENGINES",
    "EngineError",
    "EngineModule",
    "cannot_run",
    "choose_engine",
    "left_out",
    "prove_engines",
    "unproven",
    "why_unavailable",
]

# `auto` takes the first one that does not refuse and has proved itself, not the fastest: which one is
# fastest could vary from day to day, and with it a result's last digits.
ENGINES: tuple[EngineModule, ...] = (cluster_engine, numba_engine, cuda_graph_engine, eager)


def choose_engine(name: str, experiment: Experiment, device: torch.device) -> EngineModule:
    """Returns the engine called `name`; for "auto", the first that has proved itself here, or eager.

    Raises EngineError if no engine has that name or if the engine cannot run the experiment; for "auto",
    if even eager cannot.
    """
    if name == "auto":
        for engine in _fast(experiment, device):
            answer = proof.kept_answer(engine, experiment, device)
            if answer is not None and answer.holds:
                return engine
        name = eager.NAME
    for engine in ENGINES:
        if name == engine.NAME:
            if reason := engine.refuses(experiment, device):
                raise EngineError(f"engine {name} cannot run this experiment: {reason}")
            if reason := engine.unavailable(device):
                raise EngineError(f"engine {name} cannot run here: {reason}")
            return engine
    raise EngineError(
        f"no engine is called {name!r}; expected one of auto, {', '.join(e.NAME for e in ENGINES)}"
    )


def unproven(experiment: Experiment, device: torch.device) -> bool:
    """Returns whether "auto" depends on an engine that has yet to prove itself."""
    for engine in _fast(experiment, device):
        answer = proof.kept_answer(engine, experiment, device)
        if answer is None or answer.holds:
            return answer is None
    return False


def prove_engines(experiment: Experiment, data: Data) -> None:
    """Proves the engines that have not been proved, up to the first that passes; see `proof`."""
    for engine in _fast(experiment, data.device):
        answer = proof.kept_answer(engine, experiment, data.device)
        if (answer or proof.prove(engine, experiment, data)).holds:
            return


def left_out(experiment: Experiment, device: torch.device) -> dict[str, str]:
    """Returns why "auto" skips each engine that comes before the one it takes, by name.

    Engines that refuse the experiment or the device are not included: they were never meant for it.
    """
    reasons = {}
    for engine in _meant_for(experiment, device):
        reason = engine.unavailable(device)
        if reason is None:
            answer = proof.kept_answer(engine, experiment, device)
            if answer is None or answer.reason is None:
                break
            reason = answer.reason
        reasons[engine.NAME] = reason
    return reasons


def why_unavailable(device: torch.device) -> dict[str, str]:
    """Returns why engines for such a device cannot run on this machine, by name."""
    reasons = {engine.NAME: engine.unavailable(device) for engine in ENGINES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def cannot_run(engine: EngineModule, experiment: Experiment, device: torch.device) -> str | None:
    """Returns why the engine cannot run the experiment on this machine's device, or None if it can."""
    return engine.refuses(experiment, device) or engine.unavailable(device)


def _fast(experiment: Experiment, device: torch.device) -> Iterator[EngineModule]:
    """Yields the engines besides eager that can run the experiment here, in order."""
    for engine in _meant_for(experiment, device):
        if engine.unavailable(device) is None:
            yield engine


def _meant_for(experiment: Experiment, device: torch.device) -> Iterator[EngineModule]:
    """Yields the engines besides eager that do not refuse the experiment, in order."""
    for engine in ENGINES:
        if engine is not eager and engine.refuses(experiment, device) is None:
            yield engine
