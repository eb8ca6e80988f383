"""One run's records of those of several report folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import sealed
from ..files.names import file_name
from ..files.record import Hardware, MeasurementRecord, TrainingRecord, key_of
from ..files.summary import Machine
from .fingerprint import first_difference
from .store import Store

# What may differ between two trainings of a row that agree.
_TIMES = ("run", "seconds", "epoch_seconds", "prepare_seconds", "threads", "device", "hardware")


@dataclass(frozen=True)
class Part:
    """A report folder to merge, with its machine."""

    folder: Path
    machine: Machine
    resumed: frozenset[str]
    """The ids of rows that were resumed there."""


@dataclass
class Merged:
    """The records of a merged run."""

    fingerprint: dict[str, Any]
    machine: dict[str, Any]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By node id."""
    origins: dict[str, Path] = field(default_factory=dict)
    """The folder that each is from."""
    resumed: list[str] = field(default_factory=list)
    """The names of the files of records that an earlier session made."""
    repeated: list[str] = field(default_factory=list)
    """The ids of those that a later folder has, too, and that agree."""

    def write(self, folder: Path) -> None:
        """Writes the records to the report folder."""
        store = Store(folder)
        store.create()
        for record in self.records.values():
            sealed.write_content(folder / "runs" / _file(record), record)
        if self.resumed:
            sealed.write_content(folder / "resumed.json", {"records": sorted(self.resumed)})


def merge(parts: Sequence[Part]) -> Merged:
    """Returns the records of all parts; of a row that several have, the first's.

    If the parts' machines differ, each row names its hardware. Raises ValueError if the parts' settings
    differ, or what they have of the same row in anything but times.
    """
    found = [(part, record) for part in parts for record in Store(part.folder).records().values()]
    if not found:
        raise ValueError(f"{parts[0].folder} has no record of a row; expected a report of a session")
    (first, one), *others = found
    for part, record in others:
        if differing := first_difference(
            _comparable(record), _comparable(one), f"in {part.folder}", f"in {first.folder}"
        ):
            raise ValueError(f"only reports of the same settings can be merged, but {differing}")
    machine = _common([part.machine.model_dump() for part in parts])
    unlike = len({(part.machine.device_name, part.machine.cores) for part in parts}) > 1
    fingerprint = {**one.run.model_dump(), "device_name": machine["device_name"]}
    merged = Merged(fingerprint, machine)
    for part, record in found:
        content = {**record.model_dump(mode="json"), "run": fingerprint}
        if isinstance(record, TrainingRecord) and unlike and record.hardware is None:
            content["hardware"] = Hardware(
                device_name=part.machine.device_name, cores=part.machine.cores
            ).model_dump()
        if record.id not in merged.records:
            merged.records[record.id] = content
            merged.origins[record.id] = part.folder
            if record.id in part.resumed:
                merged.resumed.append(_file(content))
            continue
        if differing := _disagreement(merged.records[record.id], content):
            raise ValueError(
                f"{record.id} has another {differing} in {part.folder} than in "
                f"{merged.origins[record.id]}; expected equal results, or the row in one of them"
            )
        merged.repeated.append(record.id)
    return merged


def _comparable(record: TrainingRecord | MeasurementRecord) -> dict[str, Any]:
    """Returns what must be equal in all parts: the fingerprint without the model of the hardware."""
    return {name: value for name, value in record.run.model_dump().items() if name != "device_name"}


def _disagreement(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Returns the first field, other than times, in which two records of a row differ, or None."""
    return next((name for name in one if name not in _TIMES and one[name] != other.get(name)), None)


def _common(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns one description of several machines: all names that occur, and the smallest numbers."""
    common = {}
    for name in machines[0]:
        values = [machine.get(name) for machine in machines]
        if len({*values}) == 1:
            common[name] = values[0]
        elif numbers := [value for value in values if isinstance(value, int | float)]:
            common[name] = min(numbers)
        else:
            common[name] = " and ".join(sorted({str(value) for value in values if value is not None}))
    return common


def _file(record: dict[str, Any]) -> str:
    return f"{file_name(record['id'], key_of(record))}.json"
