"""Trained networks as safetensors files: PyTorch's tensors, and their experiment in the metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.atomic_file import write_bytes
from model.experiment import Experiment, Training

from .sealed import MAX_BYTES, FileError

if TYPE_CHECKING:
    from torch import Tensor, nn

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class SavedNetwork:
    """A network at the end of its training under one seed."""

    case: str
    """The row's node id."""
    experiment: Experiment
    seed: int
    test_accuracy: float
    """The recorded accuracy on the test set, from 0 to 1."""
    engine: str
    device: str
    state: Mapping[str, Tensor]
    """Float32 tensors on the CPU, named and shaped as in `network().state_dict()`."""

    def network(self) -> nn.Sequential:
        """Returns the network with its trained parameters, on the CPU."""
        network = self.experiment.network.build("default", 0)
        network.load_state_dict(dict(self.state))
        return network

    def evaluate(self, data_root: Path | str = "data", device: str | None = None) -> float:
        """Returns the accuracy on the data set's test images, from 0 to 1.

        It equals `test_accuracy` on the hardware that it was trained on; on another, rounding may decide
        an image differently that is on the edge between two classes. `device` is by default the one it
        was trained on. Raises `model.data.download.DataError` if the data set cannot be had.
        """
        import torch

        from model.data.mnist import load
        from model.evaluate import evaluate
        from model.network import stack_parameters

        data = load(self.experiment.dataset, Path(data_root), torch.device(device or self.device))
        parameters = [each.to(data.device) for each in stack_parameters([self.network()])]
        found = evaluate(self.experiment.network, parameters, data.test_images, data.test_labels)
        return float(found.accuracy[0])


def write_network(path: Path, saved: SavedNetwork) -> None:
    """Writes the network to a file, atomically. Raises FileError if that fails."""
    from safetensors.torch import save

    metadata = {
        "format": "pt",
        "case": saved.case,
        "experiment": json.dumps(saved.experiment.to_dict()),
        "seed": str(saved.seed),
        "test_accuracy": repr(saved.test_accuracy),
        "engine": saved.engine,
        "device": saved.device,
        "checksum": _checksum(saved.state),
    }
    try:
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, save(dict(saved.state), metadata))
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}") from None


def read_network(path: Path | str) -> SavedNetwork:
    """Reads a file that `--save-weights` wrote. Raises FileError, in one line, if it cannot be used."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise FileError(f"{path} cannot be read: safetensors is not installed") from None
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("it is not a regular file" if path.exists() else "there is no such file")
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _saved(metadata, state)
    except (OSError, ValueError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FileError(f"{path} cannot be read: {reason}") from None


def _saved(metadata: Mapping[str, str], state: dict[str, Tensor]) -> SavedNetwork:
    names = ("case", "experiment", "seed", "test_accuracy", "engine", "device", "checksum")
    if missing := [name for name in names if name not in metadata]:
        raise ValueError(f"its metadata has no {missing[0]}")
    experiment = Experiment.from_dict(json.loads(metadata["experiment"]))
    accuracy = float(metadata["test_accuracy"])
    if not 0 <= accuracy <= 1:
        raise ValueError(f"test_accuracy is {metadata['test_accuracy']}; expected 0 to 1")
    expected = {
        name: each.shape for name, each in experiment.network.build("default", 0).state_dict().items()
    }
    if {name: each.shape for name, each in state.items()} != expected:
        raise ValueError("it has other tensors than its experiment's network")
    if _checksum(state) != metadata["checksum"]:
        raise ValueError("its tensors do not have the checksum in its metadata")
    return SavedNetwork(
        metadata["case"],
        experiment,
        int(metadata["seed"]),
        accuracy,
        metadata["engine"],
        metadata["device"],
        state,
    )


def networks_of(case: str, training: Training, parameters: list[Tensor]) -> list[SavedNetwork]:
    """Returns the networks of a training's seeds, given its final parameters.

    `parameters` are stacked; see `network.stack_parameters`.
    """
    names = list(training.experiment.network.build("default", 0).state_dict())
    return [
        SavedNetwork(
            case,
            training.experiment,
            seed,
            float(training.test_accuracy[-1, at]),
            training.engine,
            training.device,
            {
                name: each[at].t().contiguous().cpu()
                for name, each in zip(names, parameters, strict=True)
            },
        )
        for at, seed in enumerate(training.seeds)
    ]


def _checksum(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
