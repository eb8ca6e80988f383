"""Claims about the optimizers, which the module of each data set imports.

They use the measures of DeepOBS (F. Schneider, L. Balles, P. Hennig, 2019), which reports the best
final accuracy, the speed and the tunability of an optimizer, and of AlgoPerf (G. Dahl et al., 2023),
which measures time to a target.
"""

import numpy as np

from examples.optimizers.measures import (
    best,
    best_rate,
    epochs_to,
    expected_best,
    fastest,
    ranking,
    share_near_best,
)
from harness.accuracy import format_accuracy
from harness.claim import claim
from harness.results.evenness import judge_times
from harness.stats import accuracy_exceeds, all_hold, exceeds, format_mean

SGD, MOMENTUM = "SGD", "SGD with momentum 0.9"
NEEDS = "more epochs: after the first, small learning rates have hardly begun"


def _best_of_all(by_optimizer):
    """Formats the final accuracies at the best rates, best first."""
    means = {name: best(each).mean() for name, each in by_optimizer.items()}
    return "; ".join(
        f"{name} {format_accuracy(best(by_optimizer[name]), 4)} at {best_rate(by_optimizer[name]):g}"
        for name in sorted(means, key=lambda name: -means[name])
    )


@claim(
    "At its best rate, every optimizer ends within one point of the best of them.",
    needs=NEEDS,
    criterion="Compares final test accuracies.",
    shown_in="learning-rate",
)
def test_all_end_within_a_point(by_optimizer, decide):
    ends = {name: best(each) for name, each in by_optimizer.items()}
    top = max(ends.values(), key=np.mean)
    decide(
        all_hold(_ends_above(by_optimizer, each, top, by=-0.01) for each in ends.values()),
        f"Final test accuracies at the best rates: {_best_of_all(by_optimizer)}.",
    )


@claim(
    "The optimizers can be ranked by their best final accuracies without a tie.",
    needs=NEEDS,
    criterion="A tie is a pair that paired tests, adjusted for all pairs, leave open.",
    shown_in="learning-rate",
)
def test_the_ranking_has_no_ties(by_optimizer, decide):
    ranks = ranking({name: best(each) for name, each in by_optimizer.items()})
    seeds = len(best(next(iter(by_optimizer.values()))))
    decide(
        len(set(ranks.values())) == len(ranks) if seeds > 1 else None,
        f"Ranks: {', '.join(f'{rank} {name}' for name, rank in ranks.items())}.",
    )


@claim(
    "At its best rate, Adam ends better than SGD with momentum.",
    needs=NEEDS,
    criterion="Compares final test accuracies, each at the optimizer's own best rate.",
    shown_in="learning-rate",
)
def test_adam_ends_better_than_momentum(by_optimizer, decide):
    adam, momentum = by_optimizer["Adam"], by_optimizer[MOMENTUM]
    decide(
        _ends_above(by_optimizer, best(adam), best(momentum)),
        f"Final test accuracies: Adam {format_accuracy(best(adam), 4)} at {best_rate(adam):g}, "
        f"{MOMENTUM} {format_accuracy(best(momentum), 4)} at {best_rate(momentum):g}.",
    )


@claim(
    "AdamW ends where Adam does, to a fifth of a point.",
    needs=NEEDS,
    criterion="An equivalence test: the interval of their difference is within 0.2 points of 0.",
    shown_in="learning-rate",
)
def test_adamw_ends_where_adam_does(by_optimizer, decide):
    adam, adamw = best(by_optimizer["Adam"]), best(by_optimizer["AdamW"])
    decide(
        all_hold(
            [
                _ends_above(by_optimizer, adam, adamw, by=-0.002),
                _ends_above(by_optimizer, adamw, adam, by=-0.002),
            ]
        ),
        f"Final test accuracies at the best rates: Adam {format_accuracy(adam, 4)}, "
        f"AdamW {format_accuracy(adamw, 4)}.",
    )


def _speeds(by_optimizer, target):
    """Returns the training of each optimizer that is first at `target`, and all of them in words."""
    found = {name: fastest(each, target) for name, each in by_optimizer.items()}
    words = []
    for name, training in found.items():
        if training is None:
            words.append(f"{name} never")
            continue
        epochs = epochs_to(training, target)
        steps = epochs * training.steps / training.experiment.epochs
        seconds = epochs * training.seconds / training.experiment.epochs / len(training.seeds)
        words.append(
            f"{name} at {training.experiment.learning_rate:g} in {format_mean(steps, 0)} steps and "
            f"{format_mean(seconds, 2)} s"
        )
    return found, "; ".join(words)


@claim(
    "The adaptive methods are at the highest target in fewer steps than plain SGD.",
    needs=NEEDS,
    criterion="RMSprop, Adagrad, Adam and AdamW, each at the rate that reaches the target first.",
    shown_in="time-to-accuracy",
)
def test_adaptive_methods_take_fewer_steps(by_optimizer, decide):
    target = _target(by_optimizer)
    found, figures = _speeds(by_optimizer, target)
    plain = found[SGD]
    adaptive = [found[name] for name in ("RMSprop", "Adagrad", "Adam", "AdamW")]
    if plain is None or None in adaptive:
        holds = plain is None and None not in adaptive
    else:
        late = epochs_to(plain, target)
        holds = all_hold(exceeds(late, epochs_to(each, target)) for each in adaptive)
    decide(holds, f"To {target:.0%} test accuracy: {figures}.")


@claim(
    "Adam is at the highest target sooner than SGD with momentum, in seconds of training.",
    needs=NEEDS,
    criterion="Each at the rate that reaches the target first.",
    shown_in="time-to-accuracy",
)
def test_adam_is_sooner_than_momentum(by_optimizer, decide):
    target = _target(by_optimizer)
    found, figures = _speeds(by_optimizer, target)
    adam, momentum = found["Adam"], found[MOMENTUM]
    if adam is None or momentum is None:
        decide(adam is not None, f"To {target:.0%} test accuracy: {figures}.")
        return

    def seconds(training):
        return epochs_to(training, target) * training.seconds / training.experiment.epochs

    timed = {"Adam": adam, MOMENTUM: momentum}
    holds, open_because = judge_times(
        lambda each: exceeds(seconds(each[MOMENTUM]), seconds(each["Adam"])), timed
    )
    decide(
        holds,
        f"To {target:.0%} test accuracy: {figures}.",
        open_because=open_because,
        timed=timed,
    )


@claim(
    "Adam is more tunable than plain SGD: more of its rates end within a point of its best.",
    needs=NEEDS,
    criterion="Compares the shares of the rates that end within a point of the optimizer's best.",
    shown_in="learning-rate",
)
def test_adam_is_more_tunable(by_optimizer, decide):
    shares = {name: share_near_best(each) for name, each in by_optimizer.items()}
    figures = ", ".join(f"{name} {format_mean(100 * each, 0)} %" for name, each in shares.items())
    rates = len(by_optimizer["Adam"])
    decide(
        exceeds(shares["Adam"], shares[SGD]),
        f"Of the {rates} rates, within a point of the optimizer's best: {figures}.",
    )


@claim(
    "With three learning rates drawn at random, Adam is expected to end better than SGD with momentum.",
    needs=NEEDS,
    criterion="Compares the expected accuracies of the best of the three.",
    shown_in="expected-best",
)
def test_adam_is_better_with_three_draws(by_optimizer, decide):
    expected = {
        draws: {name: expected_best(each, draws) for name, each in by_optimizer.items()}
        for draws in (1, 3, 5)
    }
    figures = "; ".join(
        f"of {draws}: " + ", ".join(f"{name} {format_mean(each)}" for name, each in found.items())
        for draws, found in expected.items()
    )
    decide(
        _ends_above(by_optimizer, expected[3]["Adam"], expected[3][MOMENTUM]),
        f"Expected final test accuracy of the best {figures}.",
    )


def _ends_above(by_optimizer, ours, theirs, by=0):
    """Returns whether accuracies exceed others, given the size of the test set."""
    training = next(iter(next(iter(by_optimizer.values())).values()))
    return accuracy_exceeds(ours, theirs, by, examples=training.test_examples)


def _target(by_optimizer):
    """Returns the highest of the data set's targets."""
    trainings = next(iter(by_optimizer.values()))
    return next(iter(trainings.values())).experiment.dataset.targets[-1]
