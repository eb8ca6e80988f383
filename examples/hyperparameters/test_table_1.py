"""Table 1 by epoch: would fewer epochs, or equally many steps, give its accuracies?"""

import numpy as np
import pytest

from bench.paper import TABLE_1
from examples.hyperparameters.agreement import (
    CRITERION,
    NEEDS,
    Comparison,
    agreements,
    best_guess,
    format_deviations,
    open_with_one_seed,
)
from harness.claim import claim
from harness.exercise import Exercise, Published, Row
from harness.wording import counted
from model.optimizers import SGD

_ONLY = ""  # Table 1 gives its batch sizes, so there is only one guess, without a name


def as_published(trained):
    """Returns Table 1's accuracies next to ours, under the only guess; `trained(row)` is a training."""
    return {
        _ONLY: [
            Comparison(f"batch size {size}", published.test_accuracy, trained(f"sgd-lr0.1-batch{size}"))
            for size, published in TABLE_1.items()
        ]
    }


def _agreement(results):
    """Draws the figure; Altair is imported only then."""
    from examples.hyperparameters.figures import agreement_by_epoch

    return agreement_by_epoch(results, as_published, "")


EXERCISE = Exercise(
    title="Table 1: how many epochs, or steps?",
    question="Which number of epochs or of steps gives the five accuracies of Table 1?",
    source="Table 1",
    rows=tuple(
        Row(
            f"sgd-lr0.1-batch{size}",
            {"optimizer": SGD(0.1), "batch_size": size},
            Published(published.test_accuracy, published.seconds),
        )
        for size, published in TABLE_1.items()
    ),
    figures={"agreement": _agreement},
)


@pytest.fixture
def guesses(trained):
    """Returns Table 1's accuracies next to ours."""
    return as_published(trained)


def after_steps(comparisons):
    """Returns how many agree, by the number of steps that all rows have taken by then.

    A row without an epoch that ends after so many steps does not agree.
    """
    found = {}
    for each in comparisons:
        steps = each.training.steps // each.training.experiment.epochs
        for epoch in np.flatnonzero(each.agrees).tolist():
            found[steps * epoch] = found.get(steps * epoch, 0) + 1
    return found


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)


@claim(
    "One number of epochs agrees with all five accuracies of Table 1.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
@open_with_one_seed
def test_one_number_of_epochs_agrees_with_all(guesses, decide):
    guess, epoch, most = best_guess(guesses)
    decide(
        most == len(TABLE_1),
        f"The most are {most} of five, after {counted(epoch, 'epoch')}. In standard deviations over "
        "seeds, the published accuracies are then above ours by: "
        f"{format_deviations(guesses[guess], epoch)}.",
    )


@claim(
    "Equally many steps agree with more accuracies of Table 1 than equally many epochs.",
    needs=NEEDS,
    criterion=f"{CRITERION} Accuracies are measured after whole epochs.",
    shown_in="agreement",
)
@open_with_one_seed
def test_steps_agree_more_than_epochs(guesses, decide):
    by_steps = after_steps(guesses[_ONLY])
    steps = max(by_steps, key=by_steps.get, default=0)
    most, epochs = by_steps.get(steps, 0), int(agreements(guesses[_ONLY]).max())
    decide(
        most > epochs,
        f"The most are {most} of five after {steps:,} steps, and {epochs} after equally many epochs.",
    )


@claim(
    "Each accuracy of Table 1 agrees with some number of epochs up to 100.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
@open_with_one_seed
def test_each_agrees_with_some_epoch(guesses, decide):
    found = []
    for each in guesses[_ONLY]:
        epochs = np.flatnonzero(each.agrees)
        found.append(
            f"{each.name}: {len(epochs)}, from {epochs[0]} to {epochs[-1]}"
            if len(epochs)
            else f"{each.name}: none (nearest to {each.published:.3f} is {each.nearest[1]:.3f}, "
            f"after {counted(each.nearest[0], 'epoch')})"
        )
    decide(all(each.agrees.any() for each in guesses[_ONLY]), f"Epochs that agree: {'; '.join(found)}.")
