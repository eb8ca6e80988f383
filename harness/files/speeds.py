"""`speed.json` and `times.json`: the results of `make speed` and `make times` on a machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .summary import Machine
from .types import Device, EngineOrPeer, FinitePositive, Model, Positive, Text


class SpeedRow(Model):
    """The time per step of an engine or a peer.

    `cores` is the number of cores that it used, or None on a GPU. `optimizer` is an optimizer's label
    without the learning rate. The roofline's fields are None if the optimizer's work is not known.
    """

    engine: EngineOrPeer
    device: Device
    optimizer: Text
    batch_size: Positive
    replicates: Positive
    cores: Positive | None
    us_per_step: FinitePositive
    ratio_to_eager: FinitePositive
    best_peer: EngineOrPeer
    ratio_to_best_peer: FinitePositive
    roofline_us_per_step: FinitePositive | None
    bound_by: Text | None
    share_of_roofline: FinitePositive | None
    share_of_peak: FinitePositive
    peak_mib: FinitePositive | None


class SpeedFile(Model):
    """`speed.json`."""

    rows: Annotated[list[SpeedRow], Field(max_length=1000)]
    machine: Machine


class TimesRow(Model):
    """The seconds of a case, run serially and under `-n`."""

    case: Text
    serial: FinitePositive
    parallel: FinitePositive
    ratio: FinitePositive


class TimesFile(Model):
    """`times.json`."""

    machine: Machine
    workers: Positive
    rounds: Positive
    rows: Annotated[list[TimesRow], Field(min_length=1, max_length=1000)]
    median: FinitePositive
    lowest: FinitePositive
    highest: FinitePositive
