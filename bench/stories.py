"""The exercises' stories: what each found and why, in two or three sentences with figures from the run.

Each function takes the `Results` of its exercise, and returns "" if a row that it needs did not run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeAlias

from bench.evidence import by_learning_rate, epochs_to, format_epochs, improving_at_the_end
from harness.accuracy import format_accuracy
from harness.exercise import Results
from harness.stats import format_mean, span_around_best
from harness.wording import counted
from model.experiment import Training

# From docs/findings.md: a run keeps no network of every epoch.
_SATURATION = (
    "In PyTorch's plain loop under seed 0, after three epochs, 99 % of their outputs on the test set "
    "are within 0.01 of 0 or 1, compared with 6 % at batch size 100 (docs/findings.md)."
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
        "At one learning rate the number of steps decides, and a smaller batch takes more of them in "
        f"an epoch. In {epochs}, batch size 100 takes {hundred.steps:,} steps "
        f"and ends at {_end(hundred)} test accuracy; gradient descent takes {descent.steps:,} and ends "
        f"at {_end(descent)}. {_after_equal_steps(results)}"
        f"Batch size 1 peaks at {format_accuracy(peak)} and "
        + (f"drops to {format_accuracy(end)}" if drops else f"ends at {format_accuracy(end)}")
        + f": 0.1 is too large a rate for it, not too small. At 0.01 it ends at {_end(slower)}. At 0.1 "
        f"the weights below the sigmoids end {moved / usual:.0f} times as far from their start as at "
        "batch size 100; this saturates the sigmoids, which then pass on ever less of the gradient. "
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
    if not 0 < epoch <= small.experiment.epochs:
        return ""
    now, end = format_accuracy(small.test_accuracy[epoch]), _end(large)
    return (
        f"After equally many, {large.steps:,}, batch size 100 is at {now} ({counted(epoch, 'epoch')}) "
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
    return (
        "From zero the network predicts one class for every image, and so ends at that class's share: "
        f"{_end(descent, 4)} by gradient descent, {_end(sgd, 4)} by SGD. The ReLU layer outputs 0, so "
        "the gradient reaches only the parameters above it, which see the same input for every image. "
        "From 0.01, 0.1 and 1 the units of a layer stay copies of each other, and little is learnt: "
        f"the best end is {_end(best)}, by {method} from {best.experiment.init:g}."
    )


@_empty_if_missing
def online_gradient(results: Results) -> str:
    online, shuffled = (
        by_learning_rate(each for each in results.trainings.values() if each.experiment.order == order)
        for order in ("by_class", "shuffled")
    )
    if not (online and shuffled):
        return ""
    (at, ours), (best_at, theirs) = (_best(each) for each in (online, shuffled))
    ends = {each.final_test_accuracy for each in online.values()}
    where = f"at best (rate {at:g})" if len(ends) > 1 else "at every rate"
    epochs = counted(ours.experiment.epochs, "epoch")
    improving = f"{improving_at_the_end(online)} ".lstrip()
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
        "Sorted by class, the network learns one class after the other and forgets much of the rest: "
        f"after {epochs} online ends at {_end(ours)} test accuracy {where}, shuffled SGD at "
        f"{_end(theirs)} at its best of {counted(len(shuffled), 'rate')} ({best_at:g}). {improving}"
        "The next gradients of the sorted stream all pull one way, so their mean "
        f"is a biased estimate: averaging 3000 of them divides the distance to the full gradient by "
        f"{nearer['by_class']}, compared with {nearer['shuffled']} if they are shuffled. Unbiasedness "
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
    return (
        f"After {counted(best_adam.experiment.epochs, 'epoch')}, Adam is best at rate {adam_at:g} "
        f"({_end(best_adam)} test accuracy), SGD at {sgd_at:g} ({_end(best_sgd)}). First at 90 %, at "
        f"0.001: Adam {_soon(adam[0.001])}, SGD {_soon(sgd[0.001])}; each at its best rate: Adam "
        f"{_soon(best_adam)}, SGD {_soon(best_sgd)}. "
        "Adam divides each gradient by its recent size, so its steps are as long as the rate says, and "
        f"0.1 is already too long ({_end(adam[0.1])}); SGD's steps shrink with the gradient, and it is "
        f"still at {_end(sgd[1])} at rate 1. Rates that end within 5 points of the best: "
        f"{_span(adam)} for Adam, {_span(sgd)} for SGD."
    )


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
        return f"{rates[first]:g} alone"
    return f"{rates[first]:g} to {rates[last]:g}"
