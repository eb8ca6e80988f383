"""Intervals, and comparisons that they decide."""

import numpy as np
import pytest
from scipy import stats

from harness.stats import above, every, margin, mean, negate, some

SEEDS = (0.91, 0.93, 0.95, 0.94)


def test_the_margin_is_students():
    low, high = stats.t.interval(0.95, 3, loc=np.mean(SEEDS), scale=stats.sem(SEEDS))
    assert margin(SEEDS) == pytest.approx((high - low) / 2)
    assert margin(SEEDS[:1]) is None


def test_a_mean_is_told_with_its_margin_and_of_one_seed_without():
    assert mean(SEEDS, 2) == f"0.93 ± {margin(SEEDS):.2f}"
    assert mean(SEEDS[:1]) == "0.910"


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
def test_above(ours, theirs, by, expected):
    assert above(ours, theirs, by) is expected


def test_logic_of_three_values():
    assert every([True, True]) is True
    assert every([True, None]) is None
    assert every([None, False]) is False
    assert some([False, True, None]) is True
    assert some([False, None]) is None
    assert some([False, False]) is False
    assert [negate(truth) for truth in (True, False, None)] == [False, True, None]
