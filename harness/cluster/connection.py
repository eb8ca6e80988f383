"""The connection to a cluster, and the nodes of it that can train."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from model.environment import code_digest, version
from model.values import one_line

from ..files.record import Hardware
from ..paths import ROOT
from ..session_settings import Settings
from ..wording import counted
from .address import ClusterError, reach
from .packages import pinned_packages
from .task import look, public

LOOK_SECONDS = 60  # at a node, whose first process imports PyTorch
PREPARE_SECONDS = 1200  # for a node to install packages, or to prove its engines
_LEAST_MEMORY = 2**30  # bytes: PyTorch, and the data that a process holds


@dataclass(frozen=True)
class Node:
    """A node of the cluster, and what it has said of itself."""

    id: str
    address: str
    machine: dict[str, Any]
    """As by `describe_machine`, with only the cores that Ray may use."""

    @property
    def hardware(self) -> Hardware:
        return hardware_of(self.machine)


class Connection:
    """A connection to the cluster at `address`, "auto" or HOST:PORT, until `close`.

    Raises ClusterError if no cluster answers, or a node lacks what it needs. `tell` prints a line.
    """

    def __init__(self, address: str, settings: Settings, tell: Callable[[str], None]):
        if find_spec("ray") is None:
            raise ClusterError("needs Ray, which is not installed; `pip install ray` installs it")
        reach(address)
        self._code = tempfile.mkdtemp(prefix="minibatch-bench-")
        self._environment: dict[str, Any] = {}
        self._connect(address)
        try:
            usable = self._with_device(self.alive(), settings.device)
            nodes = self._look(usable, tell)
            self.nodes = _alike(nodes) if settings.cluster_same else nodes
        except BaseException:
            self.close()
            raise
        self._is_whole = len(self.nodes) == len(usable)
        self.cores = min(node.machine["cores"] for node in self.nodes)
        """The cores that one training may use: those of the smallest node."""

    @property
    def machine(self) -> dict[str, Any]:
        """The hardware and versions of most nodes, with the cores that a training may use on any."""
        models = Counter(node.machine["device_name"] for node in self.nodes)
        model = min(models, key=lambda name: (-models[name], name))
        machine = next(each.machine for each in self.nodes if each.machine["device_name"] == model)
        return {**machine, "cores": self.cores}

    def alive(self) -> list[dict[str, Any]]:
        """Returns Ray's description of the nodes that are alive now."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def each(self, function: Callable[..., Any], *args: Any) -> list[tuple[Node, Any]]:
        """Returns what the function returns on each node that is alive, outside of the cores' count."""
        there = {node["NodeID"] for node in self.alive()}
        nodes = [node for node in self.nodes if node.id in there]
        named = [(node.id, node.address) for node in nodes]
        found = self._on_each(named, PREPARE_SECONDS, function, *args)
        return [(node, one) for node, one in zip(nodes, found, strict=True) if one is not None]

    def usable(self) -> dict[str, int]:
        """Returns the number of cores, or of GPUs, of each node of this session that is alive, by id.

        Nodes that have joined since are among them, unless only those of one model are used.
        """
        ids = {node.id for node in self.nodes}
        unit = "GPU" if self.device == "cuda" else "CPU"
        units = {
            node["NodeID"]: int(node["Resources"].get(unit, 0))
            for node in self.alive()
            if self._is_whole or node["NodeID"] in ids
        }
        return {node: count for node, count in units.items() if count}

    def on(self, nodes: Collection[str]) -> dict[str, Any]:
        """Returns the options of a task for these nodes, given by their ids, with its packages."""
        packages = {"runtime_env": self._environment} if self._environment else {}
        return {**_only(nodes), **packages}

    def here(self) -> dict[str, Any]:
        """Returns the options of a task for the node that this process belongs to."""
        return _only([self.ray.get_runtime_context().get_node_id()])

    def close(self) -> None:
        """Disconnects, which ends all tasks."""
        with suppress(Exception):
            self.ray.shutdown()
        shutil.rmtree(self._code, ignore_errors=True)

    def _connect(self, address: str) -> None:
        import ray
        import ray.cloudpickle

        self.ray: Any = ray
        for package in ("harness", "model"):
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / package, Path(self._code, package), ignore=ignored)
        # What Ray prints of lost nodes and processes, in several lines, reports say in their words.
        with suppress(AttributeError):
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
        # Ray replaces the handler that makes SIGTERM work like Ctrl-C.
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(
                address=address,
                runtime_env={"working_dir": self._code},
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=False,
            )
        except Exception as error:
            shutil.rmtree(self._code, ignore_errors=True)
            raise ClusterError(f"{address!r} cannot be used: {line_of(error)}") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _with_device(self, alive: list[dict[str, Any]], given: str) -> list[dict[str, Any]]:
        """Returns the nodes with the device that --device asks for, and sets `device` to cpu or cuda."""
        gpus = [node for node in alive if node["Resources"].get("GPU", 0) >= 1]
        if given == "cuda" and not gpus:
            raise ClusterError("no node has a GPU, as --device cuda needs; use --device cpu")
        self.device = "cuda" if gpus and given != "cpu" else "cpu"
        nodes = gpus if self.device == "cuda" else alive
        nodes = [node for node in nodes if node["Resources"].get("CPU", 0) >= 1]
        if not nodes:
            raise ClusterError("the cluster has no node with a core; start one with `ray start`")
        return nodes

    def _look(self, nodes: list[dict[str, Any]], tell: Callable[[str], None]) -> list[Node]:
        """Returns the nodes with what they say of themselves; refuses one that cannot train."""
        named = [(node["NodeID"], _address(node)) for node in nodes]
        found = self._on_each(named, LOOK_SECONDS, look, self.device)
        lacking = [
            address for (_, address), one in zip(named, found, strict=True) if one and "lacks" in one
        ]
        if lacking:
            packages = pinned_packages()
            self._environment = {"pip": {"packages": packages, "pip_check": False}}
            where = f"{lacking[0]}{' and other nodes' if len(lacking) > 1 else ''}"
            tell(f"installing {counted(len(packages), 'package')} on {where}")
            found = self._on_each(named, PREPARE_SECONDS, look, self.device)
        looked = []
        for node, (name, address), one in zip(nodes, named, found, strict=True):
            if one is None:
                continue
            if why := _unfit(one):
                raise ClusterError(f"the node {address} {why}")
            cores = min(one["machine"]["cores"], int(node["Resources"]["CPU"]))
            looked.append(Node(name, address, {**one["machine"], "cores": cores}))
        if not looked:
            raise ClusterError("the cluster has lost all its nodes; start one with `ray start`")
        return looked

    def _on_each(
        self, nodes: list[tuple[str, str]], seconds: float, function: Callable[..., Any], *args: Any
    ) -> list[Any]:
        """Returns what the function returns on each of the nodes, given by id and address.

        Returns None for a node that is lost meanwhile.
        """
        task = self.ray.remote(function)
        asked = [task.options(num_cpus=0, **self.on([node])).remote(*args) for node, _ in nodes]
        found = []
        for (node, address), reference in zip(nodes, asked, strict=True):
            try:
                found.append(self.ray.get(reference, timeout=seconds))
            except Exception as error:
                if node not in {each["NodeID"] for each in self.alive()}:
                    found.append(None)
                    continue
                raise ClusterError(f"the node {address} cannot run a task: {line_of(error)}") from None
        return found


def _only(nodes: Collection[str]) -> dict[str, Any]:
    return {"label_selector": {"ray.io/node-id": f"in({','.join(sorted(nodes))})"}}


def hardware_of(machine: Mapping[str, Any]) -> Hardware:
    """Returns the hardware of a described machine."""
    return Hardware(device_name=machine["device_name"], cores=machine["cores"])


def line_of(error: Exception) -> str:
    """Returns the cause of an error of Ray's in one line, without the traceback that Ray adds."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    causes = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    return one_line((causes or lines[:1])[-1])[:300]


def _unfit(node: Mapping[str, Any]) -> str | None:
    """Returns why a node cannot train, by what it says of itself."""
    ours = public(version("torch") or "")
    if "lacks" in node:
        return f"lacks a package: {node['lacks']}"
    if node["torch"] != ours:
        return f"has torch {node['torch']}; expected {ours}, as here"
    if node["code"] != (code := code_digest([ROOT / "model", ROOT / "harness"])):
        return f"has other code of the suite, {node['code']}; expected {code}, as here"
    if node["machine"] is None:
        return (
            "has a GPU that its PyTorch cannot use; install a build of PyTorch for CUDA there, or use "
            "--device cpu"
        )
    if node["memory"] < _LEAST_MEMORY:
        have, need = node["memory"] / 2**30, _LEAST_MEMORY / 2**30
        return f"has {have:.2g} GiB of memory; expected at least {need:.2g}"
    return None


def _alike(nodes: list[Node]) -> list[Node]:
    """Returns the nodes whose model of CPU or GPU has most cores or GPUs."""
    units: Counter[str] = Counter()
    for node in nodes:
        units[node.machine["device_name"]] += node.machine["gpus"] or node.machine["cores"]
    model = min(units, key=lambda name: (-units[name], name))
    return [node for node in nodes if node.machine["device_name"] == model]


def _address(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
