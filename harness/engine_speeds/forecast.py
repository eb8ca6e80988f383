"""Forecasts training time from the times per step that `make speed` measured."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from model import engines
from model.engines import EngineError
from model.environment import device_name
from model.experiment import Experiment
from model.network import MLP

from ..files import sealed
from ..files.sealed import FileError
from ..files.speeds import SpeedFile, SpeedRow
from ..hardware.machine import candidate_devices
from ..paths import SPEED
from ..session_settings import Settings


def training_seconds(experiments: Iterable[Experiment], settings: Settings) -> float | None:
    """Returns the total seconds of training, without evaluation.

    Returns None if those times are missing, lack a case, or are from another machine.
    """
    device = candidate_devices(settings.device)[0]
    try:
        table = sealed.read_model(settings.report_dir / SPEED, SpeedFile)
        if table.machine.device_name != device_name(device):
            return None
        return sum(_seconds(each, settings, device, table.rows) for each in experiments)
    except (FileError, EngineError, KeyError):
        return None


def _seconds(
    experiment: Experiment, settings: Settings, device: torch.device, rows: list[SpeedRow]
) -> float:
    """Returns the seconds of one experiment.

    Raises KeyError if no row measured such a case, or `auto` has not chosen an engine yet.
    """
    if experiment.network != MLP():
        raise KeyError(str(experiment.network))  # only the assignment's network is measured
    if settings.engine == "auto" and engines.unproven(experiment, device):
        raise KeyError("auto")
    engine = engines.choose_engine(settings.engine, experiment, device).NAME
    wanted = (experiment.optimizer.label, experiment.batch_size, engine)
    # Of the rows with the same replicates, that on most cores counts, which training may use, too.
    by_replicates = {
        row.replicates: row.us_per_step
        for row in sorted(rows, key=lambda row: row.cores or 0)
        if (row.optimizer, row.batch_size, row.engine) == wanted
    }
    # The largest number of replicates that were measured together, repeated as often as needed.
    together = max((count for count in by_replicates if count <= len(settings.seeds)), default=0)
    steps = experiment.epochs * experiment.steps_per_epoch(experiment.dataset.examples)
    return steps * by_replicates[together] * 1e-6 * len(settings.seeds) / together
