"""Table 1 by epoch: would fewer epochs, or equally many steps, give its accuracies?"""

import numpy as np
import pytest

from bench.paper import TABLE_1
from examples.hyperparameters.agreement import (
    CRITERION,
    NEEDS,
    NOT_COUNTED,
    ONE_SEED,
    Comparison,
    agreements,
    best_guess,
    format_deviations,
    lack_seeds,
)
from harness.claim import claim
from harness.exercise import Exercise, Published, Row
from model.optimizers import SGD


def comparisons_of(trainings):
    """Returns Table 1's accuracies next to ours; `trainings` are by the row's name."""
    return [
        Comparison(f"batch size {size}", published.test_accuracy, trainings[f"sgd-lr0.1-batch{size}"])
        for size, published in TABLE_1.items()
    ]


def _agreement(results):
    """Draws the figure; Altair is imported only then."""
    from examples.hyperparameters.figures import agreement_by_epoch

    return agreement_by_epoch(results, lambda trainings: {"": comparisons_of(trainings)}, "")


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
def comparisons(trained):
    """Returns Table 1's accuracies next to ours."""
    return comparisons_of(trained.where())


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
def test_one_number_of_epochs_agrees_with_all(comparisons, decide):
    if lack_seeds(comparisons):
        decide(None, NOT_COUNTED, open_because=ONE_SEED)
        return
    _, epoch, most = best_guess({0: comparisons})
    decide(
        most == len(TABLE_1),
        f"The most are {most} of five, after {epoch} epochs. In standard deviations over seeds, the "
        f"published accuracies are then above ours by: {format_deviations(comparisons, epoch)}.",
    )


@claim(
    "Equally many steps agree with more accuracies of Table 1 than equally many epochs.",
    needs=NEEDS,
    criterion=f"{CRITERION} Accuracies are measured after whole epochs.",
    shown_in="agreement",
)
def test_steps_agree_more_than_epochs(comparisons, decide):
    if lack_seeds(comparisons):
        decide(None, NOT_COUNTED, open_because=ONE_SEED)
        return
    by_steps = after_steps(comparisons)
    steps = max(by_steps, key=by_steps.get, default=0)
    epochs = int(agreements(comparisons).max())
    decide(
        by_steps.get(steps, 0) > epochs,
        f"The most are {by_steps.get(steps, 0)} of five after {steps:,} steps, and {epochs} after "
        "equally many epochs.",
    )


@claim(
    "Each accuracy of Table 1 agrees with some number of epochs up to 100.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
def test_each_agrees_with_some_epoch(comparisons, decide):
    if lack_seeds(comparisons):
        decide(None, NOT_COUNTED, open_because=ONE_SEED)
        return
    found = []
    for each in comparisons:
        epochs = np.flatnonzero(each.agrees)
        found.append(
            f"{each.name}: {len(epochs)}, from {epochs[0]} to {epochs[-1]}"
            if len(epochs)
            else f"{each.name}: none (nearest to {each.published:.3f} is {each.nearest[1]:.3f}, "
            f"after {each.nearest[0]} epochs)"
        )
    decide(all(each.agrees.any() for each in comparisons), f"Epochs that agree: {'; '.join(found)}.")
