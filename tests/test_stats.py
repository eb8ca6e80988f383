"""Intervals, and comparisons that they decide."""

import numpy as np
import pytest
from scipy import stats

from harness.stats import all_hold, exceeds, format_mean, half_width, negate, welch_interval

SEEDS = (0.91, 0.93, 0.95, 0.94)


def test_the_interval_is_students():
    low, high = stats.t.interval(0.95, 3, loc=np.mean(SEEDS), scale=stats.sem(SEEDS))
    assert half_width(SEEDS) == pytest.approx((high - low) / 2)
    assert half_width(SEEDS[:1]) is None


def test_a_mean_has_its_interval_and_with_one_seed_none():
    assert format_mean(SEEDS, 2) == f"0.93 ± {half_width(SEEDS):.2f}"
    assert format_mean(SEEDS[:1]) == "0.910"


@pytest.mark.parametrize(
    ("ours", "theirs", "by", "expected"),
    [
        ([0.9], [0.8], 0, True),
        ([0.8], [0.8], 0, False),
        ([0.9], [0.8], 0.2, False),
        ([0.9, 0.91, 0.9], [0.8, 0.8, 0.81], 0, True),
        ([0.8, 0.8, 0.81], [0.9, 0.91, 0.9], 0, False),
        ([0.9, 0.7, 0.8], [0.8, 0.8, 0.79], 0, None),
        # Seed by seed: they vary together, and each is ahead.
        ([0.91, 0.52, 0.72], [0.9, 0.5, 0.7], 0, True),
        # No spread at all leaves no doubt.
        ([0.9, 0.9], [0.9, 0.9], 0, False),
        ([6, 6, 6], [1, 1, 1], 0, True),
        ([0.9, 0.9, 0.9], 0.85, 0, True),
    ],
)
def test_exceeds(ours, theirs, by, expected):
    assert exceeds(ours, theirs, by) is expected


def test_logic_of_three_values():
    assert all_hold([True, True]) is True
    assert all_hold([True, None]) is None
    assert all_hold([None, False]) is False
    assert [negate(truth) for truth in (True, False, None)] == [False, True, None]


def test_welchs_interval_is_of_sides_that_scatter_differently():
    """Its half width: t for Welch's degrees of freedom, times the root of the summed squared errors."""
    ours, theirs = (0.90, 0.93), (0.949, 0.950, 0.950, 0.951, 0.951, 0.952)
    errors = [np.var(side, ddof=1) / len(side) for side in (ours, theirs)]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 1 + errors[1] ** 2 / 5)
    half = stats.t.ppf(0.975, freedom) * sum(errors) ** 0.5
    middle = np.mean(ours) - np.mean(theirs)
    assert welch_interval(ours, theirs) == pytest.approx((middle - half, middle + half))
    assert welch_interval(ours, theirs[:1]) is None
    assert welch_interval(ours[:1], theirs) is None
