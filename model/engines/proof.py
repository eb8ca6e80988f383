"""Proofs: before `auto` uses an engine on this machine, it is compared with eager once.

Some 200 of its steps, on the data that are to be trained on, must give eager's parameters and take
less than 1.2 times eager's time. The result is kept for each kind of experiment (see `_trial`) and each
device until something that it depends on changes (see `_key`), in the user's cache, outside any
checkout: `$XDG_CACHE_HOME` or `~/.cache`. It is kept if the engine ran to the end, whether it passed or
was wrong or slow. "Slow" is kept for a day only, as another process may have kept the cores busy;
errors, a lack of memory, and a proof that died or did not end count for this process only, as does
every result if no file can be written.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..atomic_file import write_text
from ..data.mnist import Data
from ..data.presentation_order import epoch_order
from ..environment import (
    available_cores,
    code_digest,
    device_name,
    is_traced,
    library_settings,
    version,
)
from ..experiment import Experiment
from ..schedule import Schedule
from ..stopwatch import Stopwatch
from ..values import one_line
from . import eager
from .error import EngineError
from .protocol import EngineModule, Runner

_STEPS = 200  # of each engine; fewer if eager would take more than _SECONDS
_SECONDS = 1.0
_TURNS = 5
_LONG = 5.0  # seconds after which a proof is announced
_SLOWER = 1.2  # times eager's time is too slow
_SLOW_FOR = 24 * 3600  # seconds for which "slow" is kept

# Stands for all schedules: a proof has its own rates.
_SCHEDULE = Schedule("torch.optim.lr_scheduler.ConstantLR")

_CHILD_SECONDS = 300  # for a proof on a GPU: PyTorch's start, compiling and capturing included
_MODEL = Path(__file__).parent.parent


@dataclass(frozen=True)
class ProofResult:
    """The result of a proof."""

    reason: str | None
    """Why the engine is left out, in a few words; None if it passed."""
    lasting: bool = True
    """Whether a later session would find the same: only if the engine ran to the end."""
    slow: bool = False
    """Whether it is left out only for its time, which another process may have affected."""

    @property
    def holds(self) -> bool:
        return self.reason is None


_known: dict[str, ProofResult] = {}  # by the name of the file that keeps it, or would


def kept_answer(
    engine: EngineModule, experiment: Experiment, device: torch.device
) -> ProofResult | None:
    """Returns the result of an earlier proof; None if there is none or its file cannot be read."""
    key = _key(engine, experiment, device)
    name, folder = _name(key), _folder()
    if name not in _known and folder is not None:
        try:
            kept = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(kept, dict) or kept.get("key") != key:
            return None
        reason, slow_since = kept.get("left_out_because", ""), kept.get("slow_since")
        if reason is not None and not (isinstance(reason, str) and 0 < len(reason) <= 500):
            return None
        if slow_since is not None and not (
            type(slow_since) in (int, float) and 0 <= time.time() - slow_since < _SLOW_FOR
        ):
            return None
        _known[name] = ProofResult(reason, slow=slow_since is not None)
    return _known.get(name)


def prove(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Tries the engine now, and keeps and returns the result.

    Prints a line on stderr if it takes long, and another if the engine is left out. On a GPU the engine
    runs in a separate process: a kernel that traps leaves its process unable to use CUDA, and one that
    hangs never returns.
    """
    line = f"proving engine {engine.NAME} for {experiment.kind} (once per machine)"
    long = Timer(_LONG, _say, [line])
    long.daemon = True
    long.start()
    try:
        attempt = _try_apart if data.device.type == "cuda" else try_engine
        answer = attempt(engine, experiment, data)
    finally:
        long.cancel()
    if not answer.holds:
        _say(f"engine {engine.NAME} is left out for {experiment.kind}: {answer.reason}")
    key = _key(engine, experiment, data.device)
    _known[_name(key)] = answer
    folder = _folder()
    if answer.lasting and folder is not None:
        kept: dict[str, Any] = {"key": key, "left_out_because": answer.reason}
        if answer.slow:
            kept["slow_since"] = time.time()
        with suppress(OSError):  # then only this process has the result
            _write(folder / _name(key), kept)
    return answer


def try_engine(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Compares some steps of the experiment's kind on the engine and on eager, alternately."""
    try:
        return _compared(engine, experiment, data)
    except (EngineError, MemoryError, torch.OutOfMemoryError) as error:
        return ProofResult(one_line(error), lasting=False)
    except Exception as error:  # whatever an engine raises, training must not fail
        return ProofResult(f"it raised {type(error).__name__}: {one_line(error)}", lasting=False)


def distance(parameters: list[Tensor], reference: list[Tensor], share: float = 1) -> float:
    """Returns the largest distance of a parameter tensor from its reference, over the reference's norm.

    Only the `share` of a tensor's entries that is nearest to the reference counts. NaN if either has
    NaN.
    """
    distances = [0.0]
    for p, r in zip(parameters, reference, strict=True):
        squares = (p - r).double().square().flatten().sort().values
        difference = squares[: math.ceil(share * len(squares))].sum().sqrt().item()
        if difference != 0:  # if both are all 0, there is no norm to divide by
            distances.append(difference / r.double().norm().item())
    return float(np.max(distances))  # NaN if one is


def _compared(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Compares the engine's parameters and time with eager's."""
    if reason := eager.refuses(experiment, data.device):
        return ProofResult(f"eager, the reference, cannot run the experiment: {reason}", lasting=False)
    trial = _trial(experiment)
    labels = data.train_labels.cpu().numpy()
    order = torch.from_numpy(epoch_order(trial.order, labels, seed=0, epoch=0)).to(data.device)
    size = min(trial.batch_size, len(labels))
    rates = trial.constant_rates(len(labels))
    if trial.schedule is not None:
        rates = np.linspace(1, 0.5, len(rates)) * rates
    reference, tried = (each.Engine(trial, data, (0,)) for each in (eager, engine))

    def seconds_per_step(runner: Runner, steps: int, turn: int = 0) -> float:
        """Trains on the epoch's next `steps` batches; starts at the first again if too few are left."""
        first = turn * steps % max(1, len(labels) // size - steps + 1)
        clock = Stopwatch(data.device)
        batches = order[None, first * size : (first + steps) * size]
        with clock.running():
            runner.epoch(batches, rates[first : first + steps])
        return clock.seconds / steps

    for _ in range(2):  # the first step is slower than the rest
        samples = [[seconds_per_step(runner, 1) for runner in (reference, tried)]]
    affordable = int(_SECONDS / max(samples[0][0], _SECONDS / _STEPS))
    steps = max(1, min(affordable // _TURNS, len(labels) // size))
    for turn in range(_TURNS):
        samples.append([seconds_per_step(runner, steps, turn) for runner in (reference, tried)])
        if steps * sum(by_eager for by_eager, _ in samples) >= _SECONDS:
            break

    for share, allowed in trial.optimizer.tolerance.items():
        found = distance(tried.parameters(), reference.parameters(), share)
        if not found < allowed:  # nor if it is NaN
            return ProofResult(
                f"its parameters differ from eager's by {found:.1e}; expected less than {allowed:.0e}"
            )
    # The fastest turn of each, as other processes can only slow a turn down.
    by_eager, by_engine = (min(column) for column in zip(*samples, strict=True))
    # A turn of a fast engine is so short that it may mostly wait for a core, if all are busy: longer
    # ones show what its steps take.
    while (
        by_engine >= _SLOWER * by_eager and steps < len(labels) // size and steps * by_engine < _SECONDS
    ):
        steps = min(2 * steps, len(labels) // size)
        by_engine = min(by_engine, seconds_per_step(tried, steps))
    if by_engine >= _SLOWER * by_eager:
        us, eager_us = 1e6 * by_engine, 1e6 * by_eager
        reason = f"it is slower than eager here ({us:,.0f} µs per step, eager {eager_us:,.0f})"
        return ProofResult(reason, slow=True)
    return ProofResult(None)


def _trial(experiment: Experiment) -> Experiment:
    """Returns the experiment that stands for its kind: any rates, epochs, order and initialisation.

    Engines receive orders and rates, and all build the same network, so these do not matter. All other
    settings, and whether there is a schedule, distinguish kinds, which are proved separately.
    """
    optimizer = experiment.optimizer
    return replace(
        experiment,
        optimizer=optimizer.with_rate(optimizer.proof_rate),
        epochs=1,
        order="shuffled",
        init="default",
        schedule=None if experiment.schedule is None else _SCHEDULE,
    )


def _try_apart(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Runs `try_engine` in a separate process, which may die or hang."""
    tensors = (data.train_images, data.train_labels, data.test_images, data.test_labels)
    sent = (
        engine.__name__,
        experiment,
        data.dataset,
        str(data.device),
        [t.cpu().numpy() for t in tensors],
    )
    try:
        child = subprocess.run(
            [sys.executable, "-c", f"from {__name__} import _child; _child()"],
            input=pickle.dumps(sent),
            capture_output=True,
            cwd=_MODEL.parent,
            env=_environment(),
            timeout=_CHILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return ProofResult(f"its proof did not end within {_CHILD_SECONDS} s", lasting=False)
    except OSError as error:
        return ProofResult(f"its proof cannot be started: {one_line(error)}", lasting=False)
    try:
        return ProofResult(**json.loads(child.stdout))
    except (ValueError, TypeError):
        lines = child.stderr.decode(errors="replace").strip().splitlines() or ["no output"]
        reason = f"its proof died with status {child.returncode}: {one_line(lines[-1])}"
        return ProofResult(reason, lasting=False)


def _environment() -> dict[str, str]:
    """Returns the child's environment: with `model` on its path, and without a git hook's variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    paths = [str(_MODEL.parent), *filter(None, [inherited.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths)}


def _child() -> None:
    """Reads the message of `_try_apart` from stdin, and writes the result to stdout."""
    name, experiment, dataset, device, arrays = pickle.loads(sys.stdin.buffer.read())
    engine = cast(EngineModule, importlib.import_module(name))
    tensors = [torch.from_numpy(array).to(device) for array in arrays]
    with _stdout_to_stderr():  # stdout is for the result only
        answer = try_engine(engine, experiment, Data(dataset, *tensors))
    print(json.dumps(asdict(answer)))


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout


def _key(engine: EngineModule, experiment: Experiment, device: torch.device) -> dict[str, Any]:
    """Returns everything that a result depends on."""
    return {
        "engine": engine.NAME,
        "experiment": _trial(experiment).to_dict(),
        "device": device_name(device),
        "cores": None if device.type == "cuda" else len(available_cores()),  # which eager uses
        "torch": torch.__version__,
        "numba": version("numba"),
        "cuda-core": version("cuda-core"),
        "code": _code(),
        "settings": library_settings(),
        "traced": is_traced(),
    }


@cache
def _code() -> str:
    return code_digest([_MODEL])


def _name(key: dict[str, Any]) -> str:
    """Returns the name of the file for the key's result."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return f"proof-{key['engine']}-{digest}.json"


def _folder() -> Path | None:
    """Returns the folder in the user's cache; None if the user has no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    caches = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~"), ".cache")
    return caches / "minibatch-bench" if caches.is_absolute() else None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Writes the file, readable only by this user; raises OSError if it cannot."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1), mode=0o600)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
