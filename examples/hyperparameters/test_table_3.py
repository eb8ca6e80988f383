"""Table 3 by batch size, which the assignment does not give, and by epoch."""

import pytest

from bench.paper import TABLE_3
from examples.hyperparameters.agreement import (
    CRITERION,
    NEEDS,
    Comparison,
    agreements,
    best_guess,
    format_deviations,
    open_with_one_seed,
    unexplained,
)
from harness.claim import claim
from harness.exercise import Exercise, Published, Row
from harness.wording import counted
from model.optimizers import SGD, Adam

BATCH_SIZES = (8, 16, 32, 64, 100)
_GUESS = 32  # of bench/test_4_adam_vs_sgd.py
_OPTIMIZERS = {"adam": Adam, "sgd": SGD}


def by_batch_size(trained):
    """Returns Table 3's accuracies next to ours by batch size; `trained(row)` returns a training."""
    return {
        size: [
            Comparison(
                f"{_OPTIMIZERS[optimizer].__name__} at {rate}",
                published.test_accuracy,
                trained(f"{optimizer}-lr{rate}-batch{size}"),
            )
            for (optimizer, rate), published in TABLE_3.items()
        ]
        for size in BATCH_SIZES
    }


def _agreement(results):
    """Draws the figure; Altair is imported only then."""
    from examples.hyperparameters.figures import agreement_by_epoch

    return agreement_by_epoch(results, by_batch_size, "batch size")


EXERCISE = Exercise(
    title="Table 3: which batch size, and how many epochs?",
    question="Which batch size and number of epochs give the ten accuracies of Table 3?",
    source="Table 3",
    rows=tuple(
        Row(
            f"{optimizer}-lr{rate}-batch{size}",
            {"optimizer": _OPTIMIZERS[optimizer](rate), "batch_size": size},
            Published(published.test_accuracy),
        )
        for (optimizer, rate), published in TABLE_3.items()
        for size in BATCH_SIZES
    ),
    figures={"agreement": _agreement},
)


@pytest.fixture
def guesses(trained):
    """Returns Table 3's accuracies next to ours by batch size."""
    return by_batch_size(trained)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)


@claim(
    f"After 100 epochs, batch size {_GUESS} agrees with more accuracies of Table 3 than the other four.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
@open_with_one_seed
def test_the_guessed_batch_size_agrees_most(guesses, decide):
    counts = {size: agreements(comparisons)[-1] for size, comparisons in guesses.items()}
    others = max(count for size, count in counts.items() if size != _GUESS)
    decide(
        bool(counts[_GUESS] > others),
        f"Of ten, by batch size: {', '.join(f'{size}: {n}' for size, n in counts.items())}. "
        f"With {_GUESS}, in standard deviations over seeds, they are above ours by: "
        f"{format_deviations(guesses[_GUESS], -1)}.",
    )


@claim(
    "One of the batch sizes and one number of epochs agree with all ten accuracies of Table 3.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
@open_with_one_seed
def test_one_guess_agrees_with_all(guesses, decide):
    size, epoch, most = best_guess(guesses)
    decide(
        most == len(TABLE_3),
        f"The most are {most} of ten, with batch size {size} after {counted(epoch, 'epoch')}. In "
        "standard deviations over seeds, the published accuracies are then above ours by: "
        f"{format_deviations(guesses[size], epoch)}.",
    )


@claim(
    "Each accuracy of Table 3 agrees with some batch size and number of epochs.",
    needs=NEEDS,
    criterion=CRITERION,
    shown_in="agreement",
)
@open_with_one_seed
def test_each_agrees_with_some_guess(guesses, decide):
    never = [
        f"{each.name} ({each.published:.3f}; nearest {each.nearest[1]:.3f}, "
        f"with batch size {size} after {counted(each.nearest[0], 'epoch')})"
        for each, size in unexplained(guesses)
    ]
    decide(not never, f"No guess agrees with: {', '.join(never)}." if never else "All ten do.")
