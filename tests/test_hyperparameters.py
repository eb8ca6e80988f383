"""The study of what the assignment leaves out, on made-up trainings whose answers are known.

Two seeds that end 0.02 apart have a standard deviation of 0.0141, and a 95 % prediction interval of
12.71 * 0.0141 * sqrt(1.5) = 0.22 around their mean.
"""

import json

import numpy as np
import pytest

from examples.hyperparameters import agreement, figures
from examples.hyperparameters.agreement import Comparison
from harness.exercise import Results
from model.dataset import MNIST
from tests.bench_modules import bench_module, using_bench
from tests.data import made_up_training

test_table_1, test_table_3 = (
    using_bench(f"examples.hyperparameters.test_table_{table}") for table in (1, 3)
)
TABLE_1, TABLE_3 = bench_module("paper").TABLE_1, bench_module("paper").TABLE_3

EPOCHS = 4
ROUNDED = 0.0004


def training(row, curve, seeds=2):
    """Returns a training of the row with equal seeds: a curve (epochs + 1,), or (epochs + 1, seeds)."""
    curve = np.array(curve, dtype=float).reshape(EPOCHS + 1, -1)
    curve = curve.repeat(seeds, axis=1) if curve.shape[1] == 1 else curve
    experiment = type(row.experiment).of({**row.settings, "dataset": MNIST, "epochs": EPOCHS})
    return made_up_training(
        experiment,
        tuple(range(curve.shape[1])),
        steps=EPOCHS * -(-60000 // experiment.batch_size),
        epoch_seconds=1.0 * np.arange(EPOCHS + 1),
        test_accuracy=curve,
        predictions=np.full((10, curve.shape[1]), 1000),
    )


def comparison(*curve, published=0.9, seeds=2):
    row = test_table_3.EXERCISE.rows[0]
    return Comparison("it", published, training(row, curve, seeds))


def test_rounding_agrees_and_equal_seeds_allow_nothing_else():
    found = comparison(0.9, 0.9 + ROUNDED, 0.9 - ROUNDED, 0.9006, 0.8994)
    assert found.agrees.tolist() == [False, True, True, False, False]  # not before the first epoch
    assert found.deviations.tolist() == [0, 0, 0, -np.inf, np.inf]


@pytest.mark.parametrize(("published", "agrees"), [(1.119, True), (1.121, False), (0.681, True)])
def test_the_prediction_interval_of_two_seeds(published, agrees):
    found = comparison(*[[0.89, 0.91]] * 5, published=published)
    assert found.agrees.tolist() == [False, *[agrees] * 4]
    above = published - 0.9
    assert found.deviations[1] == pytest.approx((above - np.sign(above) * 0.0005) / 0.0141421, rel=1e-5)


def test_more_seeds_agree_with_less():
    """Of five seeds, 2.776 * sqrt(1.2) = 3.04 standard deviations."""
    seeds = [0.88, 0.89, 0.9, 0.91, 0.92]  # their standard deviation is 0.0158
    near, far = (comparison(*[seeds] * 5, published=0.9 + off) for off in (0.048, 0.049))
    assert near.agrees[1:].all()
    assert not far.agrees.any()


def test_the_nearest_epoch_is_a_trained_one():
    assert comparison(0.9, 0.5, 0.8, 0.7, 0.6).nearest == (2, pytest.approx(0.8))


def test_of_equally_many_the_smallest_deviation_is_best():
    always, never = comparison(*[0.9] * 5), comparison(*[0.1] * 5)
    guesses = {
        8: [comparison(*[[0.8, 0.9]] * 5), always, never],
        16: [comparison(*[[0.8, 0.9]] * 3, [0.86, 0.94], [0.8, 0.9]), always, never],
    }
    assert agreement.best_guess(guesses) == (16, 3, 2)
    guesses[8][-1] = comparison(0, 0, 0.9, 0, 0)
    assert agreement.best_guess(guesses) == (8, 2, 3)


def test_deviations_are_written_with_their_sign():
    found = [comparison(*[[0.89, 0.91]] * 5), comparison(*[0.1] * 5), comparison(*[[0.6, 0.61]] * 5)]
    assert agreement.format_deviations(found, 1) == "it: +0.0, it: +inf, it: +42"


def table_3(by_size, seeds=2):
    """Returns trainings of Table 3: published values, but 0.5 for the number of them that `by_size` has.

    Only in the last epoch; before, all are at 0.2.
    """
    found = {}
    for row in test_table_3.EXERCISE.rows:
        size = row.experiment.batch_size
        place = [name for name in TABLE_3 if f"{name[0]}-lr{name[1]}-batch{size}" == row.name]
        wrong = [*TABLE_3].index(place[0]) < by_size.get(size, 10)
        end = 0.5 if wrong else row.published.test_accuracy
        found[row.name] = training(row, [0.1, 0.2, 0.2, 0.2, end], seeds)
    return found


def decided(module, test, given):
    answers = []
    getattr(module, test)(given, lambda *args, **options: answers.append((*args, options)))
    (answer,) = answers
    return answer


@pytest.mark.parametrize(
    ("wrong", "holds"),
    [({32: 3}, True), ({32: 3, 16: 4}, True), ({32: 3, 16: 3}, False), ({32: 3, 100: 2}, False)],
)
def test_the_guessed_batch_size(wrong, holds):
    guesses = test_table_3.by_batch_size(table_3(wrong).__getitem__)
    answer, evidence, _ = decided(test_table_3, "test_the_guessed_batch_size_agrees_most", guesses)
    assert answer is holds
    assert f"32: {10 - wrong[32]}" in evidence
    assert f"8: 0, 16: {10 - wrong.get(16, 10)}" in evidence


@pytest.mark.parametrize(("wrong", "most"), [(0, 10), (1, 9)])
def test_all_ten_under_one_guess(wrong, most):
    guesses = test_table_3.by_batch_size(table_3({64: wrong}).__getitem__)
    answer, evidence, _ = decided(test_table_3, "test_one_guess_agrees_with_all", guesses)
    assert answer is (most == 10)
    assert f"The most are {most} of ten, with batch size 64 after 4 epochs." in evidence
    assert f"Adam at 0.001: {'+0.0' if wrong == 0 else '+inf'}, Adam at 0.01: +0.0" in evidence


def test_what_no_guess_agrees_with_is_named():
    trainings = table_3({8: 2, 16: 1})
    answer, evidence, _ = decided(
        test_table_3,
        "test_each_agrees_with_some_guess",
        test_table_3.by_batch_size(trainings.__getitem__),
    )
    assert answer is False
    assert evidence == (
        "No guess agrees with: Adam at 0.001 (0.982; nearest 0.500, with batch size 8 after 4 epochs)."
    )
    trainings["adam-lr0.001-batch100"] = table_3({100: 0})["adam-lr0.001-batch100"]
    answer, evidence, _ = decided(
        test_table_3,
        "test_each_agrees_with_some_guess",
        test_table_3.by_batch_size(trainings.__getitem__),
    )
    assert (answer, evidence) == (True, "All ten do.")


def table_1(curves, seeds=2):
    """Returns trainings of Table 1: curves by batch size; all others are at 0.5."""
    return {
        row.name: training(row, curves.get(row.experiment.batch_size, [0.5] * 5), seeds)
        for row in test_table_1.EXERCISE.rows
    }


def at(size, *epochs):
    """Returns a curve that has the published accuracy after these epochs, and 0.5 after the others."""
    return [TABLE_1[size].test_accuracy if epoch in epochs else 0.5 for epoch in range(EPOCHS + 1)]


CURVES = {size: at(size, 3) for size in TABLE_1}


@pytest.mark.parametrize(
    ("changed", "holds", "most"),
    [({}, True, "5 of five, after 3"), ({1000: at(1000, 2)}, False, "4 of five, after 3")],
)
def test_one_number_of_epochs(changed, holds, most):
    compared = test_table_1.as_published(table_1(CURVES | changed).__getitem__)
    answer, evidence, _ = decided(test_table_1, "test_one_number_of_epochs_agrees_with_all", compared)
    assert answer is holds
    assert f"The most are {most} epochs." in evidence


def test_steps_are_counted_over_batch_sizes():
    """Batch sizes 10,000 and 60,000 take 6 steps and 1 in an epoch."""
    many = {10000: at(10000, 1), 60000: at(60000, 2)}
    compared = test_table_1.as_published(table_1(many).__getitem__)
    answer, evidence, _ = decided(test_table_1, "test_steps_agree_more_than_epochs", compared)
    assert (answer, evidence) == (
        False,
        "The most are 1 of five after 6 steps, and 1 after equally many epochs.",
    )
    assert test_table_1.after_steps(*compared.values()) == {6: 1, 2: 1}


def test_each_accuracy_by_epoch():
    compared = test_table_1.as_published(
        table_1(CURVES | {1: at(1, 2, 4), 60000: [0.5] * 5}).__getitem__
    )
    answer, evidence, _ = decided(test_table_1, "test_each_agrees_with_some_epoch", compared)
    assert answer is False
    assert evidence == (
        "Epochs that agree: batch size 1: 2, from 2 to 4; batch size 100: 1, from 3 to 3; "
        "batch size 1000: 1, from 3 to 3; batch size 10000: 1, from 3 to 3; "
        "batch size 60000: none (nearest to 0.974 is 0.500, after 1 epoch)."
    )
    compared = test_table_1.as_published(table_1(CURVES).__getitem__)
    assert decided(test_table_1, "test_each_agrees_with_some_epoch", compared)[0] is True


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (test_table_3, test_table_3.by_batch_size(table_3({}, seeds=1).__getitem__)),
        (test_table_1, test_table_1.as_published(table_1({}, seeds=1).__getitem__)),
    ],
)
def test_one_seed_decides_nothing(module, given):
    claims = [name for name, test in vars(module).items() if hasattr(test, "pytestmark")]
    for name in set(claims) - {"test_training"}:
        answer, _, options = decided(module, name, given)
        assert (answer, options) == (None, {"open_because": agreement.ONE_SEED})


def test_the_figure_has_a_line_for_each_batch_size():
    results = Results("table-3", table_3({32: 4}), {})
    drawn = figures.agreement_by_epoch(results, test_table_3.by_batch_size, "batch size")
    (rows,) = drawn.data.values()
    assert len(rows) == 5 * EPOCHS
    assert {"guess": "batch size 32", "epoch": 4, "agree": 6} in rows
    assert {"guess": "batch size 8", "epoch": 4, "agree": 0} in rows
    assert json.dumps(drawn.standalone())
    assert drawn.notes.startswith("Of 10 published accuracies")


@pytest.mark.parametrize("lacking", ["a row", "seeds"])
def test_there_is_no_figure_of_less(lacking):
    trainings = table_3({}, seeds=1 if lacking == "seeds" else 2)
    if lacking == "a row":
        del trainings["adam-lr0.001-batch8"]
    assert test_table_3.EXERCISE.figures["agreement"](Results("table-3", trainings, {})) is None
