"""Tests of many rows at once: they keep the false alarms that they promise, and find what they say."""

import numpy as np
import pytest
from scipy import special, stats

from harness.compare.significance import Difference, _prior, combined_error, holm, moderate


def test_holm_adjusts_step_by_step():
    """The smallest p counts for all that are tested, the next for all but one, and none undercuts it."""
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
    ids=["no noise", "no difference", "better", "nothing known of the noise"],
)
def test_without_noise_or_without_knowing_it(difference, p):
    assert difference.p == p


def test_nothing_is_detectable_where_nothing_is_known_of_the_noise():
    assert Difference(0, 1, 0).detectable(0.05) == float("inf")


def test_what_is_detectable_is_found_19_times_in_20():
    """Of a difference of that size, which a sample of 8 is drawn around, seeded."""
    rng = np.random.default_rng(0)
    size = Difference(0, 1 / 8**0.5, 7).detectable(0.01)
    samples = rng.normal(size, 1, (4000, 8))
    found = stats.ttest_1samp(samples, 0, axis=1, alternative="greater").pvalue <= 0.01
    assert 0.92 < found.mean() < 0.97


def test_rows_that_vary_alike_share_one_variance():
    rng = np.random.default_rng(0)
    variances, freedom = moderate(rng.normal(0, 2, (2000, 4)))
    assert variances == pytest.approx(np.full(2000, 4), rel=0.2)
    assert (freedom > 40).all()


def test_rows_that_differ_are_drawn_together_by_as_much_as_they_do():
    """Variances drawn from an inverse chi-square of 4 degrees of freedom: it is found again."""
    rng = np.random.default_rng(0)
    sigma = (4 / rng.chisquare(4, 5000)) ** 0.5
    samples = rng.normal(0, 1, (5000, 5)) * sigma[:, None]
    variances, freedom = moderate(samples)
    assert freedom == pytest.approx(np.full(5000, 4 + 4), rel=0.06)
    own = samples.var(axis=1, ddof=1)
    assert variances == pytest.approx((4 * 1 + 4 * own) / 8, rel=0.06)


def test_of_few_rows_it_is_taken_that_they_may_differ():
    """Six rows that vary alike, but who knows: quiet ones are not trusted to stand for noisy ones."""
    rng = np.random.default_rng(0)
    freedoms = [moderate(rng.normal(0, 1, (6, 4)))[1][0] - 3 for _ in range(200)]
    assert np.median(freedoms) < 50


def test_rows_of_all_kinds_are_drawn_together_as_smyth_has_it():
    """The moments of his section 6.2, but for the spread, which is taken a standard error larger."""
    repeated = [[1.0, 2.0], [2.0, 2.5, 7.0], [0.0, 9.0, 4.0, 4.5]]
    variances, freedom = moderate([*repeated, [3.0, 3.0, 3.0], [7.0], []])
    common, prior = variances[-1], freedom[-1]  # a row that tells nothing has what is drawn to

    own = np.array([np.var(row, ddof=1) for row in repeated])
    degrees = np.array([1, 2, 3])
    logs = np.log(own) - special.digamma(degrees / 2) + np.log(degrees / 2)
    spread = np.var(logs, ddof=1) * (1 + 1) - special.polygamma(1, degrees / 2).mean()
    assert special.polygamma(1, prior / 2) == pytest.approx(spread)
    assert np.log(common) == pytest.approx(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2))
    own, degrees = np.append(own, [0, 0, 0]), np.append(degrees, [2, 0, 0])
    assert freedom == pytest.approx(prior + degrees)
    assert variances == pytest.approx((prior * common + degrees * own) / (prior + degrees))


def test_two_rows_are_enough_and_those_without_noise_are_none():
    variances, freedom = moderate([[0.0, 1.0], [0.0, 8.0, 9.0]])
    assert freedom[0] > 1
    assert 0.5 < variances[0]
    assert [each.tolist() for each in moderate([[0.0, 1.0], [2.0, 2.0]])] == [[0.5, 0], [1, 1]]
    assert [each.tolist() for each in moderate([[1.0, 2.0, 3.0]])] == [[1], [2]]
    assert [each.tolist() for each in moderate([[7.0], []])] == [[0, 0], [0, 0]]


def test_rows_that_do_not_differ_at_all_are_as_good_as_certain():
    variances, freedom = moderate([[0.0, 1.0]] * 6)
    # The variance whose logarithm is 0.5's on average, after one repetition.
    assert variances == pytest.approx(0.5 * 0.5 / np.exp(special.digamma(0.5)), rel=1e-4)
    assert (freedom == 1e6 + 1).all()


@pytest.mark.parametrize("spread", [1e-4, 0.1, 1, 10, 1e8])
def test_the_more_rows_differ_the_less_they_tell_of_each_other(spread):
    assert special.polygamma(1, _prior(spread) / 2) == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("spread", [-1, 0, special.polygamma(1, 5.1e5)])
def test_rows_may_differ_by_less_than_chance(spread):
    assert _prior(spread) == 1e6
    assert _prior(special.polygamma(1, 4.9e5)) == pytest.approx(9.8e5)


def test_independent_errors_add_up():
    """Satterthwaite's degrees of freedom: of two equal parts, as many as both have."""
    assert combined_error([(4.5, 3.0), (4.5, 3.0)]) == pytest.approx((3.0, 6.0))
    assert combined_error([(4.0, 3.0), (0.0, 9.0)]) == pytest.approx((2.0, 3.0))
    assert combined_error([(5.0, 3.0), (4.0, 0.0)]) == (3.0, 0.0)
    assert combined_error([(0.0, 3.0), (0.0, 5.0)]) == (0.0, 3.0)
