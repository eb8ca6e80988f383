"""The settings of a row one by one, including those of its optimizer, network and schedule.

Each has the name that axes show, like "learning rate" or "units of hidden layer 1".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast

from model.by_name import in_words, named
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import Optimizer, Torch
from model.schedule import Schedule

_OF_SCHEDULE, _OF_LAYER = "schedule ", "units of hidden layer "


@lru_cache(maxsize=4096)  # called for each of up to 1000 rows by each figure
def settings_of(experiment: Experiment) -> Mapping[str, Any]:
    """Returns every setting of the experiment by name, starting with those that are always numbers."""
    settings = {
        "learning rate": experiment.learning_rate,
        "batch size": experiment.batch_size,
        "init": experiment.init,
        **_of_optimizer(experiment.optimizer),
        **_of_schedule(experiment.schedule),
        **{f"{_OF_LAYER}{at}": units for at, units in enumerate(experiment.network.hidden, 1)},
        "activations": experiment.network.activations,
        "order": experiment.order,
        "dataset": experiment.dataset,
    }
    return MappingProxyType(settings)


def is_number(value: object) -> bool:
    """Returns whether a setting's value can be drawn along an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def optimizer_in_words(optimizer: Optimizer, without: Collection[str] = ()) -> str:
    """Returns the optimizer's label without the settings of these names."""
    if not without:
        return optimizer.label
    settings = {
        name: value
        for name, value in optimizer.to_dict().items()
        if name not in ("class", "learning_rate")
    }
    if isinstance(optimizer, Torch):
        settings = dict(optimizer.options)
    return named(optimizer.name, _in_words(settings, without))


def schedule_in_words(schedule: Schedule | None, without: Collection[str] = ()) -> str:
    """Returns the schedule in words without the settings of these names."""
    if schedule is None:
        return "constant rate"
    dropped = [name.removeprefix(_OF_SCHEDULE) for name in without if name.startswith(_OF_SCHEDULE)]
    if not dropped:
        return str(schedule)
    name = str(schedule.scheduler).rpartition(".")[2]
    return ", ".join([name, *_in_words(dict(schedule.options), dropped), f"every {schedule.every}"])


def network_in_words(network: MLP, without: Collection[str] = ()) -> str:
    """Returns the network in words, with a dot for the units of hidden layers of these names."""
    dropped = [at for at in range(1, len(network.sizes) - 1) if f"{_OF_LAYER}{at}" in without]
    text = str(network)
    if not dropped:
        return text
    sizes = "-".join("·" if at in dropped else str(size) for at, size in enumerate(network.sizes))
    return f"{sizes}{text[len('-'.join(map(str, network.sizes))) :]}"


def _of_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    if isinstance(optimizer, Torch):
        return {"optimizer": optimizer.optimizer_class, **_flattened(dict(optimizer.options))}
    names = [each.name for each in fields(cast(Any, optimizer)) if each.name != "learning_rate"]
    return {
        "optimizer": optimizer.name,
        **_flattened({name: getattr(optimizer, name) for name in names}),
    }


def _of_schedule(schedule: Schedule | None) -> dict[str, Any]:
    if schedule is None:
        return {"schedule": None}
    options = _flattened(dict(schedule.options))
    return {
        "schedule": (schedule.scheduler, schedule.every),
        **{f"{_OF_SCHEDULE}{name}": value for name, value in options.items()},
    }


def _flattened(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options by name in words; a pair, such as betas, becomes "beta 1" and "beta 2"."""
    return {name: value for each in options.items() for name, value in _parts(*each)}


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    words = name.replace("_", " ")
    if isinstance(value, tuple | list):
        yield from ((f"{words.removesuffix('s')} {at}", each) for at, each in enumerate(value, 1))
    else:
        yield words, value


def _in_words(options: Mapping[str, Any], without: Collection[str]) -> list[str]:
    """Returns the options as labels show them, without those named; a pair that lacks one is split."""
    words = []
    for name, value in options.items():
        parts = dict(_parts(name, value))
        if parts.keys().isdisjoint(without):
            words.append(in_words(name, value))
        else:
            words += [in_words(part, each) for part, each in parts.items() if part not in without]
    return words
