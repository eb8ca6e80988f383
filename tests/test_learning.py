"""The accuracy gate's decision: fell, held, identical, or underpowered (too few seeds)."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from harness.compare import learning
from harness.compare.learning import _tests, compare_learning


def case(accuracies, epochs_to=None, seeds=None, epochs=3):
    count = len(accuracies)
    return SimpleNamespace(
        seeds=seeds or list(range(count)),
        epochs=epochs,
        test_accuracy=list(accuracies),
        epochs_to={"0.90": epochs_to or [1] * count, "0.97": [None] * count},
    )


def change(before, now, points=1.0, **options):
    return compare_learning({"row": case(now)}, {"row": case(before)}, points, **options)["row"]


def test_the_same_figures_are_identical():
    assert change([0.95, 0.96], [0.95, 0.96]).outcome == "identical"
    assert change([0.95], [0.95]).outcome == "identical"


def test_three_points_less_under_both_seeds_fails():
    """Runs are compared seed by seed: differences between seeds do not matter."""
    assert change([0.95, 0.60], [0.92, 0.57]).outcome == "fell"


def test_an_improvement_passes():
    assert change([0.92, 0.90, 0.91], [0.952, 0.931, 0.94]).outcome == "held"


@pytest.mark.parametrize(("drop", "outcome"), [(0.00497, "held"), (0.00503, "fell")])
def test_a_drop_of_less_than_half_of_the_points_passes(drop, outcome):
    before = np.array([0.95, 0.96, 0.955, 0.952])
    noise = np.array([1, -1, 1, -1]) * 1e-5
    assert change(before, before - drop + noise).outcome == outcome


def test_a_bare_drop_of_more_than_the_points_fails():
    """The numbers are exact in binary."""
    assert change([0.75], [0.5], points=25, bare=True).outcome == "held"
    assert change([0.75], [0.4375], points=25, bare=True).outcome == "fell"


def test_a_drop_of_exactly_half_of_the_points_fails():
    """As documented: at least half a point, if the threshold is one point."""
    assert change([0.75, 0.875], [0.625, 0.75], points=25).outcome == "fell"


@pytest.mark.parametrize("drops", [(0.02, -0.01, 0.04), (0.0048, 0, -0.0048)], ids=["noisy", "quiet"])
def test_a_drop_that_may_be_chance_is_underpowered_and_reports_the_seeds_needed(monkeypatch, drops):
    before = np.array([0.95, 0.90, 0.94])
    found = change(before, before - drops)
    assert found.outcome == "underpowered"
    assert found.detectable > 1

    def detectable(n):
        false_alarm, found = stats.t.ppf([0.99, 0.95], n - 1) * 100 * np.std(drops, ddof=1) / n**0.5
        return found + max(false_alarm, 0.5)

    needed = next(n for n in range(2, 1000) if detectable(n) <= 1)
    assert found.seeds_needed == needed
    for most, expected in ((needed, needed), (needed - 1, None)):
        monkeypatch.setattr(learning, "_MOST_SEEDS", most)
        assert change(before, before - drops).seeds_needed == expected


def test_p_and_the_detectable_drop_are_those_of_a_paired_t_test():
    before, now = [0.95, 0.90, 0.99, 0.96], [0.93, 0.91, 0.95, 0.95]
    (alone,) = compare_learning({"row": case(now)}, {"row": case(before)}, 1.0).values()
    assert alone.p == pytest.approx(stats.ttest_rel(before, now, alternative="greater").pvalue)
    error = 100 * stats.sem(np.subtract(before, now))
    assert alone.detectable == pytest.approx(error * sum(stats.t.ppf([0.99, 0.95], 3)))
    # With a second row, equally noisy and with as many seeds: both tests share the noise estimate.
    ours, theirs = {"row": case(now), "other": case(before)}, {"row": case(before), "other": case(now)}
    both = compare_learning(ours, theirs, 1.0)["row"]
    assert both.p > alone.p
    found = _tests({"row": 100 * np.subtract(before, now), "other": 100 * np.subtract(now, before)})[
        "row"
    ]
    assert both.p == pytest.approx(2 * found.p)
    assert both.detectable == pytest.approx(found.detectable(0.005))
    quiet = np.array([1, -1, 1, -1]) * 1e-4
    error = 100 * stats.sem(quiet)
    assert change(before, before + quiet).detectable == pytest.approx(0.5 + error * stats.t.ppf(0.95, 3))
    assert change(before, before).p == 1


def test_the_seeds_needed_are_enough():
    before, now = [0.90, 0.92, 0.91, 0.90], [0.91, 0.91, 0.90, 0.91]
    needed = change(before, now).seeds_needed
    assert 8 < needed < 100
    assert change(before * 2, now * 2).outcome == "underpowered"
    times = -(-needed // 4)
    assert change(before * times, now * times).outcome == "held"


def test_one_seed_is_underpowered():
    found = change([0.95], [0.80])
    assert found.outcome == "underpowered"
    assert found.seeds_needed is None


@pytest.mark.parametrize(("now", "outcome"), [(0.9399, "fell"), (0.9401, "held"), (0.99, "held")])
def test_a_bare_drop_under_one_seed_fails_if_bare_drops_count(now, outcome):
    assert change([0.95], [now], bare=True).outcome == outcome


def test_the_noise_of_one_seed_is_unknown():
    tested = _tests(
        {"one": np.array([2.0]), "two": np.array([1.0, 2.0]), "more": np.array([3.0, 1.0, 5.0])}
    )
    assert (tested["one"].freedom, tested["one"].p) == (0, 1)


def test_bare_drops_do_not_count_under_several_seeds():
    assert change([0.95, 0.90, 0.99], [0.93, 0.91, 0.95], bare=True).outcome == "underpowered"


def test_only_common_seeds_are_compared():
    ours = {"row": case([0.95, 0.96, 0.97], seeds=[1, 2, 7])}
    theirs = {"row": case([0.10, 0.95, 0.96], seeds=[0, 1, 2])}
    found = compare_learning(ours, theirs, 1.0)["row"]
    assert found.outcome == "identical"
    assert found.seeds == 2


def test_converging_later_is_learning_worse():
    seeds = 10
    accuracies = [0.95 + 0.001 * seed for seed in range(seeds)]
    before = {"row": case(accuracies, [1] * seeds, epochs=9)}
    later = compare_learning({"row": case(accuracies, [4] * seeds, epochs=9)}, before, 1.0)["row"]
    assert later.outcome == "fell"
    assert later.delay == "reaches 90% accuracy 3.0 epochs later"
    never = compare_learning({"row": case(accuracies, [None] * seeds, epochs=9)}, before, 1.0)["row"]
    assert never.delay == "reaches 90% accuracy 9.0 epochs later"
    sooner = compare_learning(before, {"row": case(accuracies, [4] * seeds, epochs=9)}, 1.0)["row"]
    assert sooner.delay is None


@pytest.mark.parametrize(("seeds", "late"), [(4, False), (5, True)])
def test_a_delay_of_one_epoch_under_a_few_seeds_may_be_rounding(seeds, late):
    """Student's t with a variance of 1/6: p is 0.008 for four seeds, 0.003 for five; two are tested."""
    before, now = case([0.95] * seeds, [1] * seeds), case([0.95] * seeds, [2] * seeds)
    found = compare_learning({"row": now}, {"row": before}, 1.0)["row"]
    assert (found.delay is not None) == (found.outcome == "fell") == late


def test_two_rounded_times_differ_by_chance_like_two_uniform_numbers():
    uniform = np.linspace(0, 1, 10_001)
    assert pytest.approx(2 * np.var(uniform), rel=1e-3) == learning._ROUNDING


@pytest.mark.parametrize(
    ("later", "delay"), [(99, None), (100, "reaches 90% accuracy 0.5 epochs later")]
)
def test_a_delay_of_less_than_half_an_epoch_passes_however_certain(later, delay):
    before, now = case([0.95] * 200, [1] * 200), case([0.95] * 200, [2] * later + [1] * (200 - later))
    assert compare_learning({"row": now}, {"row": before}, 1.0)["row"].delay == delay


def test_a_delay_of_one_epoch_under_two_seeds_may_be_rounding():
    before, now = case([0.95, 0.95], [1, 1]), case([0.95, 0.95], [2, 2])
    assert compare_learning({"row": now}, {"row": before}, 1.0)["row"].delay is None


def test_a_drop_is_less_significant_among_many_rows():
    """A drop that is significant for a single row may be chance among forty others."""
    rng = np.random.default_rng(1)
    before = rng.normal(0.9, 0.01, 6)
    now = before - 0.02 + rng.normal(0, 0.0115, 6)
    assert change(before, now).outcome == "fell"
    rows = {f"row {index}": (rng.normal(0.9, 0.01, 6), rng.normal(0.9, 0.01, 6)) for index in range(40)}
    rows["row"] = (before, now)
    theirs = {name: case(each[0]) for name, each in rows.items()}
    ours = {name: case(each[1]) for name, each in rows.items()}
    assert compare_learning(ours, theirs, 1.0)["row"].outcome == "underpowered"


def test_different_seeds_hardly_ever_cause_a_false_alarm():
    """200 seeded comparisons of 20 rows under different seeds: 1 in 100 may be wrong."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        sds = np.geomspace(0.001, 0.03, 20)
        draw = lambda: {f"{sd}": case(rng.normal(0.8, sd, 5)) for sd in sds}  # noqa: B023, E731
        alarms += any(
            found.outcome == "fell" for found in compare_learning(draw(), draw(), 1.0).values()
        )
    assert alarms < 7
