"""Tests of many rows at once: false alarms and detections are as often as they should be."""

import numpy as np
import pytest
from scipy import special, stats

from harness.compare.significance import Difference, _prior, combined_error, holm, moderate


def test_holm_adjusts_step_by_step():
    """The smallest p is multiplied by the number of tests, the next by one less; they stay sorted."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    assert holm([]).tolist() == []


def test_a_difference_is_tested_by_students_t():
    sample = [0.1, 0.3, 0.2, 0.6]
    difference = Difference(np.mean(sample), stats.sem(sample), 3)
    assert difference.p == pytest.approx(stats.ttest_1samp(sample, 0, alternative="greater").pvalue)
    assert difference.quantile(0.975) == pytest.approx(stats.t.ppf(0.975, 3) * stats.sem(sample))


@pytest.mark.parametrize(
    ("difference", "p"),
    [
        (Difference(1, 0, 5), 0.0),
        (Difference(0, 0, 5), 1.0),
        (Difference(-1, 0, 5), 1.0),
        (Difference(9, 1, 0), 1.0),
    ],
    ids=["no noise", "no difference", "better", "unknown noise"],
)
def test_p_without_noise_or_with_unknown_noise(difference, p):
    assert difference.p == p


def test_nothing_is_detectable_if_the_noise_is_unknown():
    assert Difference(0, 1, 0).detectable(0.05) == float("inf")


def test_a_detectable_difference_is_detected_19_times_in_20():
    """Samples of 8 are drawn around a difference of that size."""
    rng = np.random.default_rng(0)
    size = Difference(0, 1 / 8**0.5, 7).detectable(0.01)
    samples = rng.normal(size, 1, (4000, 8))
    found = stats.ttest_1samp(samples, 0, axis=1, alternative="greater").pvalue <= 0.01
    assert 0.92 < found.mean() < 0.97


def test_rows_with_equal_noise_share_one_variance():
    rng = np.random.default_rng(0)
    variances, freedom = moderate(rng.normal(0, 2, (2000, 4)))
    assert variances == pytest.approx(np.full(2000, 4), rel=0.2)
    assert (freedom > 40).all()


def test_shrinkage_depends_on_how_much_variances_differ():
    """Variances are drawn from an inverse chi-square with 4 degrees of freedom, which is recovered."""
    rng = np.random.default_rng(0)
    sigma = (4 / rng.chisquare(4, 5000)) ** 0.5
    samples = rng.normal(0, 1, (5000, 5)) * sigma[:, None]
    variances, freedom = moderate(samples)
    assert freedom == pytest.approx(np.full(5000, 4 + 4), rel=0.06)
    own = samples.var(axis=1, ddof=1)
    assert variances == pytest.approx((4 * 1 + 4 * own) / 8, rel=0.06)


def test_a_few_rows_are_not_assumed_to_have_equal_noise():
    """Six rows have equal noise, but are too few to show it."""
    rng = np.random.default_rng(0)
    freedoms = [moderate(rng.normal(0, 1, (6, 4)))[1][0] - 3 for _ in range(200)]
    assert np.median(freedoms) < 50


def test_variances_are_shrunk_by_smyths_formulas():
    """The moments of section 6.2, except for the spread, which is taken one standard error larger."""
    repeated = [[1.0, 2.0], [2.0, 2.5, 7.0], [0.0, 9.0, 4.0, 4.5]]
    variances, freedom = moderate([*repeated, [3.0, 3.0, 3.0], [7.0], []])
    common, prior = variances[-1], freedom[-1]  # a row without samples gets the common variance

    own = np.array([np.var(row, ddof=1) for row in repeated])
    degrees = np.array([1, 2, 3])
    logs = np.log(own) - special.digamma(degrees / 2) + np.log(degrees / 2)
    spread = np.var(logs, ddof=1) * (1 + 1) - special.polygamma(1, degrees / 2).mean()
    assert special.polygamma(1, prior / 2) == pytest.approx(spread)
    assert np.log(common) == pytest.approx(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2))
    own, degrees = np.append(own, [0, 0, 0]), np.append(degrees, [2, 0, 0])
    assert freedom == pytest.approx(prior + degrees)
    assert variances == pytest.approx((prior * common + degrees * own) / (prior + degrees))


def test_two_rows_with_noise_are_enough():
    variances, freedom = moderate([[0.0, 1.0], [0.0, 8.0, 9.0]])
    assert freedom[0] > 1
    assert 0.5 < variances[0]
    assert [each.tolist() for each in moderate([[0.0, 1.0], [2.0, 2.0]])] == [[0.5, 0], [1, 1]]
    assert [each.tolist() for each in moderate([[1.0, 2.0, 3.0]])] == [[1], [2]]
    assert [each.tolist() for each in moderate([[7.0], []])] == [[0, 0], [0, 0]]


def test_rows_with_identical_variances_have_almost_infinite_freedom():
    variances, freedom = moderate([[0.0, 1.0]] * 6)
    # With this variance, the mean logarithm of a sample variance (one degree of freedom) is log(0.5).
    assert variances == pytest.approx(0.5 * 0.5 / np.exp(special.digamma(0.5)), rel=1e-4)
    assert (freedom == 1e6 + 1).all()


@pytest.mark.parametrize("spread", [1e-4, 0.1, 1, 10, 1e8])
def test_the_prior_solves_the_trigamma_equation(spread):
    assert special.polygamma(1, _prior(spread) / 2) == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("spread", [-1, 0, special.polygamma(1, 5.1e5)])
def test_a_spread_below_chance_gives_the_largest_prior(spread):
    assert _prior(spread) == 1e6
    assert _prior(special.polygamma(1, 4.9e5)) == pytest.approx(9.8e5)


def test_independent_errors_add_up():
    """Satterthwaite's degrees of freedom: two equal parts have the sum of theirs."""
    assert combined_error([(4.5, 3.0), (4.5, 3.0)]) == pytest.approx((3.0, 6.0))
    assert combined_error([(4.0, 3.0), (0.0, 9.0)]) == pytest.approx((2.0, 3.0))
    assert combined_error([(5.0, 3.0), (4.0, 0.0)]) == (3.0, 0.0)
    assert combined_error([(0.0, 3.0), (0.0, 5.0)]) == (0.0, 3.0)
