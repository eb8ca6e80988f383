"""Intervals, and comparisons based on them."""

import numpy as np
import pytest
from scipy import stats

from harness.accuracy import ends_above
from harness.results.evenness import is_spoilt, judge_times, slowest_epoch, time_sign
from harness.stats import (
    accuracy_exceeds,
    all_hold,
    exceeds,
    format_mean,
    half_width,
    mean_and_interval,
    negate,
    span_around_best,
    welch_interval,
)
from model.optimizers import SGD
from tests.made_up_runs import trained

SEEDS = (0.91, 0.93, 0.95, 0.94)


def test_the_interval_is_students_t():
    low, high = stats.t.interval(0.95, 3, loc=np.mean(SEEDS), scale=stats.sem(SEEDS))
    assert half_width(SEEDS) == pytest.approx((high - low) / 2)
    assert half_width(SEEDS[:2]) == pytest.approx(stats.t.ppf(0.975, 1) * 0.01)
    assert half_width(SEEDS[:1]) is None


def test_intervals_are_taken_over_the_last_axis():
    """Two epochs under three seeds."""
    values = [[1, 2, 3], [2, 4, 6]]
    middle, low, high = mean_and_interval(values)
    half = stats.t.ppf(0.975, 2) * np.array([1, 2]) / 3**0.5
    assert half_width(values) == pytest.approx(half)
    assert middle == pytest.approx([2, 4])
    assert low == pytest.approx(middle - half)
    assert high == pytest.approx(middle + half)


def test_a_single_sample_has_a_mean_and_an_interval():
    assert np.array(mean_and_interval(SEEDS)).shape == (3,)
    assert mean_and_interval(SEEDS)[0] == np.mean(SEEDS)


def test_one_value_is_its_own_interval():
    for found in mean_and_interval([[1.5], [2.5]]):
        assert found.tolist() == [1.5, 2.5]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
def test_the_mean_of_values_that_are_not_finite_is_nan(value):
    """The same holds for values too large to be summed. No warning is printed between the tables."""
    found = np.array(mean_and_interval([[value, value, 2.0], [1.0, 2.0, 3.0]]))
    assert not np.isfinite(found[:, 0]).any()
    assert np.isfinite(found[:, 1]).all()


def test_a_mean_is_formatted_with_its_interval_unless_there_is_one_seed():
    assert format_mean(SEEDS, 2) == f"0.93 ± {half_width(SEEDS):.2f}"
    assert format_mean(SEEDS[:1]) == "0.910"


@pytest.mark.parametrize(
    ("ours", "theirs", "by", "expected"),
    [
        ([0.9], [0.8], 0, True),
        ([0.8], [0.8], 0, False),
        ([0.9], [0.8], 0.2, False),
        ([3], [2], 1, False),
        # Differences of -1, 0 and 4: their mean of 1 is within an interval of 6.6, of both signs.
        ([0, 1, 5], [1, 1, 1], 0, None),
        ([1, 1, 1], [0, 1, 5], 0, None),
        ([0.9, 0.91, 0.9], [0.8, 0.8, 0.81], 0, True),
        ([0.8, 0.8, 0.81], [0.9, 0.91, 0.9], 0, False),
        ([0.9, 0.7, 0.8], [0.8, 0.8, 0.79], 0, None),
        # Seeds vary together, and each is ahead.
        ([0.91, 0.52, 0.72], [0.9, 0.5, 0.7], 0, True),
        # Without any spread, the answer is certain.
        ([0.9, 0.9], [0.9, 0.9], 0, False),
        ([6, 6, 6], [1, 1, 1], 0, True),
        ([0.9, 0.9, 0.9], 0.85, 0, True),
    ],
)
def test_exceeds(ours, theirs, by, expected):
    assert exceeds(ours, theirs, by) is expected


@pytest.mark.parametrize(("by", "expected"), [(0.5, None), (0.51, True)])
def test_an_interval_that_ends_at_0_leaves_the_answer_open(monkeypatch, by, expected):
    monkeypatch.setattr("harness.stats.half_width", lambda values, confidence: np.float64(0.5))
    assert exceeds([1.0, 1.0], [0.0, 0.0], 1 - by) is expected


def test_final_accuracies_are_compared():
    """One is higher before the end, the other at the end."""
    falls, rises = (
        trained(SGD(0.1), (0.1, middle, end), seconds=(0, 1, 2))
        for middle, end in ((0.9, 0.2), (0.2, 0.9))
    )
    assert (ends_above(rises, falls), ends_above(falls, rises)) == (True, False)
    assert (ends_above(rises, 0.5), ends_above(rises, falls, by=0.65)) == (True, True)
    assert ends_above(rises, falls, by=0.75) is False


def test_three_valued_logic():
    assert all_hold([True, True]) is True
    assert all_hold([True, None]) is None
    assert all_hold([None, False]) is False
    assert [negate(truth) for truth in (True, False, None)] == [False, True, None]


def test_any_difference_is_enough_by_default():
    assert exceeds([0.5], [0.4]) is True
    assert exceeds([0.4], [0.5]) is False


def test_welchs_interval_allows_for_unequal_variances():
    """Half its width is t for Welch's degrees of freedom times the root of the summed squared errors."""
    ours, theirs = (0.90, 0.93), (0.949, 0.950, 0.950, 0.951, 0.951, 0.952)
    errors = [np.var(side, ddof=1) / len(side) for side in (ours, theirs)]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 1 + errors[1] ** 2 / 5)
    half = stats.t.ppf(0.975, freedom) * sum(errors) ** 0.5
    middle = np.mean(ours) - np.mean(theirs)
    assert welch_interval(ours, theirs) == pytest.approx((middle - half, middle + half))
    assert welch_interval(ours, theirs[:1]) is None
    assert welch_interval(ours[:1], theirs) is None


@pytest.mark.filterwarnings("error")
def test_welchs_interval_of_sides_without_variance_is_their_difference():
    assert welch_interval((0.5, 0.5), (0.25, 0.25)) == (0.25, 0.25)


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_variance_on_one_side_is_enough_for_welchs_interval():
    assert welch_interval((0.5, 0.5), (0.25, 0.75))[0] < 0
    assert welch_interval((0.25, 0.75), (0.5, 0.5))[0] < 0


@pytest.mark.parametrize(
    ("scores", "within", "span"),
    [
        ([1, 5, 9, 8, 9, 2], 1, (2, 4)),
        ([9, 8, 2, 9], 1, (0, 1)),
        ([8, 9, 2], 1, (0, 1)),
        ([1, 8, 9], 1, (1, 2)),
        ([1, 2, 3], 0, (2, 2)),
        ([3, 3], 0, (0, 1)),
        ([8, 1, 9, 1, 8], 1, (2, 2)),
    ],
)
def test_the_span_around_the_best_is_unbroken(scores, within, span):
    assert span_around_best(scores, within) == span


def test_one_seeds_accuracies_are_compared_by_the_sampling_error_of_the_test_set():
    # 1.96 standard errors of the difference of 0.985 and 0.984 in 10,000 images are 0.0034.
    assert accuracy_exceeds([0.985], [0.984], examples=10000) is None
    assert accuracy_exceeds([0.984], [0.985], examples=10000) is None
    assert accuracy_exceeds([0.985], [0.981], examples=10000) is True
    assert accuracy_exceeds([0.981], [0.985], examples=10000) is False
    assert accuracy_exceeds([0.985], [0.9835], examples=10000) is None
    assert accuracy_exceeds([0.985], [0.9835], examples=1000000) is True
    # Against a fixed number there is one share's error: 0.0059 at 0.9 in 10,000.
    assert accuracy_exceeds([0.9055], 0.9, examples=10000) is None
    assert accuracy_exceeds([0.9065], 0.9, examples=10000) is True
    assert accuracy_exceeds([0.8935], 0.9, examples=10000) is False
    assert accuracy_exceeds([0.5], [0.4], by=0.1, examples=10000) is None


def test_several_seeds_accuracies_are_compared_by_their_own_interval():
    ours, theirs = [0.985, 0.9851, 0.9849], [0.984, 0.9841, 0.9839]
    assert accuracy_exceeds(ours, theirs, examples=10) is True
    assert accuracy_exceeds(ours, [0.99, 0.98, 0.985], examples=10**9) is None


@pytest.mark.parametrize(
    ("epochs", "slowest", "spoilt"),
    [
        ([1, 1], None, False),
        ([0, 0, 0], None, False),
        ([1, 1, 1], 1, False),
        ([5, 1, 1], 5, True),
        ([1.9, 1, 1], 1.9, False),  # in line
        ([2, 1, 1, 1], 2, True),  # a quarter of 4
        ([2, 1, 1, 1, 1], 2, False),  # a fifth of 5
        ([0.5, 0.1, 0.1], 5, True),
        ([0.2, 0.05, 0.05], 4, False),  # 0.15 s are within a scheduler's noise
        ([5] + [1] * 99, 5, False),  # 4 % of the whole
    ],
)
def test_a_time_is_spoilt_by_epochs_out_of_line(epochs, slowest, spoilt):
    cumulative = np.concatenate([[0], np.cumsum(epochs)])
    found = slowest_epoch(cumulative)
    assert found == (slowest if slowest is None else pytest.approx(slowest))
    assert is_spoilt(cumulative) is spoilt


def taking(*epochs):
    seconds = np.concatenate([[0], np.cumsum(epochs)])
    curve = [0.1] * (len(epochs) + 1)
    return trained(SGD(0.1), curve, seconds=seconds)


def test_times_are_judged_as_measured_and_without_epochs_out_of_line():
    """Without its epoch out of line, the first takes 4 s, not 7."""
    rows = {"a": taking(4, 1, 1, 1), "b": taking(1.25, 1.25, 1.25, 1.25), "c": taking(2, 2, 2, 2)}

    def is_longer(first, second):
        return judge_times(lambda timed: timed[first].seconds > timed[second].seconds, rows)

    assert is_longer("c", "b") == is_longer("c", "a") == (True, "")
    assert is_longer("b", "c") == (False, "")
    assert is_longer("a", "b") == (
        None, "In seconds it depends on epochs that other processes delayed (†)."
    )  # fmt: skip
    assert judge_times(lambda timed: None, rows) == (None, "")
    assert [time_sign(each) for each in rows.values()] == [" †", "", ""]


def test_few_epochs_are_judged_as_measured():
    rows = {"a": taking(9, 1), "b": taking(2, 2)}
    judged = judge_times(lambda timed: timed["a"].seconds > timed["b"].seconds, rows)
    assert judged == (True, "")
    assert time_sign(rows["a"]) == ""
