"""The time gate's decisions on made-up times: what it detects, and how often it is wrong."""

import numpy as np
import pytest
from scipy import stats

from harness.compare.significance import combined_error, holm, moderate
from harness.gates.slowdown import CONTROLS, RETRAININGS, Trainings, judge, to_percent

ROWS = [f"row {index}" for index in range(12)]


class Machine:
    """Draws log-normal epoch times: each row has its own noise, and the rows of a run share some."""

    def __init__(self, seed, shared=0.02, two_states=()):
        self.rng = np.random.default_rng(seed)
        self.noise = dict(zip(ROWS, np.geomspace(0.01, 0.06, len(ROWS)), strict=True))
        self.shared = shared
        self.two_states = two_states

    def run(self, cases=ROWS, **slower):
        share = self.rng.normal(0, self.shared)
        factor = slower.pop("everything", 1.0)
        times = {
            case: factor * slower.get(case, 1.0) * np.exp(share + self.rng.normal(0, self.noise[case]))
            for case in cases
        }
        return {
            case: seconds * (1.5 if case in self.two_states and self.rng.random() < 0.3 else 1)
            for case, seconds in times.items()
        }

    def gate(self, saved=6, percent=10, **slower):
        """Judges a run as the gate does, training suspects again."""
        runs = [self.run() for _ in range(saved)]
        now = [Trainings(self.run(**slower))]
        judged = judge(now, runs, percent)
        while judged.suspects and len(now) <= RETRAININGS:
            now.append(
                Trainings(self.run([*judged.suspects, *judged.controls], **slower), judged.controls)
            )
            judged = judge(now, runs, percent)
        return judged


def slow(judged):
    return [case for case, row in judged.rows.items() if row.slower]


def to_log(percent):
    return np.log1p(np.asarray(percent) / 100)


def middles_and_shares(runs, cases=ROWS):
    """Returns the logarithms of times, (runs, rows), their middles, (rows,), and shares, (runs, 1)."""
    logs = np.log([[run.get(case, np.nan) for case in cases] for run in runs])
    shares = np.zeros((len(runs), 1))
    for _ in range(2):
        middles = np.nanmean(logs - shares, axis=0)
        shares = np.nanmedian(logs - middles, axis=1, keepdims=True)
    return logs, middles, shares


@pytest.mark.parametrize(("saved", "shared"), [(2, 0.02), (6, 0.02), (6, 0.002)])
def test_figures_are_those_of_t_tests_with_moderated_variances(saved, shared):
    """Computed a second time with SciPy, on arrays of shape (runs, rows)."""
    machine = Machine(5, shared)
    runs = [machine.run() for _ in range(saved)]
    now = machine.run(**{"row 4": 1.5, "row 7": 1.08})
    judged = judge([Trainings(now)], runs, 10)
    logs, middles, shares = middles_and_shares(runs)
    variances, freedom = moderate((logs - shares).T)
    residuals = np.log([now[case] for case in ROWS]) - middles
    differences = residuals - np.median(residuals)
    t = stats.t(freedom)
    errors = (variances * (1 + 1 / saved)) ** 0.5
    p = t.sf(differences / errors)
    half = t.ppf(0.975) * errors
    quietest = np.argsort(variances)
    controls = [variances[quietest[:5]].mean(), freedom[quietest[:5]].mean()]
    last = [
        combined_error(
            [(own * (1 / 4 + 1 / saved), of), (np.pi / 2 * controls[0] / 5 * 3 / 16, controls[1])]
        )
        for own, of in zip(variances, freedom, strict=True)
    ]
    last_errors, last_freedom = np.array(last).T
    detectable = np.max(
        [
            errors * (t.ppf(0.99) + t.ppf(0.975)),
            last_errors * stats.t.ppf([[1 - 0.0025 / 12], [0.975]], last_freedom).sum(axis=0),
            to_log(10) / 2 + errors * t.ppf(1 - 0.025 / 4),
        ],
        axis=0,
    )
    for index, (row, adjusted) in enumerate(zip(judged.rows.values(), holm(p), strict=True)):
        assert row.difference.estimate == pytest.approx(differences[index])
        assert row.percent == pytest.approx(100 * np.expm1(differences[index]))
        low, high = to_log(row.interval)
        assert low == pytest.approx(differences[index] - half[index])
        assert high == pytest.approx(differences[index] + half[index])
        assert row.p == pytest.approx(adjusted)
        assert to_log(row.detectable) == pytest.approx(detectable[index])
        matters = differences[index] >= to_log(10) / 2
        assert row.suspect == (matters and p[index] <= 0.01)
        assert row.slower == (matters and adjusted <= 0.0025)
    assert slow(judged) == (["row 4"] if saved > 2 else [])
    assert judged.controls == [ROWS[each] for each in quietest if ROWS[each] not in judged.suspects][:5]

    together = judged.together
    error = (np.var(shares, ddof=1) * (1 + 1 / saved)) ** 0.5
    estimate = np.median(residuals) - shares.mean()
    assert (together.saved, together.trainings, together.suspect) == (saved, 1, False)
    assert together.difference.estimate == pytest.approx(estimate)
    assert together.p == pytest.approx(stats.t.sf(estimate / error, saved - 1))
    found, false_alarm = stats.t.ppf([0.95, 1 - 0.0025], saved - 1) * error
    assert to_log(together.detectable) == pytest.approx(found + max(false_alarm, to_log(10) / 2))


@pytest.mark.parametrize("count", [CONTROLS - 1, CONTROLS, len(ROWS)])
def test_the_error_after_retrainings_includes_that_of_the_controls(count):
    """It is that of a median of CONTROLS rows, in each retraining, if there are that many rows."""
    machine = Machine(7)
    runs = [machine.run(ROWS[:count]) for _ in range(3)]
    now = Trainings(machine.run(ROWS[:count]))
    again = Trainings(machine.run(ROWS[:count]), ROWS[1:count])
    logs = np.log([[run[case] for case in ROWS[:count]] for run in runs])
    if count < CONTROLS:
        shares = np.zeros((3, 1))
    else:
        _, _, shares = middles_and_shares(runs, ROWS[:count])
    variances, freedom = moderate((logs - shares).T)
    quietest = np.argsort(variances)[:CONTROLS]
    share = np.pi / 2 * variances[quietest].mean() / CONTROLS
    for trainings in (1, 2, 3):
        parts = [(variances[0] * (1 / trainings + 1 / 3), freedom[0])]
        if count >= CONTROLS and trainings > 1:
            parts.append((share * (trainings - 1) / trainings**2, freedom[quietest].mean()))
        found = judge([now, again, again][:trainings], runs, 10).rows[ROWS[0]].difference
        assert (found.error, found.freedom) == pytest.approx(combined_error(parts))
    together = [judge([now], runs[:saved], 10).together is not None for saved in (1, 2, 3)]
    assert together == ([False, True, True] if count >= CONTROLS else [False] * 3)


def test_each_row_is_compared_with_the_runs_that_have_it():
    machine = Machine(8, shared=0.5)
    runs = [machine.run(cases) for cases in (ROWS, ROWS[:6], ROWS[3:], ROWS[:8], ROWS)]
    now = machine.run()
    _, middles, _ = middles_and_shares(runs)
    residuals = np.log([now[case] for case in ROWS]) - middles
    found = [row.difference.estimate for row in judge([Trainings(now)], runs, 10).rows.values()]
    assert found == pytest.approx(residuals - np.median(residuals))


def test_trainings_have_equal_weight_and_each_its_own_controls():
    machine = Machine(6)
    runs = [machine.run() for _ in range(6)]
    now = machine.run(**{"row 4": 2.0})
    again = {"row 4": 3.0, "row 0": 2.0, "row 1": 2.1, "row 2": 1.7, "a new one": 1.0}
    controls = [*again][1:4]
    _, middles, _ = middles_and_shares(runs)
    middle = dict(zip(ROWS, middles, strict=True))
    share = np.median([np.log(now[case]) - middle[case] for case in ROWS])
    first = np.log(now["row 4"]) - middle["row 4"]
    second = np.log(3.0) - middle["row 4"]
    among = np.median([np.log(again[case]) - middle[case] for case in controls])

    def estimate(*trainings):
        found = judge([Trainings(now), *trainings], runs, 10).rows["row 4"]
        assert found.trainings == 1 + len(trainings)
        return found.difference.estimate

    assert estimate() == pytest.approx(first - share)
    controlled = Trainings(again, [*controls, "missing"])
    together = [judge([Trainings(now), *each], runs, 10).together for each in ([], [controlled])]
    assert together[0] == together[1], "only this run decides on all rows together"
    assert estimate(controlled) == pytest.approx((first - share + second - among) / 2)
    # Without controls, this run's share is the best estimate.
    alone = Trainings({"row 4": 3.0})
    last = (first - share + second - among + second - share) / 3
    assert estimate(controlled, alone) == pytest.approx(last)


def test_a_huge_slowdown_can_be_printed():
    assert to_percent(1e9) == pytest.approx(100 * np.expm1(700.0))
    assert to_percent(np.log(1.25)) == pytest.approx(25)


def test_unchanged_code_is_hardly_ever_reported_as_slower():
    """In 200 seeded runs with 1 false alarm in 100, 5 or more of them have a probability of 5 %."""
    judged = [Machine(seed).gate() for seed in range(200)]
    assert sum(bool(slow(each)) or each.together.slower for each in judged) < 5


def test_rows_that_are_slow_in_one_of_three_processes_hardly_cause_more_alarms():
    """Rows on two cores behave like this if a virtual machine's cores are moved."""
    judged = [Machine(seed, two_states=ROWS[::2]).gate() for seed in range(100)]
    assert sum(bool(slow(each)) for each in judged) < 5


def test_a_slowdown_of_the_detectable_size_is_detected():
    found = 0
    for seed in range(100):
        size = Machine(seed).gate().rows["row 5"].detectable
        found += slow(Machine(seed).gate(**{"row 5": 1 + size / 100})) == ["row 5"]
    assert found >= 88


def test_a_busy_machine_makes_no_row_suspect():
    """All rows take half as long again, and do so in some of the saved runs."""
    judged = Machine(0, shared=0.3).gate(everything=1.5)
    assert slow(judged) == []
    assert not judged.together.slower
    assert judged.together.detectable > 50


def test_a_slowdown_of_all_rows_together_is_detected():
    judged = Machine(0, shared=0.01).gate(everything=1.1, saved=10)
    assert judged.together.slower
    assert judged.together.percent == pytest.approx(10, abs=4)


def test_a_suspect_that_is_fast_when_trained_again_passes():
    machine = Machine(1)
    runs = [machine.run() for _ in range(6)]
    now = [Trainings(machine.run(**{"row 3": 2.0}))]
    judged = judge(now, runs, 10)
    assert judged.suspects == ["row 3"]
    assert len(judged.controls) == CONTROLS
    assert "row 3" not in judged.controls
    for _ in range(RETRAININGS):
        now.append(Trainings(machine.run([*judged.suspects, *judged.controls]), judged.controls))
    judged = judge(now, runs, 10)
    assert judged.rows["row 3"].trainings == 1 + RETRAININGS
    assert not judged.rows["row 3"].slower


def test_a_slowdown_must_be_large_enough_as_well_as_significant():
    """Of rows without noise, one is 4 % slower: that is less than half of 10 %, but not of 7 %."""
    runs = [dict.fromkeys(ROWS, 1.0 + 1e-06 * index) for index in range(6)]
    now = [Trainings({case: 1.04 if case == "row 3" else 1.0 for case in ROWS})]
    assert slow(judge(now, runs, 10)) == []
    assert slow(judge(now, runs, 7)) == ["row 3"]


def test_a_few_rows_are_judged_without_a_common_share():
    machine = Machine(2)
    few = ROWS[: CONTROLS - 1]
    runs = [machine.run(few) for _ in range(6)]
    judged = judge([Trainings(machine.run(few, **{"row 1": 1.5}))], runs, 10)
    assert slow(judged) == ["row 1"]
    assert judged.together is None


def test_saved_runs_need_not_have_the_same_rows():
    machine = Machine(3)
    runs = [machine.run() for _ in range(5)] + [machine.run(ROWS[:6]) for _ in range(5)] + [{}]
    judged = judge([Trainings({**machine.run(), "a new one": 1.0})], runs, 10)
    assert [judged.rows[case].saved for case in (ROWS[0], ROWS[-1])] == [10, 5]
    assert "a new one" not in judged.rows


def test_without_common_rows_nothing_is_judged():
    judged = judge([Trainings({"one": 1.0})], [{"another": 1.0}], 10)
    assert judged.rows == {}
    assert judged.together is None


def test_controls_that_were_not_trained_are_ignored():
    machine = Machine(4)
    runs = [machine.run() for _ in range(6)]
    now = [Trainings(machine.run(**{"row 3": 2.0})), Trainings({"row 3": 2.0}, ["row 0"])]
    assert judge(now, runs, 10).rows["row 3"].trainings == 2
