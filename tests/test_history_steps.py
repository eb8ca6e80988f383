"""Where a history finds a step and how large it is, held against arithmetic on paper."""

import math
import shlex
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from harness.gates.baselines import BaselineError
from harness.gates.gate_result import GateResult
from harness.history import detection, drawing, gate, past_runs, replays, steps
from harness.history.detection import Detected, Detection, common_shares
from harness.history.gate import check_history, fewest_runs
from harness.history.steps import TOGETHER, Acceptance, HistoryStep, find_steps, one_sidedness
from harness.history.tracks import tracks_of
from harness.paths import ROOT
from tests.histories import commit, made_up_runs, nights

NAN = math.nan
LEVEL = 1 / 56  # of 8 values, the last 3 are the largest in one of 56 orders


def columns(*values):
    return np.array(values, dtype=float).T


# Detection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("level", "least", "found"),
    [
        (LEVEL * 1.001, 1.0, True),
        (LEVEL, 1.0, True),
        (LEVEL * 0.999, 1.0, False),
        (LEVEL, 1.001, False),
    ],
)
def test_a_step_meets_its_level_and_its_least_size(sign, level, least, found):
    values = sign * columns([0, -0.5, 0.5, 0.25, -0.25, 1, 0.75, 1.25])
    assert detection._stepped(values, 3, level, least).tolist() == [found]


def test_an_equal_value_is_not_in_order():
    """Of 15 pairs, one is equal: at most one pair out of order has a probability of 2 in 56."""
    values = columns([0, -0.5, 0.75, 0.25, -0.25, 1, 0.75, 1.25])
    for sign in (1, -1):
        assert detection._stepped(sign * values, 3, 2 * LEVEL, 0.1).tolist() == [True]
        assert detection._stepped(sign * values, 3, 1.99 * LEVEL, 0.1).tolist() == [False]


@pytest.mark.parametrize("lacking", [0, 1, 3])
def test_the_tests_of_a_look_share_its_level(monkeypatch, lacking):
    """Each row with a value in the newest run is tested with five sizes in two directions."""
    levels = []
    monkeypatch.setattr(
        detection,
        "_stepped",
        lambda values, size, level, least: levels.append(level) or np.zeros(values.shape[1], bool),
    )
    values = np.random.default_rng(0).normal(size=(9, 4))
    values[-1, :lacking] = NAN
    assert detection._steps(values, 0.5, 0.1) == {}
    assert {*levels} == {0.5 / (2 * 5 * (4 - lacking))}


def test_no_row_has_a_step_without_a_value_in_the_newest_run():
    values = columns([0, 0, 0, 0, 0, 1, 1, NAN], [0, 0, 0, 0, 0, 1, NAN, 1], [NAN, 0, 0, 0, 0, 0, 1, 1])
    assert detection._steps(values, LEVEL, 0.5) == {1: 5, 2: 6}


@pytest.mark.parametrize(
    ("values", "since"),
    [
        ([0] * 5 + [1] * 4, 4),
        ([1] * 5 + [0] * 2, 2),
        ([0] * 6 + [1], 2),  # two at least
        ([0] * 4 + [1] * 4, 3),  # after five at least
        ([0] * 30 + [1] * 25, 20),  # the longest that is compared
        ([0, 0, 0, 0, 0, 0.25, 0, 1, 0.75, 1], 3),
    ],
)
def test_a_step_is_where_it_explains_most(values, since):
    assert detection._best_split(np.array(values, dtype=float)) == since


def test_what_all_rows_have_in_common_is_a_share():
    """Rows of 1 to 5; the second run is 0.5 slower in all, but for a row that is 7 slower by itself."""
    usual = np.arange(1.0, 6.0)
    values = np.array([usual, usual + 0.5, usual, usual, usual])
    values[1, 4] += 6.5
    assert common_shares(values).tolist() == [0, 0.5, 0, 0, 0]
    values[1, 0] = NAN  # four rows are too few
    assert common_shares(values).tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(("rows", "found"), [(4, False), (5, True)])
def test_five_rows_step_together(rows, found):
    values = np.zeros((7, rows)) + np.arange(rows)
    values[5:] += 1
    look = Detection(rows, least=0.5, shared=True)
    for of_run in values:
        look.look(of_run)
    expected = [Detected(None, 5, 6)] if found else [Detected(row, 5, 6) for row in range(rows)]
    assert look.steps == expected


def test_steps_of_rows_and_of_all_rows_together_have_baselines_of_their_own():
    """Of nine rows, three step in run 5; in run 8, all do."""
    values = np.zeros((10, 9)) + np.arange(9)
    values[5:, [0, 1, 8]] += 1
    values[8:] += 1
    look = Detection(9, least=0.5, shared=True)
    for of_run in values:
        look.look(of_run)
    assert look.steps == [*(Detected(row, 5, 6) for row in (0, 1, 8)), Detected(None, 8, 9)]
    assert look._starts.tolist() == [5, 5, 0, 0, 0, 0, 0, 0, 5, 8]


@pytest.mark.parametrize(("rows", "found"), [(4, []), (5, [Detected(None, 5, 6)])])
def test_a_run_counts_for_all_rows_together_if_it_has_five(rows, found):
    """The fifth run before the step has so many of nine rows."""
    values = np.zeros((7, 9)) + np.arange(9)
    values[5:] += 1
    values[4, rows:] = NAN
    look = Detection(9, least=0.5, shared=True)
    for of_run in values:
        look.look(of_run)
    assert look.steps == found


def test_a_row_without_values_causes_no_warning():
    values = np.zeros((3, 6))
    values[:, 2] = NAN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert common_shares(values).tolist() == [0, 0, 0]
        with pytest.raises(RuntimeWarning):
            warnings.warn("others are still errors", RuntimeWarning, stacklevel=1)


def test_a_row_begins_again_at_its_step_and_at_a_restart():
    look = Detection(2, least=0.5, shared=False)
    for value in [0] * 5 + [1] * 2:
        look.look(np.array([value, value], dtype=float))
    assert look._starts.tolist() == [5, 5, 0]
    look.restart(1)
    assert look._starts.tolist() == [5, 6, 0]
    for value in (1, 1, 1, 2, 2):  # five of the first row since its step, four of the second
        found = look.look(np.array([value, value], dtype=float))
    assert found == [Detected(0, 10, 11)]


# Sizes and places -----------------------------------------------------------------------------------


def around(values, *firsts, restarts=(), shared=False):
    """Returns the columns of rows whose first one has steps at these runs."""
    values = np.array(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    found = [Detected(0, first, first + 2) for first in firsts]
    return steps._Columns(values, SimpleNamespace(steps=found, shared=shared), {0: [*restarts]})


def test_a_step_is_measured_between_its_neighbours():
    """Before: 1 and 3; since: 6 and 8. Each side's variance is 2, so the error is the root of 2."""
    found = around([90, 90, 1, 3, 6, 8, 70, 70], 2, 4, 6)
    change, (low, high) = found.size(0, 4)
    assert change == 5
    # The 97.5 % quantile of Student's distribution with 2 degrees of freedom is 4.3027.
    assert (low, high) == pytest.approx((5 - 4.3027 * math.sqrt(2), 5 + 4.3027 * math.sqrt(2)), abs=1e-3)
    with_restarts = around([90, 90, 1, 3, 6, 8, 70, 70], 4, restarts=(2, 6))
    assert with_restarts.size(0, 4) == found.size(0, 4)


def test_one_run_on_a_side_has_no_interval():
    assert around([1, 6, 8], 1).size(0, 1) == (6, (-math.inf, math.inf))


def test_two_hundred_runs_on_each_side_count():
    values = [50] + [0, 1] * 100 + [10, 11] * 100 + [90]
    assert around(values, 201).size(0, 201)[0] == 10


def test_the_place_of_a_step_has_a_range():
    """Two of ten runs are between both levels: the squares around each split, by hand.

    With 0, 0, 0, 0, 1, 1, 2, 2, 2, 2 split after 4 or 6 they add to 4/3, after 5 to 1.6, and after 3
    or 7 to 20/7 and more. The likelihood ratio is 10 times the log of the quotient of two of them:
    1.8 for a split after 5, 7.6 for one after 3 or 7; 7.35 is allowed.
    """
    values = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert 10 * math.log(1.6 / (4 / 3)) < -2 * math.log(1 - math.sqrt(0.95)) < 10 * math.log(15 / 7)
    assert around(values, 5).place(0, 5) == (4, 6)
    assert around(values, 3).place(0, 3) == (3, 6)
    assert around(values, 8).place(0, 8) == (4, 8)


def test_a_step_between_reproducible_values_has_one_place():
    assert around([5, 5, 5, 5, 3, 3], 4).place(0, 4) == (4, 4)
    # A gap is a place too: the first run since the step may be any up to the next value.
    assert around([5, 5, 5, NAN, 3, 3], 4).place(0, 4) == (4, 4)


@pytest.mark.parametrize(("rows", "change", "share"), [(4, 1.5, 0), (5, 1, 0.25), (7, 1, 0.25)])
def test_a_step_is_measured_without_what_all_rows_share(rows, change, share):
    """From the fourth run on all rows are 0.5 slower, which takes five rows to tell; the first 1 more.

    The other rows' medians are in the middle, so that the shares are -0.25 before and 0.25 since.
    """
    usual = np.arange(1.0, rows + 1)
    values = np.array([usual + 0.5 * (run >= 3) for run in range(6)])
    values[3:, 0] += 1
    found = around(values, 3, shared=True)
    assert found.size(0, 3)[0] == change
    assert found._values[:, -1].tolist() == [-share] * 3 + [share] * 3


@pytest.fixture
def gappy():
    """Ten rows, five of which lack the last two of six runs; the first two runs are 1 slower."""
    values = np.zeros((6, 10)) + np.arange(10)
    values[:2] += 1
    values[4:, :5] = NAN
    return values


def test_shares_do_not_depend_on_which_runs_a_row_has(gappy):
    """At first, the rows without the last runs seem to be usually 0.5 slower, the others not."""
    expected = [0.75] * 2 + [-0.25] * 4
    assert common_shares(gappy).tolist() == expected
    assert around(gappy, shared=True)._values[:, -1].tolist() == expected


def reproducible(measure, *accepted):
    """Returns the steps of 14 equal runs, from the eighth on slower or less accurate."""
    slower = 1 + 0.2 * (measure == "time")
    runs = made_up_runs(np.array([[1.0]] * 7 + [[slower]] * 7))
    for at, run in enumerate(runs):
        lower = 0.02 * (measure == "accuracy" and at >= 7)
        run.rows["row 0"] = replace(run.rows["row 0"], accuracy=0.95 - lower)
        runs[at] = replace(run, accepted=at in accepted)
    (of,) = tracks_of(runs)
    return find_steps(of, 5.0)


@pytest.mark.parametrize(("measure", "change"), [("time", 20), ("accuracy", -2)])
def test_a_step_is_in_percent_or_points(measure, change):
    (found,) = reproducible(measure)
    assert (found.measure, found.first, found.found, found.accepted) == (measure, 7, 8, "")
    assert (found.earliest, found.latest) == (7, 7)
    assert [found.change, *found.interval] == pytest.approx([change] * 3)


@pytest.mark.parametrize("measure", ["time", "accuracy"])
@pytest.mark.parametrize(
    ("accepted", "by"),
    [
        ([9], ["the run 9"]),
        ([9, 11], ["the run 9"]),
        ([1], [""]),  # before the step
        ([1, 12], ["the run 12"]),
        ([3], []),  # four runs before the step are no baseline
        ([7], []),  # the step begins the new baseline
    ],
)
def test_an_accepted_run_accepts_what_is_before_it(measure, accepted, by):
    assert [found.accepted for found in reproducible(measure, *accepted)] == by


def test_how_unlikely_a_place_may_be():
    """Hansen (2000), table 1: the 95 % critical value."""
    assert steps._PLACE == pytest.approx(7.35, abs=0.005)


# Steps in words -------------------------------------------------------------------------------------


def track(runs=8, rows=1):
    (found,) = tracks_of(made_up_runs(nights(runs, rows=range(rows))))
    return found


def step(change=20.0, measure="time", row=0, *, first=4, earliest=3, latest=5, of=None, **changed):
    half = (change - 1, change + 1)
    of = of or track()
    case = TOGETHER if row is None else of.cases[row]
    made = HistoryStep(of, case, measure, row, first, earliest, latest, latest + 1, change, half)
    return replace(made, **changed)


@pytest.mark.parametrize(
    ("change", "measure", "size", "worse"),
    [
        (20.04, "time", "20.0 % slower (+19.0 to +21.0 %)", True),
        (-20.04, "time", "20.0 % faster (-21.0 to -19.0 %)", False),
        (0.52, "time", "0.5 % slower (-0.5 to +1.5 %)", True),
        (-0.52, "time", "0.5 % faster (-1.5 to +0.5 %)", False),
        (0.5, "accuracy", "0.50 points more accurate (-0.50 to +1.50)", False),
        (-0.5, "accuracy", "0.50 points less accurate (-1.50 to +0.50)", True),
        (2.346, "accuracy", "2.35 points more accurate (+1.35 to +3.35)", False),
        (-2.346, "accuracy", "2.35 points less accurate (-3.35 to -1.35)", True),
    ],
)
def test_a_step_is_for_the_worse_if_it_is_slower_or_less_accurate(change, measure, size, worse):
    found = step(change, measure)
    assert (found.size, found.worse) == (size, worse)
    assert bool(found.search) == worse


def named(**commits):
    """Returns a track whose runs have the commits of these places, else their own."""
    of = track()
    for place, digest in commits.items():
        at = int(place[1:])
        of.runs[at] = replace(of.runs[at], commit=digest)
    return of


@pytest.mark.parametrize(
    ("commits", "between", "confirmed"),
    [
        ({}, f"{commit(2)[:10]}..{commit(5)[:10]}", True),
        ({"_2": ""}, f"2..{commit(5)[:10]}", False),
        ({"_5": ""}, f"{commit(2)[:10]}..5", False),
        ({"_2": "", "_5": ""}, "no commit, runs 2 to 5", False),
        ({"_2": "a" * 40, "_5": "a" * 40}, f"{'a' * 10}, runs 2 to 5", False),
    ],
)
def test_a_step_is_between_the_last_run_before_it_and_the_first_after_it(commits, between, confirmed):
    found = step(of=named(**commits))
    assert found.commits == between
    assert (found.confirmation == "", found.search == "") == (not confirmed, not confirmed)


def test_make_and_the_shell_leave_a_rows_name_as_it_is():
    found = step(case="t.py::test[a $b]")
    before, after = commit(2)[:10], commit(5)[:10]
    # Make reads $$ as $, and gives ARGS to a shell.
    confirming = ["git", "switch", "--detach", after, "&&", "make", "ab", f"BASE={before}"]
    assert shlex.split(found.confirmation) == [*confirming, "ARGS='t.py::test[a $$b]'"]
    assert step(case="t.py::test[a]").search.startswith('make bisect ROW="t.py::test[a]" GOOD=')
    searching = ["make", "bisect", "ROW=t.py::test[a $$b]", f"GOOD={before}", f"BAD={after}"]
    assert shlex.split(found.search) == searching
    assert step(row=None).search == ""
    assert step(row=None).confirmation == f"git switch --detach {after} && make ab BASE={before}"


def test_a_step_is_accepted_by_its_commit_or_run():
    assert step().acceptance == f"{commit(4)[:10]} time row 0"
    assert step(of=named(_4="")).acceptance == "4 time row 0"


@pytest.mark.parametrize(("run", "accepts"), [(2, False), (3, True), (4, True), (5, True), (6, False)])
def test_any_run_that_may_be_the_first_accepts_a_step(run, accepts):
    for name in (str(run), commit(run)[:8]):
        assert Acceptance(name, "time", "row 0", "").accepts(step()) is accepts
    assert not Acceptance(str(run), "accuracy", "row 0", "").accepts(step())
    assert not Acceptance(str(run), "time", "row 1", "").accepts(step())


@pytest.mark.parametrize(
    ("up", "down", "starts"),
    [
        (7, 0, None),  # p is 2 / 2**7, 0.016
        (8, 0, "8 of 8 steps are slower (p = 0.0078 "),
        (0, 8, "8 of 8 steps are faster (p = 0.0078 "),
        (10, 1, None),  # 2 * 12 / 2**11, 0.012
        (11, 1, "11 of 12 steps are slower (p = 0.0063 "),
        (1, 11, "11 of 12 steps are faster (p = 0.0063 "),
        (0, 0, None),
    ],
)
def test_steps_that_go_one_way_are_told(up, down, starts):
    of, changes = track(20), [*[1.0] * up, *[-1.0] * down]
    found = [step(each, of=of, first=at + 1) for at, each in enumerate(changes)]
    # Several rows in one run count once, and accuracies do not count.
    found += found + [step(-1.0, "accuracy", of=of, first=at) for at in range(1, 19)]
    warning = one_sidedness(found)
    assert warning is None if starts is None else warning.startswith(starts)


def test_times_and_accuracies_share_the_rate_of_false_steps(monkeypatch):
    """Four fifths and one fifth of one in a thousand; half of the percent, and half a point, matter."""
    made = []

    class Recorded(Detection):
        def __init__(self, rows, *, least, shared, level):
            made.append((rows, least, shared, level))
            super().__init__(rows, least=least, shared=shared, level=level)

    monkeypatch.setattr(steps, "Detection", Recorded)
    assert find_steps(track(3, rows=2), 10.0) == []
    time, accuracy = made
    assert time == (2, pytest.approx(math.log(1.1) / 2), True, pytest.approx(8e-4))
    assert accuracy == (2, 0.5, False, pytest.approx(2e-4))


# The gate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "fewest"),
    [(1, 18), (2, 18), (3, 19), (5, 19), (6, 20), (8, 20), (9, 20), (10, 21)],
)
def test_a_step_needs_so_many_runs(rows, fewest):
    """At 8e-4, shared by 10 tests of each row and of all together, an order is one of 12,500 of them.

    The last 8 or 12 of n runs are the largest in one of (n over 8) or (n over 12) orders: 43,758 for 18,
    75,582 for 19, 125,970 for 20, both for 21 at least 203,490.
    """
    assert fewest_runs(rows) == fewest
    orders = 12_500 * (rows + 1)
    assert max(math.comb(fewest, size) for size in (5, 8, 12)) >= orders
    assert max(math.comb(fewest - 1, size) for size in (5, 8, 12) if size + 5 <= fewest - 1) < orders


def checked(times, accepted=(), percent=5.0):
    result = GateResult(failures=[], underpowered=[], passed=[], notes=[], strict=False)
    check_history(result, made_up_runs(times), percent, accepted, ROOT)
    return result


@pytest.mark.parametrize(("lacking", "judged"), [(0, 2), (1, 1), (2, 0)])
def test_a_row_is_judged_from_the_fewest_runs_on(lacking, judged):
    """Of two rows, 18 runs are enough."""
    runs = made_up_runs(nights(18, rows=range(2)))
    for at in range(lacking):
        del runs[3 + at].rows[f"row {at}"]
    result = GateResult(failures=[], underpowered=[], passed=[], notes=[], strict=False)
    check_history(result, runs, 5.0, (), ROOT)
    short = [note for note in result.notes if "18 runs or more; shorter: row 0" in note]
    assert len(short) == (lacking > 0)
    if judged:
        row = "2 rows" if judged == 2 else "1 row"
        assert result.notes[-1].endswith(
            f"{row} judged in 18 runs; 0 steps, of which 0 for the worse and 0 accepted."
        )
        assert result.failures == []
    else:
        (failure,) = result.failures
        assert (failure.case, failure.verdict) == (None, "not compared")


def test_steps_for_the_worse_fail_and_others_are_counted():
    """One row slower, one faster, and a third slower but accepted."""
    times = nights(60, noise=0.005)
    times[40:, 1] *= 1.3
    times[40:, 2] *= 0.7
    times[40:, 3] *= 1.3
    result = checked(times, [Acceptance("40", "time", "row 3", "a line")])
    (failure,) = result.failures
    assert (failure.case, failure.verdict) == ("row 1", "slower")
    assert failure.figures["measure"] == "time"
    assert failure.figures["change"] == pytest.approx(30, abs=2)
    assert failure.text.endswith(f"; to accept, add to accepted-steps.txt: {commit(40)[:10]} time row 1")
    assert result.notes == [
        "--history-fail: 8 rows judged in 60 runs; 3 steps, of which 2 for the worse and 1 accepted."
    ]


def test_rows_that_this_run_lacks_are_not_judged():
    """Two of three rows are in the newest of 20 runs; the third was in all the others."""
    runs = made_up_runs(nights(20, rows=range(3)))
    del runs[-1].rows["row 1"]
    result = GateResult(failures=[], underpowered=[], passed=[], notes=[], strict=False)
    check_history(result, runs, 5.0, (), ROOT)
    assert result.failures == []
    assert [note.partition(";")[0] for note in result.notes] == [
        "--history-fail: 2 rows judged in 20 runs"
    ]


def test_a_warning_about_all_steps_is_a_note(monkeypatch):
    monkeypatch.setattr(gate, "one_sidedness", lambda steps: "all are slower")
    assert checked(nights(20)).notes[-1] == "--history-fail: all are slower."


def test_this_run_is_the_newest_with_its_commit_and_versions():
    before = datetime.now(UTC)
    found = gate.this_run({}, {"torch": "2.3", "python": None, "another": "x"}, "a" * 40)
    assert (found.name, found.commit, found.rows) == ("this run", "a" * 40, {})
    assert before <= found.time == found.committed <= datetime.now(UTC)
    assert dict(found.versions)["torch"] == "2.3"


def test_saved_runs_that_cannot_be_used_are_told(monkeypatch, tmp_path):
    def read(path):
        if path.name == "damaged":
            raise BaselineError("it is damaged")
        return path.name

    monkeypatch.setattr(gate, "read_saved_run", read)
    monkeypatch.setattr(gate, "of_saved", lambda run: f"the run {run}")
    files = [tmp_path / name for name in ("one", "damaged", "two")]
    assert gate.saved_history(files) == (["the run one", "the run two"], ["it is damaged"])


# Runs of the past -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "commit_"),
    [
        ("a" * 40, "a" * 40),
        ("0123abc", "0123abc"),
        ("0123ab", ""),
        ("a" * 64, "a" * 64),
        ("a" * 65, ""),
        ("0123abc-dirty", "0123abc"),
        ("unversioned", ""),
        ("", ""),
    ],
)
def test_a_commit_is_its_digest(text, commit_):
    assert past_runs._clean(text) == commit_


def test_a_time_without_a_zone_is_in_utc():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for text in ("2026-01-01T12:00:00", "2026-01-01T12:00:00+00:00", "2026-01-01T14:00:00+02:00"):
        assert past_runs._time(text) == noon
    assert past_runs._time("yesterday") is None


def test_runs_are_in_the_order_of_their_commits_then_times_then_names(monkeypatch):
    """Of those that do not record when their commit was made, the repository knows some."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def run(name, digest, day, committed=None):
        (made,) = made_up_runs(np.ones((1, 1)))
        time = begin + timedelta(day)
        when = time if committed is None else begin + timedelta(committed)
        return replace(made, name=name, commit=digest, time=time, committed=when)

    late, early = run("late", "a" * 40, 9, 1), run("early", "a" * 40, 8, 1)
    known, unknown = run("known", "b" * 40, 7), run("unknown", "c" * 40, 5)
    without, twin = run("x", "", 3), run("w", "", 3)
    asked = []
    monkeypatch.setattr(
        past_runs, "_commit_times", lambda _: asked.append(1) or {"b" * 40: begin + timedelta(2)}
    )
    found = past_runs.ordered([late, unknown, without, known, twin, early], ROOT)
    assert [each.name for each in found] == ["early", "late", "known", "w", "x", "unknown"]
    assert found[2].committed == begin + timedelta(2)
    past_runs.ordered([late, early, without], ROOT)
    assert len(asked) == 1, "no commit's time is missing"


def test_git_knows_when_commits_were_made(monkeypatch):
    monkeypatch.setattr(past_runs, "git", lambda *_, **__: "abc 86400\ndef 0\n")
    assert past_runs._commit_times(ROOT) == {
        "abc": datetime(1970, 1, 2, tzinfo=UTC),
        "def": datetime(1970, 1, 1, tzinfo=UTC),
    }

    def missing(*_, **__):
        raise ValueError("no git")

    monkeypatch.setattr(past_runs, "git", missing)
    assert past_runs._commit_times(ROOT) == {}


# Tracks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "a CPU (cpu), 1 core, scale quick, 1 seed; torch 2"),
        ({"cores": "2", "replicates": "3"}, "a CPU (cpu), 2 cores, scale quick, 3 seeds; torch 2"),
        ({"timing": "shared"}, "a CPU (cpu), 1 core, scale quick, 1 seed, timing shared; torch 2"),
    ],
)
def test_a_track_tells_its_machine(changed, words):
    machine = {"scale": "quick", "timing": "exclusive", "replicates": "1", "device": "cpu"}
    machine |= {"device_name": "a CPU", "cores": "1", **changed}
    of = replace(track(), machine=(*machine.items(),), versions=(("torch", "2"), ("numba", "")))
    assert of.about == words


def test_a_track_has_three_measures():
    runs = made_up_runs(np.array([[1.0, 2.0], [3.0, 4.0]]))
    runs[1].rows["row 1"] = replace(runs[1].rows["row 1"], epochs_to_target=None)
    (found,) = tracks_of(runs)
    assert found.values("time").tolist() == [[1, 2], [3, 4]]
    assert found.values("accuracy") == pytest.approx(np.array([[0.9, 0.9], [0.90001, 0.90001]]))
    assert np.array_equal(found.values("epochs"), [[0, 0], [1, NAN]], equal_nan=True)


def test_the_longest_track_is_the_first():
    runs = made_up_runs(nights(5, rows=range(1)))
    others = [replace(run, versions=(("torch", "2"),)) for run in runs[1:4:2]]
    assert [len(of.runs) for of in tracks_of([*others[:1], *runs, *others[1:]])] == [5, 2]


# The page and its rates -----------------------------------------------------------------------------


def test_a_panel_draws_points_lines_and_means_between_steps():
    """Of 1000 x 200, with a margin of 10: five runs from 10 to 990, and 1 to 5 from 190 up to 10.

    The interval of 1 and 3 is wider than the panel; two equal values have none.
    """
    steps_ = [step(first=3, earliest=1, latest=4)]
    found = drawing._panel("s", np.array([1, 3, NAN, 5, 5]), None, steps_)
    assert found.line == "M10 190L255 100M745 10L990 10"
    assert found.dots == "M10 190h0M255 100h0M745 10h0M990 10h0"
    assert found.levels == [(10, 500, 145, 10, 190), (745, 990, 10, 10, 10)]
    assert found.steps == [(255, 745, 990, True, steps_[0].size)]
    assert (found.band, found.lowest, found.highest, found.newest) == ("", "1", "5", "5")


def test_a_panel_draws_the_intervals_over_seeds():
    found = drawing._panel("s", np.array([1.0, 3, 5]), np.array([0, 0.5, 1]), [])
    assert found.line == "M10 190L500 118L990 46"  # of 1 to 6
    assert found.band == "M10 190L500 100L990 10L990 82L500 136L10 190Z"
    assert (found.lowest, found.highest, found.newest) == ("1", "6", "5")


@pytest.mark.parametrize(
    ("values", "dots"),
    [([7], "M10 100h0"), ([7, NAN], "M10 100h0"), ([7, NAN, 8], "M10 190h0M990 10h0")],
)
def test_a_run_between_gaps_is_a_dot(values, dots):
    found = drawing._panel("s", np.array(values, dtype=float), np.full(len(values), 0.0), [])
    assert (found.dots, found.line, found.band) == (dots, "", "")
    assert (found.lowest, found.newest) == ("7", f"{values[-1] if len(values) > 2 else 7}")
    assert len(found.levels) == (len(values) == 3)


def test_a_rows_panels_show_its_steps_and_those_of_all_rows():
    of = track(rows=2)
    for of_run in of.observations:
        of_run[1] = replace(of_run[1], epochs_to_target=None)
    found = [step(of=of, row=None), step(of=of, row=1), step(1.0, "accuracy", of=of, row=1)]
    (_, _, first), (_, _, second) = drawing._part(of, found).rows
    assert [panel.title for panel in first] == ["s per epoch", "test accuracy", "epochs to 0.97"]
    assert [panel.title for panel in second] == ["s per epoch", "test accuracy"]
    assert [len(panel.steps) for panel in first] == [1, 0, 0]
    assert [len(panel.steps) for panel in second] == [2, 1]
    assert [bool(panel.band) for panel in first] == [False, True, False]


def test_steps_for_the_worse_come_first_then_the_newest_and_accepted_ones_last():
    of = track(20, rows=1)
    given = [(11, 1, "x"), (12, -2, "x"), (13, -3, ""), (14, 4, ""), (15, -5, ""), (16, 6, "")]
    found = [
        step(change, of=of, first=at, earliest=at, latest=at, accepted=by) for at, change, by in given
    ]
    text = drawing.draw_history([of], found, [])
    table = text[text.index("<table") : text.index("</table>")]
    places = {change: table.index(each.size) for each, (_, change, _) in zip(found, given, strict=True)}
    assert sorted(places, key=places.get) == [6, 4, -5, -3, 1, -2]


def test_a_planted_step_is_found_within_the_nights_since_it(monkeypatch):
    """Of two planted steps one is found after the fifth night, the other after the sixth."""

    def found(nights):
        first, second = np.flatnonzero(nights[-1] - nights[0] > 0.3).tolist()
        (other, *_) = {*range(8)} - {first, second}
        early = [(first, 20, 39), (second, 20, 39), (other, 40, 40), (None, 40, 40)]
        return [*early, (first, 40, 50), (first, 40, 44), (second, 40, 45)]

    monkeypatch.setattr(replays, "_steps", found)
    times = np.ones((6, 8))
    rates = replays._detected(times, 50.0, 40, 1, np.random.default_rng(0), None)
    assert rates == {
        "percent": 50.0, "nights_before": 40, "steps": 2,
        "found_within": {"3": 0, "5": 0.5, "10": 1, "20": 1},
    }  # fmt: skip


def test_otava_finds_a_step_if_it_is_at_most_three_nights_off(monkeypatch):
    seen = []
    monkeypatch.setattr(
        replays, "_otava", lambda chosen, _: seen.extend(chosen) or [[37, 9], [43], [36], [44], []]
    )
    nights = [np.arange(600.0).reshape(60, 10)] * 2
    assert replays._found_by_otava(nights, [[1, 3], [5, 7, 9]], 40, 5, None) == 2
    assert [each.shape for each in seen] == [(45, 2), (45, 3)]
    assert seen[0][0].tolist() == [1, 3]
