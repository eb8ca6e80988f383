"""The exercises' stories: what each found and why, in two or three sentences with figures from the run.

Each function takes the `Results` of its exercise, and returns "" if a row that it needs did not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TypeAlias

import numpy as np

from bench.evidence import (
    by_learning_rate,
    converges,
    epochs_to,
    format_epochs,
    improving_at_the_end,
    seconds_to,
)
from harness.accuracy import format_accuracy
from harness.exercise import Results
from harness.results.evenness import time_sign
from harness.stats import format_mean, span_around_best
from harness.wording import counted, format_rate
from model.experiment import Training

# From docs/findings.md: a run keeps no network of every epoch.
_SATURATION = (
    "In PyTorch's plain loop under seed 0, after three epochs, 99 % of their outputs on the test set "
    "are within 0.01 of 0 or 1, compared with 6 % at batch size 100."
)

Story: TypeAlias = Callable[[Results], str]


def _empty_if_missing(story: Story) -> Story:
    """Returns the story, but "" if it lacks a training or a measurement."""

    @wraps(story)
    def told(results: Results) -> str:
        try:
            return story(results)
        except KeyError:
            return ""

    return told


@_empty_if_missing
def minibatch_size(results: Results) -> str:
    hundred, descent, one, slower = (
        results.trainings[name]
        for name in (
            "sgd-lr0.1-batch100",
            "sgd-lr0.1-batch60000",
            "sgd-lr0.1-batch1",
            "sgd-lr0.01-batch1",
        )
    )
    epochs = counted(hundred.experiment.epochs, "epoch")
    peak, end = one.test_accuracy.max(axis=0), one.test_accuracy[-1]
    drops = peak.mean() > end.mean() + 0.03
    # Of the weights below the sigmoids.
    moved, usual = (each.distance_from_initialisation[2].mean() for each in (one, hundred))
    return (
        "From batch size 100 up, at one learning rate, the number of steps decides how far training "
        "gets, and a smaller batch takes more of them in an epoch. "
        f"In {epochs}, batch size 100 takes {hundred.steps:,} steps "
        f"and ends at {_end(hundred)} test accuracy; gradient descent takes {descent.steps:,} and ends "
        f"at {_end(descent)}. {_after_equal_steps(results)}"
        f"Batch size 1 peaks at {format_accuracy(peak)} and "
        + (f"drops to {format_accuracy(end)}" if drops else f"ends at {format_accuracy(end)}")
        + f": 0.1 is too large a rate for it, not too small. At 0.01 it ends at {_end(slower)}. At 0.1 "
        f"the weights below the sigmoids end {moved / usual:.0f} times as far from where they started "
        "as at batch size 100. So the sigmoids saturate, and pass on ever less of the gradient. "
        f"{_SATURATION}"
    )


def _after_equal_steps(results: Results) -> str:
    """Returns a sentence on batch sizes 100 and 1000 after equally many steps, with a space at its end.

    It is empty if no epoch of batch size 100 ends when batch size 1000 has taken its last step.
    """
    large = results.trainings.get("sgd-lr0.1-batch1000")
    small = results.trainings["sgd-lr0.1-batch100"]
    if large is None or large.steps * small.experiment.epochs % small.steps:
        return ""
    epoch = large.steps * small.experiment.epochs // small.steps
    if epoch > small.experiment.epochs:
        return ""
    now, end = format_accuracy(small.test_accuracy[epoch]), _end(large)
    return (
        f"After {large.steps:,} steps each, batch size 100 is at {now} ({counted(epoch, 'epoch')}) "
        f"and 1000 at {end} ({counted(large.experiment.epochs, 'epoch')}). "
    )


@_empty_if_missing
def constant_init(results: Results) -> str:
    descent, sgd = (results.trainings[name] for name in ("gd-init0", "sgd-init0"))
    others = {
        name: each for name, each in results.trainings.items() if name not in ("gd-init0", "sgd-init0")
    }
    best = max(others.values(), key=lambda each: each.final_test_accuracy)
    method = "gradient descent" if best.experiment.batch_size == 60000 else "SGD"
    ends = [_end(each, 4) for each in (descent, sgd)]
    shares = (
        f"{ends[0]} by both methods"
        if ends[0] == ends[1]
        else f"{ends[0]} by gradient descent, {ends[1]} by SGD"
    )
    return (
        "From zero the network predicts one class for every image, and so ends at that class's share: "
        f"{shares}. The ReLU layer outputs 0, so only the biases of the second layer and the output "
        "layer receive a gradient, and these see the same input for every image. "
        "From 0.01, 0.1 and 1 the units of a layer stay copies of each other, as if each layer had only "
        f"one unit; the best end is {_end(best)}, by {method} from {best.experiment.init:g}."
        f"{_stuck_below_the_output(others.values())}"
    )


def _stuck_below_the_output(trainings: Iterable[Training]) -> str:
    """Returns a sentence, after a space, on the values from which only the output layer moves."""
    moved: dict[float, bool] = {}
    for each in trainings:
        below = each.distance_from_initialisation[:-2]
        moved[float(each.experiment.init)] = moved.get(float(each.experiment.init), False) or below.any()
    stuck = [f"{value:g}" for value, any_moved in sorted(moved.items()) if not any_moved]
    if not stuck:
        return ""
    return (
        f" From {' and '.join(stuck)} the sigmoids are saturated, and nothing below the output layer "
        "moves."
    )


@_empty_if_missing
def online_gradient(results: Results) -> str:
    online, shuffled = (
        by_learning_rate(each for each in results.trainings.values() if each.experiment.order == order)
        for order in ("by_class", "shuffled")
    )
    if not (online and shuffled):
        return ""
    best_at, theirs = _best(shuffled)
    epochs = counted(theirs.experiment.epochs, "epoch")
    by_rate = [f"{_end(each)} at {format_rate(rate)}" for rate, each in online.items()]
    ends = {_end(each) for each in online.values()}
    where = ", ".join(by_rate) if len(ends) > 1 else f"{ends.pop()} at every rate"
    none = all(converges(each) is not True for each in online.values())
    verdict, which = (
        ("It does not converge", "no rate ends at 90 %")
        if none
        else ("It converges only in part", "some rates end at 90 %")
    )
    improving = f"{improving_at_the_end(online, 'the accuracy')} ".lstrip()
    bias = results.measurements["gradient-bias"]
    counts = bias[0]["by_class"]["counts"]
    few, many = counts.index(1), counts.index(3000)
    gain = {
        order: [each[order]["relative_error"] for each in bias] for order in ("by_class", "shuffled")
    }
    nearer = {
        order: format_mean([seed[-1][few] / seed[-1][many] for seed in seeds], 1)
        for order, seeds in gain.items()
    }
    return (
        f"{verdict} within {epochs} ({which}): on the sorted stream the test accuracy ends at {where}. "
        f"{improving}Shuffled, SGD ends at {_end(theirs)} at the best of the "
        f"{counted(len(shuffled), 'rate')} tried ({format_rate(best_at)}). "
        "The network learns one class after the other and forgets the rest. "
        "The next gradients of the sorted stream all pull one way, so their mean "
        "is a biased estimate: after three epochs of training, the mean of 3000 is "
        f"{nearer['by_class']} times as close to the full gradient as one alone; shuffled, it is "
        f"{nearer['shuffled']} times as close. Unbiasedness "
        "is the assumption of the convergence proof that fails; smoothness does not depend on the order."
    )


@_empty_if_missing
def adam_vs_sgd(results: Results) -> str:
    adam, sgd = (
        by_learning_rate(
            each
            for each in results.trainings.values()
            if type(each.experiment.optimizer).__name__ == optimizer
        )
        for optimizer in ("Adam", "SGD")
    )
    if not (adam and sgd):
        return ""
    (adam_at, best_adam), (sgd_at, best_sgd) = _best(adam), _best(sgd)
    lowest = ", the lowest tried, so a lower one may be better" if adam_at == min(adam) else ""
    return (
        f"After {counted(best_adam.experiment.epochs, 'epoch')}, Adam is best at rate "
        f"{format_rate(adam_at)} ({_end(best_adam)} test accuracy){lowest}, "
        f"SGD at {format_rate(sgd_at)} ({_end(best_sgd)}). At 0.001 "
        f"Adam reaches 90 % {_soon(adam[0.001])}, SGD {_soon(sgd[0.001])}; at their best rates "
        f"{_both(_soon(best_adam), _soon(best_sgd))}. {_to_97(best_adam, best_sgd)}"
        f"{_epoch_times(adam[0.001], sgd[0.001])}"
        "Adam divides each gradient by its recent size, so its steps are as long as the rate says, and "
        f"at 0.1 they are already too long ({_end(adam[0.1])}); SGD's steps shrink with the gradient, "
        f"and it is still at {_end(sgd[1])} at rate 1. Rates that end within 5 points of the best: "
        f"{_span(adam)} for Adam, {_span(sgd)} for SGD."
    )


def _both(adam: str, sgd: str) -> str:
    return f"both {adam}" if adam == sgd else f"Adam {adam}, SGD {sgd}"


def _to_97(adam: Training, sgd: Training) -> str:
    """Returns a sentence on the epochs and seconds to 97 %, with a space at its end.

    It is empty if one never gets there, or if their times are not comparable.
    """
    both = (adam, sgd)
    reach = all((epochs_to(each, 0.97) <= each.experiment.epochs).all() for each in both)
    if not reach or adam.ran_on != sgd.ran_on:
        return ""
    takes = [
        f"{format_mean(seconds_to(each, 0.97), 2)} s{time_sign(each)} "
        f"({format_epochs(each, epochs_to(each, 0.97))})"
        for each in both
    ]
    seeds = f", for all {len(adam.seeds)} seeds together," if len(adam.seeds) > 1 else ""
    return f"To 97 %{seeds} Adam takes {takes[0]}, SGD {takes[1]}. "


def _epoch_times(adam: Training, sgd: Training) -> str:
    """Returns a sentence on the time of an epoch, with a space at its end; empty if not comparable."""
    medians = [float(np.median(np.diff(each.epoch_seconds))) for each in (adam, sgd)]
    if adam.ran_on != sgd.ran_on or not all(medians):
        return ""
    return f"A median epoch of Adam takes {medians[0] / medians[1]:.2g} times as long as one of SGD. "


def _end(training: Training, decimals: int = 3) -> str:
    return format_accuracy(training.test_accuracy[-1], decimals)


def _best(trainings: Mapping[float, Training]) -> tuple[float, Training]:
    return max(trainings.items(), key=lambda pair: pair[1].final_test_accuracy)


def _soon(training: Training) -> str:
    return format_epochs(training, epochs_to(training, 0.9))


def _span(trainings: Mapping[float, Training]) -> str:
    """Returns the rates around the best that end within 5 points of it, like "0.01 to 1"."""
    rates = sorted(trainings)
    first, last = span_around_best([trainings[rate].final_test_accuracy for rate in rates], 0.05)
    if first == last:
        return f"{format_rate(rates[first])} alone"
    return f"{format_rate(rates[first])} to {format_rate(rates[last])}"
