"""Queries on the values of experiments: `optimizer=Adam, batch_size=32`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from model.experiment import Experiment
from model.values import shown


def check_names(query: Mapping[str, Any], experiments: list[Experiment]) -> None:
    """Raises ValueError for a name that is no field of any of the experiments or their optimizers."""
    known = [each.name for each in fields(Experiment)]
    of_optimizers = {each.name: None for one in experiments for each in fields(cast(Any, one.optimizer))}
    known += [name for name in of_optimizers if name not in known]
    if unknown := [name for name in query if name not in known]:
        raise ValueError(f"no field is called {shown(unknown[0])}; there are {', '.join(known)}")


def matches(experiment: Experiment, query: Mapping[str, Any]) -> bool:
    """Whether each field that `query` names has the value that it gives.

    The fields are an experiment's and its optimizer's. A class stands for all values of that class, and
    a set or list for any of its members.
    """
    return all(
        any(_is(_field(experiment, name), each) for each in _alternatives(wanted))
        for name, wanted in query.items()
    )


def _field(experiment: Experiment, name: str) -> object:
    whose = experiment if hasattr(experiment, name) else experiment.optimizer
    return getattr(whose, name, None)


def _alternatives(wanted: Any) -> list[Any]:
    return [*wanted] if isinstance(wanted, set | frozenset | list | tuple | range) else [wanted]


def _is(value: object, wanted: object) -> bool:
    if isinstance(wanted, type):
        # A subclass is another optimizer: AdamW is no Adam. `Torch` has the class of anyone's optimizer.
        names = {f"{module}.{wanted.__qualname__}" for module in (wanted.__module__, "torch.optim")}
        return type(value) is wanted or getattr(value, "optimizer_class", None) in names
    return bool(value == wanted)
