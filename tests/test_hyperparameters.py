"""The study of what the assignment leaves out, on made-up trainings whose answers are known.

Two seeds that end 0.02 apart have a standard deviation of 0.0141, and a 95 % prediction interval of
12.71 * 0.0141 * sqrt(1.5) = 0.22 around their mean.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from examples.hyperparameters import agreement, figures
from examples.hyperparameters.agreement import Comparison
from harness.claim import claims_of
from harness.exercise import Results
from harness.study import load_study
from model.dataset import MNIST
from model.experiment import Experiment
from model.optimizers import SGD, Adam
from tests.bench_modules import bench_module, using_bench
from tests.conftest import ROOT
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
    with np.errstate(all="raise"):  # dividing by no deviation is no mistake
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


def test_the_sign_of_a_deviation_does_not_matter():
    """What is published is 140 standard deviations above ours, or 640 below."""
    guesses = {8: [comparison(*[[0.99, 0.9902]] * 5)], 16: [comparison(*[[0.8, 0.801]] * 5)]}
    assert agreement.best_guess(guesses)[::2] == (16, 0)


def test_deviations_are_written_with_their_sign():
    found = [comparison(*[[0.89, 0.91]] * 5), comparison(*[0.1] * 5), comparison(*[[0.6, 0.61]] * 5)]
    assert agreement.format_deviations(found, 1) == "it: +0.0, it: +inf, it: +42"


@pytest.mark.parametrize(
    ("deviation", "written"),
    [(9.5, "+9.5"), (-9.94, "-9.9"), (10, "+10"), (10.4, "+10"), (-10.6, "-11"), (0.04, "+0.0")],
)
def test_ten_deviations_and_more_have_no_decimals(deviation, written):
    assert agreement._signed(deviation) == written


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
    # After all epochs, not before.
    assert "Adam at 0.1: -inf, Adam at 1: +0.0, " in evidence


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
    nearer = training(test_table_3.EXERCISE.row("adam-lr0.001-batch16"), [0.1, 0.2, 0.2, 0.2, 0.6])
    _, evidence, _ = decided(
        test_table_3,
        "test_each_agrees_with_some_guess",
        test_table_3.by_batch_size((trainings | {"adam-lr0.001-batch16": nearer}).__getitem__),
    )
    assert "nearest 0.600, with batch size 16 after 4 epochs" in evidence
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


def test_rows_that_agree_after_equally_many_steps_count_together():
    """At 6 steps an epoch after 1 and 3 epochs, at 3 after 2: so twice after 6 steps, once after 18."""
    first = comparison(0.5, 0.9, 0.5, 0.9, 0.5)
    second = comparison(0.5, 0.5, 0.9, 0.5, 0.5)
    same = [
        replace(each, training=replace(each.training, steps=EPOCHS * steps))
        for each, steps in ((first, 6), (second, 3))
    ]
    assert test_table_1.after_steps(same) == {6: 2, 18: 1}
    answer, evidence, _ = decided(test_table_1, "test_steps_agree_more_than_epochs", {"": same})
    assert (answer, evidence) == (
        True,
        "The most are 2 of five after 6 steps, and 1 after equally many epochs.",
    )
    none = test_table_1.as_published(table_1({}).__getitem__)
    answer, evidence, _ = decided(test_table_1, "test_steps_agree_more_than_epochs", none)
    assert (answer, evidence) == (
        False,
        "The most are 0 of five after 0 steps, and 0 after equally many epochs.",
    )


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


def test_the_figure_is_labelled():
    drawn = test_table_3.EXERCISE.figures["agreement"](Results("table-3", table_3({32: 4}), {}))
    names = [f"batch size {size}" for size in (8, 16, 32, 64, 100)]
    lines, marks = drawn.variants["all"]["concat"][0]["layer"]
    for layer in (lines, marks):
        x, y, colour = (layer["encoding"][channel] for channel in ("x", "y", "color"))
        assert (x["field"], x["title"], x["axis"]["tickMinStep"]) == ("epoch", "epoch", 1)
        assert (y["field"], y["title"]) == ("agree", "published accuracies that agree")
        assert (y["axis"]["tickMinStep"], colour["field"]) == (1, "guess")
    assert lines["encoding"]["y"]["scale"]["domain"] == [0, 10]
    for channel, layer in (("color", lines), ("shape", marks)):
        scale = layer["encoding"][channel]["scale"]
        assert scale["domain"] == names
        assert len({*scale["range"]}) == 5  # each guess has its own
        assert layer["encoding"][channel]["legend"]["title"] is None
    # Marks only tell the lines apart: one every ten epochs, and one at the beginning.
    assert marks["transform"] == [{"filter": "datum.epoch % 10 == 0 || datum.epoch == 1"}]
    found = [(each["field"], each.get("title")) for each in marks["encoding"]["tooltip"]]
    assert found == [("guess", None), ("epoch", None), ("agree", "agree")]


def test_one_guess_needs_no_legend():
    drawn = test_table_1.EXERCISE.figures["agreement"](Results("table-1", table_1({}), {}))
    lines, marks = drawn.variants["all"]["concat"][0]["layer"]
    assert lines["encoding"]["color"]["legend"] is None
    assert marks["encoding"]["shape"]["legend"] is None
    assert [each["field"] for each in marks["encoding"]["tooltip"]] == ["epoch", "agree"]
    assert drawn.data["agreement-table-1"][0] == {"guess": "", "epoch": 1, "agree": 0}


def test_two_guesses_need_one():
    two = {8: [comparison(*[0.9] * 5)], 16: [comparison(*[0.9] * 5)]}
    drawn = figures.agreement_by_epoch(Results("x", {}, {}), lambda _: two, "batch size")
    lines, marks = drawn.variants["all"]["concat"][0]["layer"]
    assert lines["encoding"]["color"]["legend"] is not None
    assert marks["encoding"]["shape"]["legend"] is not None
    assert len(marks["encoding"]["tooltip"]) == 3


# What is declared -------------------------------------------------------------------------------------


def test_the_study_trains_as_long_as_the_assignment():
    study = load_study(ROOT / "examples" / "hyperparameters")
    assert study.study.title == "What the assignment leaves out"
    assert study.study.about.endswith("?")
    assert study.study.published == "paper"
    assert dict(study.study.scales) == {"miniature": 1, "full": 100}
    assert study.data_root.resolve() == ROOT / "data"
    assert [each.resolve() for each in study.documents] == [ROOT / "docs" / "hyperparameters.md"]


def test_the_rows_are_those_of_the_tables_under_each_guess():
    """With the published figures, but without the remarks, which explain what bench's rows find."""
    found = [(row.name, row.experiment, row.published) for row in test_table_1.EXERCISE.rows]
    assert found == [
        (
            f"sgd-lr0.1-batch{size}",
            Experiment(optimizer=SGD(0.1), batch_size=size, epochs=1),
            replace(TABLE_1[size], remark=""),
        )
        for size in (1, 100, 1000, 10000, 60000)
    ]
    found = [(row.name, row.experiment, row.published) for row in test_table_3.EXERCISE.rows]
    assert found == [
        (
            f"{name}-lr{rate}-batch{size}",
            Experiment(optimizer=optimizer(rate), batch_size=size, epochs=1),
            replace(TABLE_3[name, rate], remark=""),
        )
        for name, optimizer in (("adam", Adam), ("sgd", SGD))
        for rate in (0.001, 0.01, 0.1, 1, 10)
        for size in (8, 16, 32, 64, 100)
    ]
    # The guess that its claim is about is bench's.
    assert test_table_3._GUESS == bench_module("test_4_adam_vs_sgd").BATCH_SIZE


@pytest.mark.parametrize(("module", "table"), [(test_table_1, 1), (test_table_3, 3)])
def test_an_exercise_asks_about_its_table(module, table):
    exercise = module.EXERCISE
    assert exercise.title.startswith(f"Table {table}: ")
    assert exercise.question.endswith(f" of Table {table}?")
    assert exercise.source == f"Table {table}"
    found = claims_of(module)
    assert len(found) == 3
    for claim in found.values():
        assert claim.needs == "more epochs: the assignment trains for 100"
        assert claim.criterion.startswith("A guess agrees with a published accuracy that is in the 95 %")
        assert claim.shown_in == "agreement"


@pytest.mark.parametrize(
    ("module", "trainings", "compared"),
    [
        (test_table_1, table_1({}), test_table_1.as_published),
        (test_table_3, table_3({}), test_table_3.by_batch_size),
    ],
)
def test_claims_compare_the_sessions_own_trainings(module, trainings, compared):
    given = module.guesses._get_wrapped_function()(trainings.__getitem__)
    assert [*given] == [*compared(trainings.__getitem__)]
    assert {id(each.training) for same in given.values() for each in same} == {
        id(each) for each in trainings.values()
    }
    trained = []
    module.test_training(trained.append, "a row")
    assert trained == ["a row"]


@pytest.mark.parametrize("lacking", ["a row", "seeds"])
def test_there_is_no_figure_of_less(lacking):
    trainings = table_3({}, seeds=1 if lacking == "seeds" else 2)
    if lacking == "a row":
        del trainings["adam-lr0.001-batch8"]
    assert test_table_3.EXERCISE.figures["agreement"](Results("table-3", trainings, {})) is None
