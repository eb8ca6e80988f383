"""The plain assertions of `bench/`, on made-up trainings that just pass and that just fail."""

from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest

import harness.plugin.claims
from harness.claim import claims_of
from harness.plugin.claim_looks import Look
from harness.plugin.claims import Trained
from tests.bench_modules import bench_module, call_test, numbered
from tests.test_claims_on_the_fence import seeds
from tests.test_known_claims import BASE, EPOCHS, FOUR, ONE, SIZES, THREE, TWO, flat, training

# What a test does on MNIST. On other data, one that states MNIST's figures passes.
PASSES, FAILS_ON_MNIST, FAILS = "passes", "fails on MNIST", "fails"


def outcomes(monkeypatch, module, test, rows, **given):
    """Returns what the test does with these trainings by row, on MNIST and on other data."""
    monkeypatch.setattr(harness.plugin.claims, "to_training", lambda record: record)
    where = bench_module(module)
    trained = Trained(where.EXERCISE, lambda name, seeds: rows[name], Look(99))

    def passes(on_mnist):
        values = {"trained": trained, "train": trained, "on_mnist": lambda: on_mnist, **given}
        try:
            call_test(where, test, values)
        except AssertionError:
            return False
        return True

    on_mnist, elsewhere = passes(True), passes(False)
    assert elsewhere or not on_mnist
    return PASSES if on_mnist else FAILS_ON_MNIST if elsewhere else FAILS


def ends(*values, before=0.5):
    """Returns a row whose seeds end at these accuracies, and stay at `before` until then."""
    return {"test_accuracy": seeds(*([before] * EPOCHS + [value] for value in values))}


def above(value):
    return float(np.nextafter(value, 9))


def below(value):
    return float(np.nextafter(value, -9))


# Two seeds' final training losses, by batch size; until the last epoch, the larger batch is ahead.
AHEAD = {
    1: (9, 9), 100: (0.25, 0.125), 1000: (above(0.25), above(0.125)), 10000: (1, 1), 60000: (1.5, 1.5),
}  # fmt: skip


def lossy(changes=None):
    return {
        SIZES[size]: ends(0.5, 0.5)
        | {"train_loss": seeds(*([2.3] + [5 - end] * (EPOCHS - 1) + [end] for end in two))}
        for size, two in (AHEAD | (changes or {})).items()
    }


def peak(*, first=0.86, at=5, losses=(2.21, 1.11)):
    """Returns batch size 1 under two seeds, with losses that are 2 and 1 until the last epoch."""
    accuracy = np.full((EPOCHS + 1, 2), 0.1)
    accuracy[at, 0], accuracy[1, 1] = first, 0.95
    loss = seeds([2] * EPOCHS + [losses[0]], [1] * EPOCHS + [losses[1]])
    return {SIZES[1]: {"test_accuracy": accuracy, "train_loss": loss}}


def from_zero(row, *values, classes=("constant", "constant"), ones=10000):
    """Returns a row from zero that ends so under two seeds, the second of which may miss some ones."""
    predictions = np.zeros((10, 2), dtype=int)
    predictions[1], predictions[9] = (10000, ones), (0, 10000 - ones)
    found = training(bench_module(TWO).EXERCISE, row, ends(*values) | {"outcomes": classes})
    return {row: replace(found, predictions=predictions)}


SHARES = (0.0892, 0.1135)
ORDERS = {
    # The best is 0.75 under the first seed, and 1 under the second.
    "sgd-lr0.1": ends(0.5, 1, before=0.9), "sgd-lr0.0001": ends(0.75, 0.5, before=0.9),
}  # fmt: skip


def second_seed(value, **changes):
    """Returns the measured flow of gradients from `value`: as the tests expect it, then with changes."""
    known = {
        "0.01": {"first": [1] * 6, "unit_spread": [0, 1e-4], "weight_ranks": [[1, 1], [1, 1]]},
        "0.1": {"first": [None] * 4 + [1, 1]},
        "1": {"first": [None] * 4 + [1, 1]},
    }
    return {"measured": lambda name: [known, known | {value: known[value] | changes}]}


# By test: cases of (rows, other values, what it does).
CASES = {
    ONE: {
        "test_training": [],  # below
        "test_100_learns": [
            ({SIZES[100]: ends(0.9, 0.9) | {"outcomes": ("learned", "learned")}}, {}, PASSES),
            ({SIZES[100]: ends(0.9, 0.9) | {"outcomes": ("learned", "partial")}}, {}, FAILS_ON_MNIST),
        ],
        "test_from_100_up_the_smaller_batch_is_ahead": [
            (lossy(), {}, PASSES),
            (lossy({1000: (above(0.25), 0.125)}), {}, FAILS_ON_MNIST),
            (lossy({60000: (1.5, 1)}), {}, FAILS_ON_MNIST),
        ],
        "test_batch_size_1_falls_after_an_early_peak": [
            (peak(), {}, PASSES),
            (peak(first=above(0.85), losses=(above(2.2), above(1.1))), {}, PASSES),
            (peak(first=0.85), {}, FAILS_ON_MNIST),
            (peak(at=6), {}, FAILS_ON_MNIST),
            (peak(losses=(2.1, 1.2)), {}, FAILS_ON_MNIST),
            (peak(losses=(2.3, 1.1)), {}, FAILS_ON_MNIST),
        ],
    },
    TWO: {
        "test_training": [],
        "test_from_zero_it_ends_near_ten_percent": [
            (from_zero("sgd-init0", *SHARES), {"row": "sgd-init0"}, PASSES),
            (from_zero("sgd-init0", below(0.0892), 0.1), {"row": "sgd-init0"}, FAILS_ON_MNIST),
            (from_zero("sgd-init0", 0.1, above(0.1135)), {"row": "sgd-init0"}, FAILS_ON_MNIST),
            (from_zero("sgd-init0", 0.1, 0.1, classes=("constant", "chance")),
             {"row": "sgd-init0"}, FAILS),
            (from_zero("sgd-init0", 0.1, 0.1, ones=9999), {"row": "sgd-init0"}, PASSES),
            (from_zero("gd-init0", 0.1135, 0.1135), {"row": "gd-init0"}, PASSES),
            (from_zero("gd-init0", 0.1135, below(0.1135)), {"row": "gd-init0"}, FAILS_ON_MNIST),
            (from_zero("gd-init0", 0.1135, 0.1135, ones=9999), {"row": "gd-init0"}, FAILS_ON_MNIST),
        ],
        "test_from_0_01_all_parameters_have_a_gradient_and_units_stay_copies": [
            ({}, second_seed("0.01"), PASSES),
            ({}, second_seed("0.01", first=[1, 1, 1, 1, 1, 2]), FAILS),
            ({}, second_seed("0.01", first=[0, 0, 0, 0, 0, 0]), FAILS),
            ({}, second_seed("0.01", unit_spread=[0, above(1e-4)]), FAILS_ON_MNIST),
            ({}, second_seed("0.01", weight_ranks=[[1, 1], [1, 2]]), FAILS_ON_MNIST),
        ],
        "test_from_0_1_up_the_sigmoids_are_saturated": [
            ({}, second_seed("0.1") | {"value": "0.1"}, PASSES),
            ({}, second_seed("0.1", first=[None] * 5 + [1]) | {"value": "0.1"}, FAILS_ON_MNIST),
            ({}, second_seed("1", first=[None] * 5 + [1]) | {"value": "0.1"}, PASSES),
            ({}, second_seed("1", first=[None] * 3 + [1, 1, 1]) | {"value": "1"}, FAILS_ON_MNIST),
        ],
    },
    THREE: {
        "test_training": [],
        "test_online_is_worse_than_shuffled_at_its_best": [
            (ORDERS | {"online-lr0.1": ends(below(0.7), below(0.95), before=1)},
             {"row": "online-lr0.1"}, PASSES),
            (ORDERS | {"online-lr0.1": ends(0.6, 0.95, before=0)},
             {"row": "online-lr0.1"}, FAILS_ON_MNIST),
            (ORDERS | {"online-lr0.1": ends(0.72, 0.2, before=0)},
             {"row": "online-lr0.1"}, FAILS_ON_MNIST),
        ],
        "test_one_pass_over_the_stream_leaves_its_last_class_alone": [
            ({"online-lr0.1": {"test_accuracy": seeds([0.5, below(0.15)] + [0.5] * 9)}},
             {"row": "online-lr0.1"}, PASSES),
            ({"online-lr0.1": {"test_accuracy": seeds([0.1] * 11, [0.1, 0.15] + [0.1] * 9)}},
             {"row": "online-lr0.1"}, FAILS_ON_MNIST),
        ],
    },
    FOUR: {
        "test_training": [],
        "test_sgd_at_10_learns_nothing": [
            ({"sgd-lr10": ends(0.1, below(0.15))}, {}, PASSES),
            ({"sgd-lr10": ends(0.1, 0.15, before=0.1)}, {}, FAILS_ON_MNIST),
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(("module", "test", "case"), numbered(CASES))
def test_an_assertion_holds_up_to_its_limit(monkeypatch, module, test, case):
    changes, given, expected = case
    exercise = bench_module(module).EXERCISE
    rows = {
        name: training(exercise, name, each) if isinstance(each, dict) else each
        for name, each in (BASE[module] | changes).items()
        if name in changes
    }
    assert outcomes(monkeypatch, module, test, rows, **given) == expected


@pytest.mark.parametrize("module", CASES)
def test_every_plain_assertion_passes_once_and_fails_once(module):
    where = bench_module(module)
    tests = {
        name
        for name, each in vars(where).items()
        if name.startswith("test_") and isinstance(each, FunctionType)
    }
    assert {*CASES[module]} == tests - {*claims_of(where)}
    for test, cases in CASES[module].items():
        assert test == "test_training" or len({case[-1] == PASSES for case in cases}) == 2, test


def test_assertions_about_several_rows_are_made_about_all_of_them():
    where = bench_module(THREE)
    for test in list(CASES[THREE])[1:]:
        (mark,) = getattr(where, test).pytestmark
        assert mark.args == ("row", [f"online-lr{rate}" for rate in ("0.1", "0.01", "0.001", "0.0001")])
    for module, test, values in (
        (TWO, "test_from_zero_it_ends_near_ten_percent", ["gd-init0", "sgd-init0"]),
        (TWO, "test_from_0_1_up_the_sigmoids_are_saturated", ["0.1", "1"]),
        *((module, "test_training", bench_module(module).EXERCISE.names) for module in CASES),
    ):
        (mark,) = getattr(bench_module(module), test).pytestmark
        assert [*mark.args[1]] == values


@pytest.mark.parametrize(
    ("module", "row", "changes", "steps"),
    [
        (ONE, "sgd-lr0.1-batch1", {}, 60000),
        (ONE, "sgd-lr0.1-batch1", {"batch_size": 7000}, 9),  # the last of 4000 examples
        (THREE, "online-lr0.1", {}, 60000),
        (FOUR, "adam-lr1", {}, 1875),
    ],
)
def test_every_epoch_takes_all_its_steps(monkeypatch, module, row, changes, steps):
    found = training(bench_module(module).EXERCISE, row, flat(0.5)[-1])
    found = replace(found, experiment=replace(found.experiment, **changes))
    for taken, expected in (
        (steps * EPOCHS, PASSES), (steps * EPOCHS + 1, FAILS_ON_MNIST), (steps, FAILS_ON_MNIST)
    ):  # fmt: skip
        rows = {row: replace(found, steps=taken)}
        assert outcomes(monkeypatch, module, "test_training", rows, row=row) == expected


def test_no_loss_of_a_minibatch_is_infinite(monkeypatch):
    row = SIZES[1000]
    loss = seeds([2.3] * 11, [2.3] * 5 + [np.inf] + [2.3] * 5)
    rows = {row: training(bench_module(ONE).EXERCISE, row, ends(0.5, 0.5) | {"test_loss": loss})}
    assert outcomes(monkeypatch, ONE, "test_training", rows, row=row) == FAILS


@pytest.mark.parametrize(
    ("outcome", "spread", "expected"),
    [
        ("partial", 0.3, PASSES),
        ("partial", above(0.3), FAILS_ON_MNIST),
        ("learned", 0.0, FAILS),
    ],
)
def test_no_constant_learns(monkeypatch, outcome, spread, expected):
    row = "sgd-init0.01"
    fields = {"outcomes": ("constant", outcome), "observed": {"unit_spread": [[0, 0], [0, spread]]}}
    fields["observed"] = {name: np.array(each) for name, each in fields["observed"].items()}
    rows = {row: training(bench_module(TWO).EXERCISE, row, ends(0.2, 0.2) | fields)}
    assert outcomes(monkeypatch, TWO, "test_training", rows, row=row) == expected
