"""Declarations of the settings that an engine honours; all others are refused.

A class or field that is not listed is refused. So a new field of `Experiment` or of an optimizer is
refused by engines, peers and the roofline bound until they declare it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from ..experiment import Experiment
from ..network import ACTIVATIONS, MLP
from ..optimizers import Optimizer, differs
from ..values import shown

# An engine builds the network; it receives the orders, the rates, the data and the number of epochs.
_SETTINGS = frozenset(
    {"optimizer", "batch_size", "epochs", "order", "init", "dataset", "network", "schedule"}
)
_NETWORKS: Mapping[type[MLP], Collection[str]] = {MLP: frozenset({"sizes", "activations"})}


@dataclass(frozen=True)
class Honours:
    """The settings that are honoured when they are not at their defaults."""

    optimizers: Mapping[type[Optimizer], Collection[str]]
    """The honoured fields of each class of optimizer; subclasses are not included."""
    activations: Collection[str] = frozenset(ACTIVATIONS)
    without: Collection[str] = frozenset()
    """Fields of the experiment that are not honoured."""

    def refuses(self, experiment: Experiment) -> str | None:
        """Returns, in a few words, a setting that is not honoured; None if all are."""
        for each in fields(experiment):
            if each.name not in _SETTINGS - {*self.without} and differs(experiment, each):
                value = shown(getattr(experiment, each.name))
                return f"it does not support {each.name}; the experiment has {value}"
        return self._refuses_optimizer(experiment.optimizer) or refuses_network(
            experiment.network, self.activations
        )

    def _refuses_optimizer(self, optimizer: Optimizer) -> str | None:
        if type(optimizer) not in self.optimizers:
            known = [each.__name__ for each in self.optimizers]
            return f"it supports {_listed(known)}, not {optimizer.name}"
        if setting := _other_than(self.optimizers[type(optimizer)], optimizer):
            return f"it does not support {setting}; the optimizer is {optimizer.label}"
        return None


def refuses_network(network: MLP, activations: Collection[str]) -> str | None:
    """Returns, in a few words, a setting of the network that is not honoured; None if all are."""
    if type(network) not in _NETWORKS:
        return f"it supports the network class MLP, not {type(network).__name__}"
    if setting := _other_than(_NETWORKS[type(network)], network):
        return f"it does not support {setting}; the network is {network!r}"
    for activation in network.activations:
        if activation not in activations:
            return f"it supports the activations {_listed([*activations])}, not {activation}"
    return None


def _other_than(honoured: Collection[str], value: object) -> str | None:
    """Returns, in words, a field that is not honoured and not at its default."""
    for each in fields(cast(Any, value)):
        if each.name not in honoured and differs(value, each):
            return each.name.replace("_", " ")
    return None


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
