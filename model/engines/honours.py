"""Which settings of an experiment an engine honours, and the one function that refuses all others.

A class or a field that is not listed is refused, so one that is added to `Experiment` or to an optimizer
is refused by everything that has not been taught it: engines, peers, the roofline bound.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from ..experiment import Experiment
from ..optimizers import Optimizer, differs

# An engine builds the network, and takes the order, the data and the number of epochs from its caller.
_SETTINGS = frozenset({"optimizer", "batch_size", "epochs", "order", "init", "dataset"})


@dataclass(frozen=True)
class Honours:
    """What is honoured, other than at its default."""

    optimizers: Mapping[type[Optimizer], Collection[str]]
    """For each class of optimizer, itself and not its subclasses, the fields."""
    settings: Collection[str] = _SETTINGS
    """Fields of the experiment."""

    def refuses(self, experiment: Experiment) -> str | None:
        """The setting that is not honoured, by name, in a few words; None if all of them are."""
        for each in fields(experiment):
            if each.name not in self.settings and differs(experiment, each):
                return f"it does not know {each.name}; this has {getattr(experiment, each.name)!r}"
        optimizer = experiment.optimizer
        if type(optimizer) not in self.optimizers:
            known = [each.__name__ for each in self.optimizers]
            *others, last = known
            listed = f"{', '.join(others)} and {last}" if others else last
            return f"it runs {listed}, not {optimizer.name}"
        for each in fields(cast(Any, optimizer)):
            if each.name not in self.optimizers[type(optimizer)] and differs(optimizer, each):
                setting = each.name.replace("_", " ")
                return f"it runs {optimizer.name} without {setting}; this is {optimizer.label}"
        return None
