"""Which settings of an experiment an engine honours, and the one function that refuses all others.

A class or a field that is not listed is refused, so one that is added to `Experiment` or to an optimizer
is refused by everything that has not been taught it: engines, peers, the roofline bound.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from ..experiment import Experiment
from ..network import ACTIVATIONS, MLP
from ..optimizers import Optimizer, differs
from ..values import shown

# An engine builds the network, and is handed the orders, the rates, the data and the number of epochs.
_SETTINGS = frozenset(
    {"optimizer", "batch_size", "epochs", "order", "init", "dataset", "network", "schedule"}
)
_NETWORKS: Mapping[type[MLP], Collection[str]] = {MLP: frozenset({"sizes", "activations"})}


@dataclass(frozen=True)
class Honours:
    """What is honoured, other than at its default."""

    optimizers: Mapping[type[Optimizer], Collection[str]]
    """For each class of optimizer, itself and not its subclasses, the fields."""
    activations: Collection[str] = frozenset(ACTIVATIONS)
    without: Collection[str] = frozenset()
    """Fields of the experiment that are not."""

    def refuses(self, experiment: Experiment) -> str | None:
        """The setting that is not honoured, by name, in a few words; None if all of them are."""
        for each in fields(experiment):
            if each.name not in _SETTINGS - {*self.without} and differs(experiment, each):
                return f"it does not know {each.name}; this has {shown(getattr(experiment, each.name))}"
        return self._refuses_optimizer(experiment.optimizer) or refuses_network(
            experiment.network, self.activations
        )

    def _refuses_optimizer(self, optimizer: Optimizer) -> str | None:
        if type(optimizer) not in self.optimizers:
            known = [each.__name__ for each in self.optimizers]
            return f"it runs {_listed(known)}, not {optimizer.name}"
        if setting := _other_than(self.optimizers[type(optimizer)], optimizer):
            return f"it runs {optimizer.name} without {setting}; this is {optimizer.label}"
        return None


def refuses_network(network: MLP, activations: Collection[str]) -> str | None:
    """What of the network is neither known here nor among the `activations`; None if all of it is."""
    if type(network) not in _NETWORKS:
        return f"it runs an MLP, not {type(network).__name__}"
    if setting := _other_than(_NETWORKS[type(network)], network):
        return f"it runs an MLP without {setting}; this is {network!r}"
    for activation in network.activations:
        if activation not in activations:
            return f"it runs {_listed([*activations])}, not {activation}"
    return None


def _other_than(honoured: Collection[str], value: object) -> str | None:
    """A field of the value that is not among the honoured ones and not at its default, in words."""
    for each in fields(cast(Any, value)):
        if each.name not in honoured and differs(value, each):
            return each.name.replace("_", " ")
    return None


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
