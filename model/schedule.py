"""Schedules as values: how the learning rate changes while a network trains.

A schedule is a class of `torch.optim.lr_scheduler`, or your own subclass of `LRScheduler`, with its
options. Engines know nothing about schedules: they receive the learning rate of every step.
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

if TYPE_CHECKING:  # a report is rendered without PyTorch
    import torch

EVERY = ("epoch", "step")


class ScheduleError(ValueError):
    """A schedule cannot provide the learning rates; the message is one line."""


@dataclass(frozen=True)
class Schedule:
    """`Schedule(torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 10})`.

    It advances after every epoch, or with `every="step"` after every step. The class is kept by its
    module and qualified name, so that the value can be compared and written. Raises ValueError, naming
    the field, for an invalid value.
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
        """Yields, for each epoch, the learning rates of its steps, float64 of shape (steps,).

        Raises ScheduleError if PyTorch cannot make the scheduler with these options, if it cannot
        advance by the number of steps alone, or if it changes more than the learning rate.
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
        """Advances it `epochs` times; raises ScheduleError as `rates` does.

        A schedule that a file names is not tried: its class may be unknown to a process that reads a
        report.
        """
        if not self._by_class:
            return
        for _ in islice(self.rates(optimizer, steps=1), max(epochs, 2)):
            pass

    def to_dict(self) -> dict[str, Any]:
        """Returns the value in a form for JSON."""
        return {"scheduler": self.scheduler, "options": written(self.options), "every": self.every}

    @classmethod
    def from_dict(cls, content: object) -> Schedule | None:
        """Returns the schedule that `to_dict` wrote, or None for None; else raises ValueError."""
        if content is None:
            return None
        if not isinstance(content, Mapping) or {*content} != {"scheduler", "options", "every"}:
            raise ValueError(f"schedule is {shown(content)}; expected scheduler, options and every")
        return cls(**content)

    def _make(self, optimizer: Optimizer) -> tuple[torch.optim.Optimizer, Any]:
        """Returns the scheduler and the optimizer that it schedules, which is not used for training."""
        import torch

        scheduled = optimizer.build([torch.zeros(1, 1, requires_grad=True)])
        try:
            made = look_up(str(self.scheduler), "scheduler")(scheduled, **called_with(self.options))
        except Exception as error:  # whatever a class raises for its options
            raise ScheduleError(f"{self} cannot be made: {one_line(error)}") from None
        return scheduled, made

    def _rate(self, scheduled: torch.optim.Optimizer, optimizer: Optimizer) -> float:
        """Returns the rate that the scheduler has set; raises ScheduleError if it is invalid."""
        (group,) = scheduled.param_groups
        for name, value in scheduled.defaults.items():
            if name != "lr" and group[name] != value:
                raise ScheduleError(f"{self} changes {name}; expected only the learning rate to change")
        rate = float(group["lr"])
        if not 0 <= rate < np.inf:  # nor NaN
            raise ScheduleError(
                f"{self} changes the learning rate from {optimizer.learning_rate:g} to {rate:g}; "
                "expected a finite number from 0"
            )
        return rate

    def _advance(self, scheduled: torch.optim.Optimizer, scheduler: Any) -> None:
        scheduled._opt_called = True  # type: ignore[attr-defined]  # no warning that it never steps
        try:
            scheduler.step()
        except Exception as error:  # it may need a metric, or be called more often than it allows
            raise ScheduleError(f"{self} cannot advance: {one_line(error)}") from None
