"""Whether an engine holds on this machine: tried beside eager before `auto` takes it, once.

Some 200 steps of it, on the data that are to be trained on, must give eager's parameters, and take
less than 1.2 times eager's time. What came of it is kept for each kind of experiment (see `_trial`)
and each device in a file of the user's own, outside any checkout, under `$XDG_CACHE_HOME` or
`~/.cache`, until what it depends on changes (see `_key`). It is kept where the engine ran to the end,
and held, or was wrong or slow. "Slow" is kept for a day only, as another process may have kept the
cores busy; errors, a lack of memory, and a proof that died or did not end count for this process
alone, as does everything where no file can be written.
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

_STEPS = 200  # of each engine; fewer where eager would take more than _SECONDS
_SECONDS = 1.0
_TURNS = 5
_SLOWER = 1.2  # times eager's time: too slow
_SLOW_FOR = 24 * 3600  # seconds for which "slow" is kept

# Stands for all schedules: the rates of a proof are its own.
_SCHEDULE = Schedule("torch.optim.lr_scheduler.ConstantLR")

_CHILD_SECONDS = 300  # for a proof on a GPU: PyTorch's start, compiling and capturing included
_MODEL = Path(__file__).parent.parent


@dataclass(frozen=True)
class ProofResult:
    """What a proof found."""

    reason: str | None
    """Why the engine is left out, in a few words; None where it holds."""
    lasting: bool = True
    """Whether a later session would find the same: only where the engine ran to the end."""
    slow: bool = False
    """Whether it is left out for its time alone, which another process may have caused."""

    @property
    def holds(self) -> bool:
        return self.reason is None


_known: dict[str, ProofResult] = {}  # by the name of the file that it is kept in, or would be


def kept_answer(
    engine: EngineModule, experiment: Experiment, device: torch.device
) -> ProofResult | None:
    """What an earlier proof found; None where there was none, or its file cannot be read."""
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
    """Tries the engine now, and keeps what it finds.

    Says on stderr that it does, and once more where the engine is left out. On a GPU it runs in a
    process of its own: a kernel that traps leaves its process without CUDA, and one that hangs
    never returns.
    """
    _say(f"proving engine {engine.NAME} for {experiment.kind} (once per machine)")
    attempt = _try_apart if data.device.type == "cuda" else try_engine
    answer = attempt(engine, experiment, data)
    if not answer.holds:
        _say(f"engine {engine.NAME} is left out for {experiment.kind}: {answer.reason}")
    key = _key(engine, experiment, data.device)
    _known[_name(key)] = answer
    folder = _folder()
    if answer.lasting and folder is not None:
        kept: dict[str, Any] = {"key": key, "left_out_because": answer.reason}
        if answer.slow:
            kept["slow_since"] = time.time()
        with suppress(OSError):  # then this process alone knows
            _write(folder / _name(key), kept)
    return answer


def try_engine(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Trains some steps of the experiment's kind by the engine and by eager, in turns, and compares."""
    try:
        return _compared(engine, experiment, data)
    except (EngineError, MemoryError, torch.OutOfMemoryError) as error:
        return ProofResult(one_line(error), lasting=False)
    except Exception as error:  # whatever an engine raises here, training must not meet it
        return ProofResult(f"it raises {type(error).__name__}: {one_line(error)}", lasting=False)


def distance(parameters: list[Tensor], reference: list[Tensor], share: float = 1) -> float:
    """The largest distance of a parameter tensor from its reference, over the reference's norm.

    Of a tensor's entries only that `share` counts which is nearest to the reference. NaN where either
    has one.
    """
    distances = [0.0]
    for p, r in zip(parameters, reference, strict=True):
        squares = (p - r).double().square().flatten().sort().values
        difference = squares[: math.ceil(share * len(squares))].sum().sqrt().item()
        if difference != 0:  # where both are all 0 there is no norm to divide by
            distances.append(difference / r.double().norm().item())
    return float(np.max(distances))  # which is NaN where one is


def _compared(engine: EngineModule, experiment: Experiment, data: Data) -> ProofResult:
    """Compares the engine's parameters and time with eager's."""
    if reason := eager.refuses(experiment, data.device):
        return ProofResult(f"eager cannot run the experiment to compare with: {reason}", lasting=False)
    trial = _trial(experiment)
    labels = data.train_labels.cpu().numpy()
    order = torch.from_numpy(epoch_order(trial.order, labels, seed=0, epoch=0)).to(data.device)
    size = min(trial.batch_size, len(labels))
    rates = trial.constant_rates(len(labels))
    if trial.schedule is not None:
        rates = np.linspace(1, 0.5, len(rates)) * rates
    reference, tried = (each.Engine(trial, data, (0,)) for each in (eager, engine))

    def seconds_per_step(runner: Runner, steps: int, turn: int = 0) -> float:
        """Trains on the epoch's next `steps` batches, from its beginning again where it has no more."""
        first = turn * steps % max(1, len(labels) // size - steps + 1)
        clock = Stopwatch(data.device)
        batches = order[None, first * size : (first + steps) * size]
        with clock.running():
            runner.epoch(batches, rates[first : first + steps])
        return clock.seconds / steps

    for _ in range(2):  # the first is slower than those to come
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
                f"its parameters are {found:.1e} from eager's; rounding is at most {allowed:.0e}"
            )
    # The fastest turn of each, as what another process takes from a turn only adds to it.
    by_eager, by_engine = (min(column) * 1e6 for column in zip(*samples, strict=True))
    if by_engine >= _SLOWER * by_eager:
        reason = f"it is slower than eager here ({by_engine:,.0f} µs a step to {by_eager:,.0f})"
        return ProofResult(reason, slow=True)
    return ProofResult(None)


def _trial(experiment: Experiment) -> Experiment:
    """The experiment that stands for all of its kind: other rates, epochs, orders and initialisations.

    An engine is handed orders and rates, and all build the same network. Whatever else sets
    experiments apart stays, and so each kind is proved for itself; so does whether there is a schedule.
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
    """`try_engine` in a process of its own, which may die or hang."""
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
        return ProofResult(f"its proof does not end within {_CHILD_SECONDS} s", lasting=False)
    except OSError as error:
        return ProofResult(f"its proof cannot be started: {one_line(error)}", lasting=False)
    try:
        return ProofResult(**json.loads(child.stdout))
    except (ValueError, TypeError):
        said = child.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        reason = f"its proof dies with status {child.returncode}: {one_line(said[-1])}"
        return ProofResult(reason, lasting=False)


def _environment() -> dict[str, str]:
    """The child's: it finds `model` under `PYTHONSAFEPATH` too, and inherits nothing of a git hook's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    paths = [str(_MODEL.parent), *filter(None, [inherited.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(paths)}


def _child() -> None:
    """Reads from stdin what `_try_apart` sent, and answers on stdout."""
    name, experiment, dataset, device, arrays = pickle.loads(sys.stdin.buffer.read())
    engine = cast(EngineModule, importlib.import_module(name))
    tensors = [torch.from_numpy(array).to(device) for array in arrays]
    with _stdout_to_stderr():  # whatever an engine prints is no answer
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
    """All that an answer depends on."""
    return {
        "engine": engine.NAME,
        "experiment": _trial(experiment).to_dict(),
        "device": device_name(device),
        "cores": None if device.type == "cuda" else len(available_cores()),  # eager's
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
    """The name of the file for that key's answer."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return f"proof-{key['engine']}-{digest}.json"


def _folder() -> Path | None:
    """The folder of the user's own; None where the user has no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    caches = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~"), ".cache")
    return caches / "minibatch-bench" if caches.is_absolute() else None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Writes it for this user alone; raises OSError where it cannot."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1), mode=0o600)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
