"""The history of many runs: reading, steps, acceptances, the page, and the gate on it."""

import json
import math
import os
import re
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest

from harness.__main__ import main
from harness.history.detection import BEFORE, COMPARED, FEWEST_BEFORE, Detection, rank_sum_tail
from harness.history.drawing import draw_history
from harness.history.gate import fewest_runs
from harness.history.past_runs import read_runs
from harness.history.steps import TOGETHER, find_steps, one_sidedness, read_acceptances
from harness.history.tracks import tracks_of
from harness.paths import ROOT
from tests import reports
from tests.histories import ROWS, commit, content, made_up_runs, nights, save, save_nights

# Detection ------------------------------------------------------------------------------------------


def test_rank_sums_have_their_exact_distribution():
    values = range(7)
    counts = [
        sum(mine < other for mine in chosen for other in {*values} - {*chosen})
        for chosen in combinations(values, 3)
    ]
    expected = [sum(count <= pairs for count in counts) / len(counts) for pairs in range(13)]
    assert rank_sum_tail(4, 3) == pytest.approx(expected)


def test_the_largest_tables_are_probabilities():
    tail = rank_sum_tail(BEFORE + COMPARED[-1], COMPARED[-1])
    assert tail[0] == pytest.approx(1 / math.comb(BEFORE + 2 * COMPARED[-1], COMPARED[-1]))
    assert tail[-1] == pytest.approx(1)
    assert (np.diff(tail) >= 0).all()


def looked(values, *, shared=False, least=0.01):
    detection = Detection(values.shape[1], least=least, shared=shared)
    for of_run in values:
        detection.look(of_run)
    return [(step.row, step.first, step.found) for step in detection.steps]


def noise(runs, rows, seed=0):
    return np.random.default_rng(seed).normal(0, 0.02, (runs, rows))


def test_a_step_is_found_with_its_first_run():
    values = noise(60, 8)
    values[40:, 2] += 0.2
    values[40:, 5] -= 0.2
    found = looked(values)
    assert {(row, first) for row, first, _ in found} == {(2, 40), (5, 40)}
    assert max(at for *_, at in found) < 40 + 8


def test_a_step_may_come_after_a_gap():
    values = noise(60, 8)
    values[35:45, 2] = np.nan
    values[45:, 2] += 0.2
    ((row, first, _),) = looked(values)
    assert (row, first) == (2, 45)


def test_a_step_of_all_rows_is_one_of_all_rows_together():
    values = noise(80, 8)
    values[40:] += 0.2
    ((row, first, _),) = looked(values, shared=True)
    assert (row, first) == (None, 40)


def test_a_busy_machine_hides_no_step_of_a_row():
    values = noise(60, 8) + np.random.default_rng(1).normal(0, 0.3, (60, 1))
    values[40:, 2] += 0.2
    assert looked(values) == []
    ((row, first, _),) = looked(values, shared=True)
    assert (row, first) == (2, 40)


def test_two_slow_runs_are_no_step():
    values = noise(60, 8)
    values[40:42] += 1.0
    assert looked(values) == looked(values, shared=True) == []


def test_a_step_back_is_another_step():
    values = noise(120, 8)
    values[40:80, 2] += 0.2
    assert [(row, first) for row, first, _ in looked(values)] == [(2, 40), (2, 80)]


def test_steps_of_less_than_the_least_are_ignored():
    values = noise(80, 8) / 100
    values[50:, 2] += 0.009
    assert looked(values, least=0.01) == []
    assert [row for row, *_ in looked(values, least=0.005)] == [2]


def test_reproducible_values_step_at_the_second_run():
    values = np.full((10, 2), 95.0)
    values[6:, 1] = 93.0
    assert looked(values) == [(1, 6, 7)]
    values[7:, 1] = 95.0
    assert looked(values) == []


def test_few_runs_before_are_no_baseline():
    values = np.full((8, 1), 95.0)
    values[FEWEST_BEFORE - 1 :] = 93.0
    assert looked(values) == []


def test_unchanged_runs_seldom_have_a_step():
    """A Cauchy distribution's variance is infinite; its ranks are like any other's."""
    values = np.random.default_rng(3).standard_cauchy((150, 31))
    assert looked(values) == []


def test_the_fewest_runs_find_the_clearest_step():
    needed = fewest_runs(8)
    found = set()
    for since in range(3, needed - FEWEST_BEFORE):
        values = noise(needed, 8)
        values[needed - since :, 2] += 1.0
        found |= {at for row, _, at in looked(values) if row == 2}
    assert needed - 1 in found
    assert min(found) == needed - 1


# Reading --------------------------------------------------------------------------------------------


def test_damaged_and_foreign_files_are_left_out_by_name(tmp_path):
    save_nights(tmp_path, nights(3))
    (tmp_path / "0007_damaged.json").write_text("{")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    save(tmp_path, 8, {"benchmarks": []}, "empty")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "summary.json").write_text("{}")
    runs, left_out = read_runs([tmp_path], ROOT)
    assert [run.name for run in runs] == ["0000_night", "0001_night", "0002_night"]
    assert [re.search(r"\S+\.json", line)[0].rsplit("/", 1)[1] for line in left_out] == [
        "0007_damaged.json",
        "0008_empty.json",
        "summary.json",
        "package.json",
    ]
    assert all(len(line.splitlines()) == 1 for line in left_out)


def test_runs_are_ordered_by_their_commits(tmp_path):
    for number, night in enumerate((5, 1, 3)):
        save(tmp_path, number, content(night, {ROWS[0]: 1.0}))
    runs, _ = read_runs([tmp_path], ROOT)
    assert [run.commit for run in runs] == [commit(night) for night in (1, 3, 5)]


def test_a_report_of_a_saved_run_counts_once(suite):
    suite.run("--benchmark-autosave")
    suite.run()  # the made-up times are the same again
    runs, left_out = read_runs([suite.path / ".benchmarks", suite.path / "reports"], suite.path)
    assert (len(runs), left_out) == (1, [])


def test_reports_and_saved_runs_are_one_track(suite, monkeypatch):
    suite.run("--benchmark-autosave")
    monkeypatch.setenv("FAKE_SLOWER", "1.5")
    suite.run()
    runs, left_out = read_runs([suite.path / ".benchmarks", suite.path / "reports"], suite.path)
    (track,) = tracks_of(runs)
    assert left_out == []
    assert len(track.cases) == 6
    assert {*track.values("time")[:, 0]} == {0.25, 0.375}


def test_a_missing_folder_is_refused(capsys):
    assert main(["history", "nowhere"]) == 2
    assert capsys.readouterr().err == ("nowhere does not exist; expected saved runs or report folders\n")


def test_what_is_neither_a_file_nor_a_folder_is_left_out_by_name(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for given in (tmp_path, tmp_path / "pipe.json"):
        runs, (line,) = read_runs([given], ROOT)
        assert runs == []
        assert line.startswith(f"the saved run {tmp_path}/pipe.json cannot be read: ")


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert main(["history", str(tmp_path)]) == 2
    assert f"no readable run in {tmp_path}; train some" in capsys.readouterr().err


# Tracks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "tracks"),
    [
        ({"cores": 4}, 2),
        ({"device_name": "another machine"}, 2),
        ({"scale": "paper"}, 2),
        ({"suite": {"torch": "2.14.0"}}, 2),
        ({"suite": {"cpu_mhz": 1234.5, "load": 0.7, "boot": "today"}}, 1),
        ({"outcome": "learned"}, 1),
        ({"batch_size": 2}, 1),
    ],
)
def test_machines_and_versions_have_tracks_of_their_own(tmp_path, change, tracks):
    save(tmp_path, 1, content(1, {ROWS[0]: 1.0}))
    save(tmp_path, 2, content(2, {ROWS[0]: 1.0}, **change))
    found = tracks_of(read_runs([tmp_path], ROOT)[0])
    assert len(found) == tracks
    # A row whose experiment changed is another row.
    assert len(found[0].cases) == 1 + ("batch_size" in change)


def test_a_row_that_a_run_lacks_is_a_gap(tmp_path):
    times = nights(4)
    times[2, 5] = np.nan
    save_nights(tmp_path, times)
    (track,) = tracks_of(read_runs([tmp_path], ROOT)[0])
    assert np.array_equal(track.values("time"), times, equal_nan=True)


# Steps ----------------------------------------------------------------------------------------------


@pytest.fixture
def history(tmp_path):
    """60 nights; from the 40th on, one row is 20 % slower and another one 2 points less accurate."""
    times = nights(60)
    times[40:, 2] *= 1.2
    for night, of_night in enumerate(times):
        accuracies = {ROWS[4]: [0.95 if night < 40 else 0.93]}
        seconds = dict(zip(ROWS, of_night.tolist(), strict=True))
        save(tmp_path / "runs", night, content(night, seconds, accuracies))
    return tmp_path / "runs"


def steps_in(folder, percent=5.0, accepted=()):
    (track,) = tracks_of(read_runs([folder], ROOT)[0])
    return find_steps(track, percent, accepted)


def test_steps_have_size_place_and_a_command_that_confirms_them(history):
    accuracy, time = steps_in(history)
    assert (accuracy.case, accuracy.measure, accuracy.first, accuracy.found) == (
        ROWS[4], "accuracy", 40, 41,
    )  # fmt: skip
    assert accuracy.change == pytest.approx(-2)
    assert (time.case, time.measure, time.first, time.worse) == (ROWS[2], "time", 40, True)
    low, high = time.interval
    assert low < 20 < high < low + 5
    assert time.earliest <= 40 <= time.latest < time.earliest + 4
    before, after = commit(time.earliest - 1)[:10], commit(time.latest)[:10]
    assert time.commits == f"{before}..{after}"
    assert (
        time.confirmation == f"git switch --detach {after} && make ab BASE={before} ARGS=\"'{ROWS[2]}'\""
    )
    assert time.search == f'make bisect ROW="{ROWS[2]}" GOOD={before} BAD={after}'


def test_a_step_of_all_rows_is_confirmed_with_all_rows(tmp_path):
    times = nights(80)
    times[50:] *= 1.5
    save_nights(tmp_path, times)
    (step,) = steps_in(tmp_path)
    assert (step.case, step.row) == (TOGETHER, None)
    assert step.confirmation.endswith(f"make ab BASE={commit(step.earliest - 1)[:10]}")
    assert step.interval[0] < 50 < step.interval[1]


def _steps_of(folder):
    runs, left_out = read_runs([ROOT / "reports" / "history" / folder / "runs"], ROOT)
    (track,) = tracks_of(runs)
    assert left_out == []
    return len(runs), find_steps(track, 5.0)


def test_a_step_planted_in_a_real_history_is_found_in_its_rows_and_at_its_commit():
    count, steps = _steps_of("epyc-planted")
    assert count == 30
    assert [step.case.partition("[")[2] for step in steps] == ["adam-lr0.001]", "adam-lr0.01]"]
    for step in steps:
        assert step.commits == "e1865dd27a..64d059f183"
        assert 7 < step.interval[0] < 10 < step.interval[1] < 14
        assert "GOOD=e1865dd27a BAD=64d059f183" in step.search


@pytest.mark.parametrize(("folder", "commits"), [("epyc-1-core", 38), ("xeon-1-core", 37)])
def test_real_histories_have_no_step(folder, commits):
    assert _steps_of(folder) == (commits, [])


def test_runs_of_one_commit_have_no_command(tmp_path):
    times = nights(60)
    times[40:, 2] *= 1.2
    for night, of_night in enumerate(times):
        saved = content(night, dict(zip(ROWS, of_night.tolist(), strict=True)))
        saved["commit_info"] = {"id": commit(0)}
        save(tmp_path, night, saved)
    (step,) = steps_in(tmp_path)
    assert step.confirmation == ""
    assert step.commits.startswith(f"{commit(0)[:10]}, runs 00")


def test_accepted_steps_are_marked(history, tmp_path):
    for step in steps_in(history):
        file = tmp_path / "accepted-steps.txt"
        file.write_text(f"# intended\n\n{step.acceptance}\n")
        marked = {each.case: each.accepted for each in steps_in(history, 5.0, read_acceptances(file))}
        assert marked.pop(step.case) == "accepted-steps.txt, line 3"
        assert [*marked.values()] == [""]


@pytest.mark.parametrize(
    "line",
    [
        f"{commit(30)[:10]} time {ROWS[2]}",
        f"{commit(40)[:10]} accuracy {ROWS[2]}",
        f"{commit(40)[:10]} time {ROWS[3]}",
    ],
    ids=["another commit", "another measure", "another row"],
)
def test_other_acceptances_accept_nothing(history, tmp_path, line):
    (tmp_path / "x.txt").write_text(line)
    assert [step.accepted for step in steps_in(history, 5.0, read_acceptances(tmp_path / "x.txt"))] == [
        "",
        "",
    ]


@pytest.mark.parametrize("line", ["abc time row", "abcdef012 speed row", "abcdef012 time"])
def test_an_invalid_acceptance_is_refused(tmp_path, line):
    (tmp_path / "x.txt").write_text(f"# first\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2, is '{line}'; expected a commit"):
        read_acceptances(tmp_path / "x.txt")


def test_an_accepted_run_begins_a_new_baseline(history):
    (history / "0050_night.json").rename(history / "0050_accepted.json")
    assert {step.case: step.accepted for step in steps_in(history)} == {
        ROWS[4]: "the run 0050_accepted",
        ROWS[2]: "the run 0050_accepted",
    }


def test_an_accepted_run_hides_a_step_at_it(tmp_path):
    times = nights(60)
    times[40:, 2] *= 1.2
    save_nights(tmp_path, times)
    (tmp_path / "0040_night.json").rename(tmp_path / "0040_accepted.json")
    assert steps_in(tmp_path) == []


def stepping(factors):
    """Returns the warning about a history whose rows change by these factors, one after another."""
    times = nights(25 * (len(factors) + 1))
    for at, factor in enumerate(factors, 1):
        times[25 * at :, at % 8] *= factor
    (track,) = tracks_of(made_up_runs(times))
    steps = find_steps(track, 5)
    assert len(steps) == len(factors)
    return one_sidedness(steps)


def test_a_one_sided_history_says_so():
    warning = stepping([1.3] * 9)
    assert warning.startswith("9 of 9 steps are slower (p = 0.0039 ")


def test_a_history_of_both_kinds_says_nothing():
    assert stepping([1.3, 0.7, 1.3, 0.7, 0.7, 1.3, 1.3, 0.7]) is None


# The command and its page ---------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_the_command_prints_and_draws_the_steps(history, tmp_path, capsys):
    (history / "x.json").write_text("{")
    output = tmp_path / "page.html"
    study = tmp_path / "study"
    study.mkdir()
    assert main(["history", str(history), "--output", str(output), "--study", str(study)]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith(f"left out: the saved run {history}/x.json cannot be read")
    assert shown.out.splitlines()[-1] == f"60 runs, 2 steps. Written to {output}."
    for step in steps_in(history):
        assert f"{step.case}: {step.size}, {step.commits}\n  confirm: {step.confirmation}" in shown.out
        assert bool(step.search) == (step.worse and step.row is not None)
        assert (f"  find the commit: {step.search}\n" in shown.out) == bool(step.search)
    page = Page(text := output.read_text())
    assert page.tags.count("figure") == 8 * 3
    assert page.tags.count("svg") == 8 * 3
    assert page.links == []
    assert "x.json cannot be read" in text
    assert text.count('<path class="s w"') == 2


def test_the_page_escapes_markup(tmp_path):
    save(tmp_path, 1, content(1, {f"bench/test_1_x.py::test_training[{reports.MARKUP}]": 1.0}))
    save(tmp_path, 2, content(2, {ROWS[0]: 1.0}, device_name=reports.MARKUP))
    text = draw_history(tracks_of(read_runs([tmp_path], ROOT)[0]), [], [reports.MARKUP])
    assert {"script", "b"}.isdisjoint(Page(text).tags)


def test_the_page_of_a_thousand_commits_is_small():
    runs = made_up_runs(nights(1000, rows=range(31)))
    text = draw_history(tracks_of(runs), [], [])
    assert Page(text).tags.count("svg") == 31 * 3
    assert len(text.encode()) < 5e6


def test_a_gap_interrupts_the_line():
    times = nights(10)
    times[4:6, 0] = np.nan
    runs = made_up_runs(times)
    for night in (4, 5):
        del runs[night].rows["row 0"]
    text = draw_history(tracks_of(runs), [], [])
    lines = re.findall(r'class="l" d="([^"]*)"', text)
    assert [line.count("M") for line in lines] == [2] * 3 + [1] * 21


def test_the_same_history_gives_the_same_page(history):
    tracks = tracks_of(read_runs([history], ROOT)[0])
    steps = find_steps(tracks[0], 5)
    assert draw_history(tracks, steps, []) == draw_history(tracks, steps, [])


# The gate -------------------------------------------------------------------------------------------


@pytest.fixture
def gated(suite, saved_run, monkeypatch):
    """Saves 30 nights of the suite, of which the last 12 are slower by `slower`, and runs the gate."""
    path, text = saved_run

    def run(*args, slower=1.0, worse=0.0, nights=30):
        rng = np.random.default_rng(0)
        (suite.path / path).parent.mkdir(parents=True, exist_ok=True)
        for night in range(nights):
            saved = json.loads(text)
            late = night >= nights - 12
            for case in saved["benchmarks"]:
                factor = math.exp(rng.normal(0, 0.01))
                if "test_1" in case["fullname"] and "lr0.5" in case["fullname"]:
                    factor *= slower if late else 1.0
                    case["extra_info"]["test_accuracy"] = [0.95 - worse * late]
                for name in ("min", "max", "mean", "median", "total"):
                    case["stats"][name] *= factor
                case["extra_info"]["seconds"] *= factor
            saved["datetime"] = f"2026-01-{night + 1:02}T02:00:00+00:00"
            saved["commit_info"] = {"id": commit(night), "time": saved["datetime"]}
            (suite.path / path).with_name(f"{night:04}_night.json").write_text(json.dumps(saved))
        return suite.run("--history-fail", "5", "--benchmark-autosave", *args)

    return run


CASE = "bench/test_1_fake.py::test_training[[]sgd-lr0.5]"


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "n2"])
def test_an_unchanged_history_passes(gated, suite, args):
    result = gated(*args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*gate: passed*", "--history-fail: 6 rows judged in 31 runs; 0 steps*"])
    assert len(suite.saved_runs()) == 31


def test_a_step_fails_the_gate_and_the_run_is_saved(gated, suite):
    result = gated(slower=1.3)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*gate: failed*",
            f"{CASE}: * % slower (+* to +* %) since 00*_night, *; to confirm: git switch --detach * && "
            "make ab BASE=*; to accept, add to accepted-steps.txt: * time bench/test_1_fake.py*",
        ]
    )
    assert len(suite.saved_runs()) == 31
    gate = json.loads((suite.report / "gate.json").read_text())
    (failure,) = gate["failures"]
    assert failure["verdict"] == "slower"
    assert 20 < failure["figures"]["change"] < 40


def test_a_drop_of_accuracy_fails_the_gate(gated, monkeypatch):
    monkeypatch.setenv("FAKE_BETTER", "-0.02")
    result = gated(worse=0.02)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{CASE}: 2.00 points less accurate (-2.00 to -2.00) since *"])


def test_an_improvement_passes(gated):
    result = gated(slower=0.7)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["--history-fail: 6 rows judged in 31 runs; 1 step, of which 0 for the worse *"]
    )


def test_an_accepted_step_passes(gated, suite):
    gated(slower=1.3)
    (failure,) = json.loads((suite.report / "gate.json").read_text())["failures"]
    line = failure["text"].rpartition("add to accepted-steps.txt: ")[2]
    (suite.path / "bench" / "accepted-steps.txt").write_text(f"{line}\n")
    for path in suite.saved_runs()[30:]:
        path.unlink()
    result = gated(slower=1.3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 step, of which 1 for the worse and 1 accepted."])


def test_too_short_a_history_fails_the_gate(gated):
    result = gated(nights=5)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["no row has a history that is long enough; save more runs, *"])


def test_a_damaged_saved_run_is_left_out_by_name(gated, suite, saved_run):
    damaged = (suite.path / saved_run[0]).with_name("0099_damaged.json")
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    result = gated()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["--history-fail: left out: the saved run */0099_damaged.json cannot be read: *"]
    )


@pytest.mark.parametrize("given", ["0", "x", "nan", "1001"])
def test_an_invalid_percent_is_refused(suite, given):
    line = suite.refused("--history-fail", given)
    assert f"--history-fail is '{given}'; expected a step in percent, above 0 and up to 1000" in line


def test_an_invalid_accepted_step_is_refused(suite):
    (suite.path / "bench" / "accepted-steps.txt").write_text("x")
    line = suite.refused("--history-fail", "5")
    assert "accepted-steps.txt, line 1, is 'x'; expected a commit" in line


def test_a_session_that_times_nothing_is_refused(suite):
    line = suite.refused("--history-fail", "5", "--benchmark-disable")
    assert "--history-fail cannot judge a run that trains or times nothing" in line
