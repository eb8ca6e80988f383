"""Schedules as values: how the learning rate changes while a network trains.

A schedule is one of `torch.optim.lr_scheduler`, or a subclass of `LRScheduler` of one's own, with its
options. Engines know none of this: they are handed the learning rate of every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .by_name import called_with, check_name, in_words, look_up, name_of, plain_options, written
from .optimizers import Optimizer
from .values import one_line, shown

if TYPE_CHECKING:  # a report is drawn without PyTorch
    import torch

EVERY = ("epoch", "step")


class ScheduleError(ValueError):
    """A schedule cannot give the learning rates; one line says why."""


@dataclass(frozen=True)
class Schedule:
    """`Schedule(torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 10})`.

    It advances after every epoch, or with `every="step"` after every step. The class is kept as its
    module and qualified name, so that the value can be compared and written. Raises ValueError, naming
    the field, for a value that is not allowed.
    """

    scheduler: str | type
    options: Any = ()
    every: str = "epoch"
    _by_class: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.every not in EVERY:
            raise ValueError(f"every is {shown(self.every)}; expected one of {', '.join(EVERY)}")
        object.__setattr__(self, "options", plain_options(self.options, without=("optimizer",)))
        if not isinstance(self.scheduler, type):
            check_name("scheduler", self.scheduler, "a class of torch.optim.lr_scheduler")
            return
        from torch.optim.lr_scheduler import LRScheduler

        name = name_of("scheduler", self.scheduler, LRScheduler, "torch.optim.lr_scheduler")
        object.__setattr__(self, "scheduler", name)
        object.__setattr__(self, "_by_class", True)

    def __str__(self) -> str:
        name = str(self.scheduler).rpartition(".")[2]
        options = [in_words(*option) for option in self.options]
        return ", ".join([name, *options, f"every {self.every}"])

    def rates(self, optimizer: Optimizer, *, steps: int) -> Iterator[NDArray[np.float64]]:
        """The learning rates of each epoch's steps, float64 of shape (steps,), epoch after epoch.

        Raises ScheduleError for a scheduler that PyTorch cannot make with these options, that needs more
        than the number of steps, or that changes more than the learning rate.
        """
        scheduled, scheduler = self._make(optimizer)
        while True:
            if self.every == "epoch":
                yield np.full(steps, self._rate(scheduled, optimizer))
                self._advance(scheduled, scheduler)
                continue
            rates = np.empty(steps)
            for step in range(steps):
                rates[step] = self._rate(scheduled, optimizer)
                self._advance(scheduled, scheduler)
            yield rates

    def check(self, optimizer: Optimizer, *, epochs: int) -> None:
        """Advances it as in that many epochs, or as many steps; raises ScheduleError as `rates` does.

        One that a file names is not tried: where a report is read, its class may be unknown.
        """
        if not self._by_class:
            return
        for _ in islice(self.rates(optimizer, steps=1), max(epochs, 2)):
            pass

    def to_dict(self) -> dict[str, Any]:
        """The value as JSON has it."""
        return {"scheduler": self.scheduler, "options": written(self.options), "every": self.every}

    @classmethod
    def from_dict(cls, content: object) -> Schedule | None:
        """The schedule that `to_dict` wrote, or None for None; raises ValueError for anything else."""
        if content is None:
            return None
        if not isinstance(content, Mapping) or {*content} != {"scheduler", "options", "every"}:
            raise ValueError(f"schedule is {shown(content)}; expected scheduler, options and every")
        return cls(**content)

    def _make(self, optimizer: Optimizer) -> tuple[torch.optim.Optimizer, Any]:
        """The scheduler, of an optimizer that has nothing to do with the one that trains."""
        import torch

        scheduled = optimizer.build([torch.zeros(1, 1, requires_grad=True)])
        try:
            made = look_up(str(self.scheduler), "scheduler")(scheduled, **called_with(self.options))
        except Exception as error:  # whatever a class raises for its options
            raise ScheduleError(f"{self} cannot be made: {one_line(error)}") from None
        return scheduled, made

    def _rate(self, scheduled: torch.optim.Optimizer, optimizer: Optimizer) -> float:
        """The rate that the scheduler has set; raises ScheduleError for one that no step can take."""
        (group,) = scheduled.param_groups
        for name, value in scheduled.defaults.items():
            if name != "lr" and group[name] != value:
                raise ScheduleError(f"{self} changes {name}, and not the learning rate alone")
        rate = float(group["lr"])
        if not 0 <= rate < np.inf:  # nor NaN
            raise ScheduleError(
                f"{self} sets the learning rate to {rate:g}, from {optimizer.learning_rate:g}"
            )
        return rate

    def _advance(self, scheduled: torch.optim.Optimizer, scheduler: Any) -> None:
        scheduled._opt_called = True  # type: ignore[attr-defined]  # no warning that it never steps
        try:
            scheduler.step()
        except Exception as error:  # of one that wants a metric, or is called more often than it allows
            raise ScheduleError(f"{self} cannot advance: {one_line(error)}") from None
