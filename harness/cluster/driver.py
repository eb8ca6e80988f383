"""The session's side of a cluster: submits rows in blocks of seeds, and passes on their records."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import torch

from model import by_name
from model.data.mnist import load
from model.dataset import Dataset
from model.engines import ENGINES
from model.environment import version
from model.experiment import Experiment

from ..engine_speeds.nominal import nominal_seconds
from ..exercise import Exercise, Row
from ..files.record import Block, Hardware
from ..results.seed_blocks import cut_seeds, join
from ..session_settings import Settings
from ..wording import counted
from .address import ClusterError
from .board import BlockName, BlockState, Board, state_of_row
from .connection import LOOK_SECONDS, Connection, hardware_of, line_of
from .task import Job, choose, digest_of, public, train_block

MOST_ATTEMPTS = 4  # at a block whose node or process is lost, before its row fails
_LOST = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "LocalRayletDiedError")
_POLL_SECONDS = 0.1
_HEAD_SECONDS = 20  # for the head node to answer; Ray ends this process after 60
_READ_SECONDS = 1.0  # between two looks at nodes and board, which would take time from trainings here
_PATIENCE_SECONDS = 10  # of waiting for the cluster, before it is reported


States: TypeAlias = Mapping[BlockName, BlockState]


@dataclass(frozen=True)
class ClusterRow:
    """A row that a cluster can train."""

    exercise: Exercise
    row: Row
    experiment: Experiment


@dataclass(frozen=True)
class Finished:
    """A row that was trained."""

    record: dict[str, Any]
    """The part of its record that comes from the training."""
    parameters: list[torch.Tensor]
    """The final parameters, stacked, or none if they are not kept."""


@dataclass
class _Submitted:
    """A row that was submitted."""

    left_out: dict[str, str]
    """Why "auto" took none of these engines."""
    blocks: list[tuple[int, ...]]
    """The seeds of each block."""
    parts: list[dict[str, Any] | None]
    """What each block has returned."""


@dataclass(frozen=True)
class _Queued:
    """A block to train, number `at` of its case."""

    case: str
    at: int
    job: Job
    seeds: tuple[int, ...]
    cores: int
    data: tuple[str, Any]
    """The digest of the data set's arrays, and Ray's reference to them."""
    lost: tuple[str, ...] = ()
    """The nodes where earlier attempts were lost."""


class Cluster:
    """The rows of a session on a cluster; see `Connection`."""

    def __init__(self, address: str, settings: Settings, tell: Callable[[str], None]):
        self._settings, self._tell = settings, tell
        self._connection = Connection(address, settings, tell)
        self._ray = self._connection.ray
        self._board = self._ray.remote(Board).options(num_cpus=0, **self._connection.here()).remote()
        self._lost_errors = tuple(getattr(self._ray.exceptions, name) for name in _LOST)
        self._known_nodes = {*self._connection.usable()}
        self._data: dict[Dataset, tuple[Any, str]] = {}
        self._submitted: dict[str, _Submitted] = {}
        self._queue: deque[_Queued] = deque()
        self._running: dict[Any, _Queued] = {}  # by Ray's reference
        self._finished_cases: set[str] = set()
        self._is_lost = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def machine(self) -> dict[str, Any]:
        """The hardware and versions of most nodes, with the cores that a training may use on any."""
        return self._connection.machine

    def about(self) -> str:
        """Returns the nodes in words."""
        kinds = Counter(str(node.hardware) for node in self._connection.nodes)
        return "; ".join(f"{counted(count, 'node')} with {kind}" for kind, count in kinds.items())

    def start(
        self,
        study: Path,
        rows: Mapping[str, ClusterRow],
        cases: Collection[str],
        done: Callable[[str, Finished | ClusterError], None],
        show: Callable[[str, BlockState], None],
        asked: Callable[[], Iterable[str]],
    ) -> None:
        """Submits the rows `cases`, and starts a thread that submits others of `rows` when `asked`.

        The thread calls `done` for each row that ends, and `show` with the state of its training, as in
        a progress file. `study` is the folder whose modules travel with the rows. Raises ClusterError
        if a node cannot train one of `cases`.
        """
        self._study, self._rows, self._done, self._show, self._asked = study, rows, done, show, asked
        if cases:
            self._submit(cases)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancels what still runs, and disconnects; not from a head node that is lost, which hangs.

        Ray ends this process a minute after it has lost the head node.
        """
        if self._is_lost:
            return
        self._stopped.set()
        if self._thread:
            self._thread.join()
        with suppress(Exception):
            for reference in self._running:
                self._ray.cancel(reference, force=True)
        self._connection.close()

    def _submit(self, cases: Iterable[str]) -> None:
        modules = _modules_in(self._study)
        for module in modules:
            self._ray.cloudpickle.register_pickle_by_value(module)
        named = by_name.kept({module.__name__ for module in modules})
        # The longest first, so that the last ones to end are short.
        rows = {case: self._rows[case] for case in sorted(cases, key=self._cost, reverse=True)}
        datasets = [*dict.fromkeys(row.experiment.dataset for row in rows.values())]
        data = [self._put(dataset) for dataset in datasets]
        jobs = {
            case: Job(
                pickled=self._ray.cloudpickle.dumps((row.experiment, row.exercise.observers, named)),
                dataset=datasets.index(row.experiment.dataset),
                engine=self._settings.engine,
                exclusive=self._settings.timing == "exclusive",
                device=self._connection.device,
                torch=public(version("torch") or ""),
                keep_parameters=self._settings.save_weights,
            )
            for case, row in rows.items()
        }
        for case, (engine, left_out) in self._choose(jobs, data).items():
            job = replace(jobs[case], engine=engine)
            blocks = cut_seeds(self._settings.seeds, self._most_seeds())
            self._submitted[case] = _Submitted(left_out, blocks, [None] * len(blocks))
            for at, seeds in enumerate(blocks):
                cores = self._cores_of(engine, rows[case].experiment, len(seeds))
                self._queue.append(_Queued(case, at, job, seeds, cores, data[job.dataset]))

    def _cost(self, case: str) -> float:
        return nominal_seconds(self._rows[case].experiment, self._settings.engine)

    def _put(self, dataset: Dataset) -> tuple[str, Any]:
        """Puts the data set's arrays into the object store; returns their digest and the reference."""
        if dataset not in self._data:
            data = load(dataset, self._settings.data_root, torch.device("cpu"))
            tensors = (data.train_images, data.train_labels, data.test_images, data.test_labels)
            arrays = [each.numpy() for each in tensors]
            self._data[dataset] = (digest_of(arrays), self._ray.put(arrays))
        return self._data[dataset]

    def _choose(
        self, jobs: Mapping[str, Job], data: Collection[tuple[str, Any]]
    ) -> dict[str, tuple[str, dict[str, str]]]:
        """Returns the engine of each row, and why others were left out, after proofs on every node.

        Where nodes differ, a row is trained by the last of their engines in the order of `ENGINES`, so
        that all of its blocks have the same.
        """
        order = [engine.NAME for engine in ENGINES]
        digests, references = zip(*data, strict=True)
        found = self._connection.each(
            choose, [*jobs.values()], self._connection.cores, digests, *references
        )
        if not found:
            raise ClusterError("the cluster has lost all its nodes; start one with `ray start`")
        chosen: dict[str, tuple[str, dict[str, str]]] = {}
        for node, answers in found:
            for case, answer in zip(jobs, answers, strict=True):
                if "error" in answer:
                    raise ClusterError(f"the node {node.address} cannot train {case}: {answer['error']}")
                before = chosen.get(case)
                if before is None or order.index(answer["engine"]) > order.index(before[0]):
                    chosen[case] = (answer["engine"], answer["left_out"])
        return chosen

    def _most_seeds(self) -> int:
        """Returns the most seeds of a block: one for each core of the smallest node, or all on a GPU."""
        return len(self._settings.seeds) if self._connection.device == "cuda" else self._connection.cores

    def _cores_of(self, engine: str, experiment: Experiment, replicates: int) -> int:
        if self._connection.device == "cuda":
            return 1
        (module,) = (each for each in ENGINES if each.NAME == engine)
        return module.cores(experiment, replicates, self._connection.cores)

    def _watch(self) -> None:
        begun, told = time.monotonic(), ""
        read = 0.0
        nodes: Mapping[str, int] = {}
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                self._submit_asked()
                self._collect()
                self._begin_blocks(nodes)
                if time.monotonic() - read < _READ_SECONDS:
                    continue
                read, states = time.monotonic(), self._read_board()
                nodes = _within(_HEAD_SECONDS, self._connection.usable)
                self._give_up_lost(nodes, states)
                self._show_unfinished(states)
                if not self._unfinished or any(state["running"] for state in states.values()):
                    begun = time.monotonic()
                elif time.monotonic() - begun > _PATIENCE_SECONDS and (line := self._why_idle()) != told:
                    told = line
                    self._tell(line)
            except Exception as error:  # the connection may be lost
                self._fail(error)
                if isinstance(error, TimeoutError):
                    return

    def _fail(self, error: Exception) -> None:
        """Fails all rows that are not finished; if the head node is lost, also those asked for later."""
        failed = ClusterError(f"the cluster failed: {line_of(error)}")
        self._is_lost = isinstance(error, TimeoutError)
        for case in {*self._rows} if self._is_lost else self._unfinished:
            if case not in self._finished_cases:
                self._done(case, failed)
        self._queue.clear()
        self._running.clear()

    def _submit_asked(self) -> None:
        for case in self._asked():
            if case in self._rows and case not in self._submitted:
                try:
                    self._submit([case])
                except ClusterError as error:
                    self._done(case, error)

    @property
    def _unfinished(self) -> set[str]:
        """The cases with blocks that are queued or running."""
        return {block.case for block in (*self._queue, *self._running.values())}

    def _begin_blocks(self, nodes: Mapping[str, int]) -> None:
        """Passes to Ray as many blocks as the nodes, given by id, have cores or GPUs."""
        used, available = sum(map(self._units, self._running.values())), sum(nodes.values())
        while nodes and self._queue and (not used or used + self._units(self._queue[0]) <= available):
            block = self._queue.popleft()
            used += self._units(block)
            self._running[self._begin(block, nodes)] = block

    def _units(self, block: _Queued) -> int:
        """Returns the cores that the block asks for, or 1 for its GPU."""
        return 1 if self._connection.device == "cuda" else block.cores

    def _begin(self, block: _Queued, nodes: Collection[str]) -> Any:
        task = self._ray.remote(train_block).options(
            num_cpus=block.cores,
            num_gpus=1 if self._connection.device == "cuda" else 0,
            max_retries=0,
            name=block.case,
            **self._connection.on(nodes),
        )
        name, attempt = (block.case, block.at), len(block.lost) + 1
        return task.remote(block.job, block.seeds, block.cores, name, attempt, self._board, *block.data)

    def _give_up_lost(self, nodes: Mapping[str, int], states: States) -> None:
        """Queues the blocks again that a lost node has, or has been asked to take, if one was lost.

        Ray's own retries would wait for seven minutes for a node that was cut off: Ray learns it from
        gRPC's pings, which it sends every five minutes. An attempt for other nodes waits for no other's.
        """
        lost = self._known_nodes - nodes.keys()
        self._known_nodes = {*nodes}
        if not lost:
            return
        for reference, block in [*self._running.items()]:
            state = _begun(block, states)
            if state is None or state["node"] in lost:
                del self._running[reference]
                self._ray.cancel(reference, force=True)
                self._queue_again(block, state["host"] if state else None)

    def _queue_again(self, block: _Queued, host: str | None) -> None:
        """Queues a block again that was lost on the node called `host`; None if it had not begun."""
        lost = (*block.lost, host) if host else block.lost
        if len(lost) == MOST_ATTEMPTS:
            why = f"its node or process was lost {len(lost)} times, on {', '.join(lost)}"
            self._done(block.case, ClusterError(f"the cluster could not train {block.case}: {why}"))
        else:
            self._queue.appendleft(replace(block, lost=lost))

    def _collect(self) -> None:
        waiting = [*self._running]
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
        for reference in ready:
            block = self._running.pop(reference)
            case = block.case
            try:
                part = self._ray.get(reference)
            except self._lost_errors:
                state = _begun(block, self._read_board())
                self._queue_again(block, state["host"] if state else "a node")
                continue
            except Exception as error:
                part = {"error": line_of(error)}
            if "error" in part:
                where = f"the node {part['host']}" if "host" in part else "the cluster"
                self._done(case, ClusterError(f"{where} could not train {case}: {part['error']}"))
                continue
            of_case = self._submitted[case]
            of_case.parts[block.at] = {**part, "lost": list(block.lost)}
            parts = [each for each in of_case.parts if each]
            if len(parts) == len(of_case.blocks):
                self._finished_cases.add(case)
                self._done(case, self._finished(case, of_case, parts))

    def _finished(self, case: str, submitted: _Submitted, parts: list[dict[str, Any]]) -> Finished:
        blocks = [
            Block(
                seeds=list(seeds),
                node=part["host"],
                device_name=part["device_name"],
                seconds=part["record"]["seconds"],
                begun_seconds=part["begun_seconds"],
                busy_seconds=part["busy_seconds"],
                lost=part["lost"],
            )
            for seeds, part in zip(submitted.blocks, parts, strict=True)
        ]
        models = sorted({block.device_name for block in blocks})
        hardware = Hardware(device_name=" and ".join(models), cores=self._connection.cores)
        record = {
            **join([part["record"] for part in parts]),
            "paper": asdict(self._rows[case].row.published),
            "engines_left_out": submitted.left_out,
            "blocks": [block.model_dump() for block in blocks],
        }
        if hardware != hardware_of(self.machine):
            record["hardware"] = hardware.model_dump()
        stacked = zip(*(part["parameters"] for part in parts), strict=True)
        return Finished(record, [torch.cat([torch.tensor(each) for each in one]) for one in stacked])

    def _read_board(self) -> States:
        states: States = self._ray.get(self._board.read.remote(), timeout=LOOK_SECONDS)
        return states

    def _show_unfinished(self, states: States) -> None:
        for case in self._unfinished:
            submitted = self._submitted[case]
            blocks = [states.get((case, at)) for at in range(len(submitted.blocks))]
            ended = [part is not None for part in submitted.parts]
            self._show(case, state_of_row(blocks, ended, self._rows[case].experiment.epochs))

    def _why_idle(self) -> str:
        if self._connection.usable():
            return "waiting for the cluster, whose cores are in use"
        return "waiting for the cluster, whose nodes are gone; start one with `ray start`"


def _within(seconds: float, function: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Returns the function's result; raises TimeoutError if it takes longer, and leaves it running."""
    found: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError("its head node does not answer; continue with --resume when it does")
    return found[0]


def _begun(block: _Queued, states: States) -> BlockState | None:
    """Returns the state of the block's current attempt; None if it has not begun."""
    state = states.get((block.case, block.at))
    return state if state is not None and state["attempt"] == len(block.lost) + 1 else None


def _modules_in(folder: Path) -> list[ModuleType]:
    files = {module: getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    return [module for module, file in files.items() if file and folder in Path(file).resolve().parents]
