"""The settings of a row, one by one: an optimizer's, a network's and a schedule's, too.

Each goes by its name in words, like "learning rate" or "units of hidden layer 1", as axes call it.
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


@lru_cache(maxsize=4096)  # asked again for each figure, of up to 1000 rows
def settings_of(experiment: Experiment) -> Mapping[str, Any]:
    """Every setting of the experiment by its name, those first that are numbers for every row."""
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
    """Whether a setting's value has a place on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def optimizer_in_words(optimizer: Optimizer, without: Collection[str] = ()) -> str:
    """As `Optimizer.label` has it, without the settings of these names."""
    if not without:
        return optimizer.label
    said = {
        name: value
        for name, value in optimizer.to_dict().items()
        if name not in ("class", "learning_rate")
    }
    if isinstance(optimizer, Torch):
        said = dict(optimizer.options)
    return named(optimizer.name, _in_words(said, without))


def schedule_in_words(schedule: Schedule | None, without: Collection[str] = ()) -> str:
    """As `Schedule` has it, without the settings of these names."""
    if schedule is None:
        return "constant rate"
    dropped = [name.removeprefix(_OF_SCHEDULE) for name in without if name.startswith(_OF_SCHEDULE)]
    if not dropped:
        return str(schedule)
    name = str(schedule.scheduler).rpartition(".")[2]
    return ", ".join([name, *_in_words(dict(schedule.options), dropped), f"every {schedule.every}"])


def network_in_words(network: MLP, without: Collection[str] = ()) -> str:
    """As `MLP` has it, with a dot for the units of hidden layers of these names."""
    dropped = [at for at in range(1, len(network.sizes) - 1) if f"{_OF_LAYER}{at}" in without]
    text = str(network)
    if not dropped:
        return text
    sizes = "-".join("·" if at in dropped else str(size) for at, size in enumerate(network.sizes))
    return f"{sizes}{text[len('-'.join(map(str, network.sizes))) :]}"


def _of_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    if isinstance(optimizer, Torch):
        return {"optimizer": optimizer.optimizer_class, **_one_by_one(dict(optimizer.options))}
    names = [each.name for each in fields(cast(Any, optimizer)) if each.name != "learning_rate"]
    return {
        "optimizer": optimizer.name,
        **_one_by_one({name: getattr(optimizer, name) for name in names}),
    }


def _of_schedule(schedule: Schedule | None) -> dict[str, Any]:
    if schedule is None:
        return {"schedule": None}
    options = _one_by_one(dict(schedule.options))
    return {
        "schedule": (schedule.scheduler, schedule.every),
        **{f"{_OF_SCHEDULE}{name}": value for name, value in options.items()},
    }


def _one_by_one(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by their names in words; of a pair, such as betas, "beta 1" and "beta 2"."""
    return {name: value for each in options.items() for name, value in _parts(*each)}


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    words = name.replace("_", " ")
    if isinstance(value, tuple | list):
        yield from ((f"{words.removesuffix('s')} {at}", each) for at, each in enumerate(value, 1))
    else:
        yield words, value


def _in_words(options: Mapping[str, Any], without: Collection[str]) -> list[str]:
    """The options as labels have them, without those of these names; a pair that lacks one in parts."""
    said = []
    for name, value in options.items():
        parts = dict(_parts(name, value))
        if parts.keys().isdisjoint(without):
            said.append(in_words(name, value))
        else:
            said += [in_words(part, each) for part, each in parts.items() if part not in without]
    return said
