"""Queries on the values of experiments: `optimizer=Adam, batch_size=32`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from model.experiment import Experiment
from model.values import shown


def check_names(query: Mapping[str, Any], experiments: list[Experiment]) -> None:
    """Raises ValueError for a name that is not a field of any of the experiments or their optimizers."""
    known = [each.name for each in fields(Experiment)]
    of_optimizers = {each.name: None for one in experiments for each in fields(cast(Any, one.optimizer))}
    known += [name for name in of_optimizers if name not in known]
    if unknown := [name for name in query if name not in known]:
        raise ValueError(f"{shown(unknown[0])} is not a field; expected one of {', '.join(known)}")


def matches(experiment: Experiment, query: Mapping[str, Any]) -> bool:
    """Returns whether each field in `query` has the value given for it.

    The fields are those of the experiment and its optimizer. A class matches all values of that class,
    and a set or list any of its members.
    """
    return all(
        any(_is(_field(experiment, name), each) for each in _alternatives(wanted))
        for name, wanted in query.items()
    )


def _field(experiment: Experiment, name: str) -> object:
    owner = experiment if hasattr(experiment, name) else experiment.optimizer
    return getattr(owner, name, None)


def _alternatives(wanted: Any) -> list[Any]:
    return [*wanted] if isinstance(wanted, set | frozenset | list | tuple | range) else [wanted]


def _is(value: object, wanted: object) -> bool:
    if isinstance(wanted, type):
        # A subclass is a different optimizer: AdamW is not Adam. `Torch` wraps any optimizer's class.
        names = {f"{module}.{wanted.__qualname__}" for module in (wanted.__module__, "torch.optim")}
        return type(value) is wanted or getattr(value, "optimizer_class", None) in names
    return bool(value == wanted)
