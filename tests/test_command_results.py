"""What commands accept, by default and at the limits, and the numbers and sentences that they print."""

import argparse
import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.__main__ import _COMMANDS
from harness.commands import calibrate, gpu, history, merge, noise, replays, speed
from harness.commands.arguments import at_least, between
from harness.commands.kept_run import arguments_for
from harness.compare.github import tell_github
from harness.compare.learning import Learning
from harness.engine_speeds import peak_memory
from harness.engine_speeds.nominal import nominal_seconds
from harness.exercise import row_name
from harness.export import curve_events
from harness.gates.slowdown import RETRAININGS
from harness.history.steps import HistoryStep
from harness.paths import ROOT
from harness.session_settings import KeptRun, Shard
from harness.study import Study, StudyFolder
from model.data.presentation_order import epoch_order
from model.engines import eager
from model.experiment import Experiment
from model.optimizers import SGD, Adam, Torch
from tests.made_up_runs import SETTINGS

# Arguments --------------------------------------------------------------------------------------------


def actions():
    """Yields the arguments of all commands."""
    for name in _COMMANDS:
        parser = argparse.ArgumentParser()
        import_module(f"harness.commands.{name}").add_arguments(parser)
        yield from ((name, each) for each in parser._actions if each.dest != "help")


def test_defaults_are_those_that_the_help_states():
    stated = {}
    for name, action in actions():
        if found := re.search(r"\(default: ([^,)]+)", action.help):
            stated[name, action.dest] = found[1]
            if action.default is not None and action.default != []:
                given = action.default[0] if isinstance(action.default, list) else action.default
                if isinstance(given, Path):
                    given = given.relative_to(ROOT)
                assert found[1] == (f"{given:g}" if isinstance(given, float) else str(given))
            else:
                assert not re.fullmatch(r"[\d.]+", found[1])
    numbers = {key: text for key, text in stated.items() if text.isdecimal()}
    assert numbers == {
        ("ab", "percent"): "10",
        ("ab", "points"): "1",
        ("bisect", "percent"): "10",
        ("bisect", "points"): "1",
        ("history", "percent"): "5",
        ("noise", "runs"): "6",
        ("replays", "histories"): "10",
        ("times", "workers"): "2",
        ("times", "rounds"): "3",
    }


@pytest.mark.parametrize(
    ("command", "argument", "refused", "accepted"),
    [
        ("ab", "percent", ["0.099", "1000.1"], {"0.1": 0.1, "1000": 1000}),
        ("ab", "points", ["0.0099", "100.1"], {"0.01": 0.01, "100": 100}),
        ("history", "percent", ["0.099", "1000.1"], {"0.1": 0.1, "1000": 1000}),
        ("replays", "most_noise", ["0.0099", "1000.1"], {"0.01": 0.01, "1000": 1000}),
        ("replays", "histories", ["0"], {"1": 1}),
        ("noise", "runs", ["1"], {"2": 2}),
        ("prune", "keep", ["0"], {"1": 1}),
        ("times", "workers", ["0"], {"1": 1}),
        ("times", "rounds", ["0"], {"1": 1}),
        ("gpu", "seconds", ["0"], {"1": 1}),
    ],
)
def test_the_limits_of_numbers(command, argument, refused, accepted):
    (kind,) = (each.type for name, each in actions() if (name, each.dest) == (command, argument))
    assert {text: kind(text) for text in accepted} == accepted
    for text in refused:
        with pytest.raises(argparse.ArgumentTypeError, match=rf"^got '{re.escape(text)}'; expected a "):
            kind(text)


@pytest.mark.parametrize("text", ["", "-1", "+3", "2.0", "x", "1000000", "0000003"])
def test_what_is_no_whole_number_in_range_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected a whole number from 2 to 999999$"):
        at_least(2)(text)
    assert (at_least(2)("2"), at_least(2)("999999"), at_least(2)("000003")) == (2, 999999, 3)


@pytest.mark.parametrize("text", ["", "nan", "inf", "1 %"])
def test_what_is_no_number_in_range_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected a number from 0\.5 to 20$"):
        between(0.5, 20)(text)
    assert (between(0.5, 20)("0.5"), between(0.5, 20)("2e1")) == (0.5, 20)


# Calibration ------------------------------------------------------------------------------------------


def saved_run(seeds=1, machine="x", rows="ab", fastest=1.0):
    info = SimpleNamespace(
        seeds=[*range(seeds)],
        test_accuracy=[0.9] * seeds,
        epochs=2,
        epochs_to={"0.90": [1] * seeds},
    )
    case = SimpleNamespace(
        extra_info=info,
        stats=SimpleNamespace(min=fastest),
        machine=machine,
        differences=lambda other, _: ["x"] if other.machine != machine else [],
    )
    return SimpleNamespace(cases=dict.fromkeys(rows, case), path=Path("0001_run.json"))


@pytest.mark.parametrize(
    ("runs", "printed"),
    [
        (
            [saved_run()] * 8,
            "there are 8 comparable saved runs, with up to 1 seeds; expected at least 9 ",
        ),
        (
            [saved_run(9)],
            "there are 1 comparable saved runs, with up to 9 seeds; expected at least 9 ru",
        ),
        (
            [],
            "there are 0 comparable saved runs, with up to 0 seeds; expected at least 9 runs for times",
        ),
        ([saved_run()] * 9, ["times of 9", "rates"]),
        ([saved_run(10)], ["accuracies"]),
        ([saved_run()] * 9 + [saved_run(10, machine="y")], ["times of 9", "rates", "accuracies"]),
        ([saved_run(machine="y")] * 9 + [saved_run()] * 8, ["times of 9", "rates"]),
        ([saved_run()] * 8 + [saved_run(machine="y")] * 9, ["times of 9", "rates"]),
        ([saved_run(10)] * 9, ["times of 9", "rates", *["accuracies"] * 9]),
    ],
)
def test_nine_runs_calibrate_times_and_ten_seeds_accuracies(monkeypatch, capsys, runs, printed):
    monkeypatch.setattr(calibrate, "read_saved_run", lambda run: run)
    monkeypatch.setattr(calibrate, "times_of", lambda times, _: [f"times of {len(times)}", "rates"])
    monkeypatch.setattr(calibrate, "accuracies_of", lambda run, _: ["accuracies"])
    if isinstance(printed, str):
        with pytest.raises(ValueError, match=f"^{printed}"):
            calibrate.calibrate_gates(runs)
    else:
        calibrate.calibrate_gates(runs)
        assert capsys.readouterr().out.splitlines() == printed


def test_a_rate_in_words():
    assert str(calibrate.Rate("runs", 3, 8)) == "runs: 3 of 8 (37.5%)"


def judgement(*, suspects=(), controls=(), slow=(), together=None):
    rows = {name: SimpleNamespace(slower=name in slow) for name in "abc"}
    return SimpleNamespace(suspects=[*suspects], controls=[*controls], rows=rows, together=together)


@pytest.mark.parametrize(
    ("slow", "together", "alarm"),
    [
        ("", None, False),
        ("b", None, True),
        ("", SimpleNamespace(slower=False), False),
        ("", SimpleNamespace(slower=True), True),
    ],
)
def test_a_row_or_all_of_them_together_raise_an_alarm(slow, together, alarm):
    assert calibrate._alarm(judgement(slow=slow, together=together)) is alarm


def test_suspects_and_controls_are_trained_again_as_often_as_by_the_gate(monkeypatch):
    """Row a stays suspect, so a and its control b are trained three times more, b but twice."""
    seen = []

    def judge(trainings, saved, percent):
        seen.append(([each.seconds for each in trainings], saved, percent))
        return judgement(suspects="a", controls="b")

    monkeypatch.setattr(calibrate, "judge", judge)
    drawn = [{"a": 1.0 + at, "b": 2.0, "c": 3.0} for at in range(6 + RETRAININGS)]
    del drawn[-1]["b"]
    judged, again = calibrate._judge(drawn, {"a": 1.5})
    assert RETRAININGS == 3
    assert again == 2 + 2 + 1
    assert len(seen) == 4
    trainings, saved, percent = seen[-1]
    assert trainings == [
        {"a": 9.0, "b": 2.0, "c": 3.0},
        {"a": 10.5, "b": 2.0},
        {"a": 12.0, "b": 2.0},
        {"a": 13.5},
    ]
    assert (saved, percent) == (drawn[:5], 10.0)
    assert judged.suspects == ["a"]
    monkeypatch.setattr(calibrate, "judge", lambda *_: judgement(controls="b"))
    assert calibrate._judge(drawn, {})[1] == 0  # without suspects nothing is trained again


def test_rates_of_the_time_gate(monkeypatch):
    """Of four draws, two raise an alarm; each trains six rows again, and one of two rows is noisy."""
    monkeypatch.setattr(calibrate, "DRAWS", 4)
    calls = []

    def judged(drawn, slower):
        calls.append((len(drawn), dict(slower)))
        rows = {
            "a": SimpleNamespace(detectable=20.0, slower=bool(slower)),
            "b": SimpleNamespace(detectable=20.1, slower=bool(slower)),
        }
        alarm = SimpleNamespace(slower=not slower and len(calls) % 6 == 1)
        return SimpleNamespace(rows=rows, together=alarm), 6

    monkeypatch.setattr(calibrate, "_judge", judged)
    runs = [{"a": 1.0, "b": 1.0, **({"c": 1.0} if at else {})} for at in range(9)]
    assert [*map(str, calibrate.times_of(runs, np.random.default_rng(0)))] == [
        "Times: 9 runs of 2 rows, 5 drawn as the baseline:",
        "  runs of unchanged code with a false alarm: 2 of 4 (50.0%)",
        "  slowdowns of one row by its smallest detectable size that were detected: 4 of 4 (100.0%)",
        "  slowdowns of all rows by 10 % that were detected: 4 of 4 (100.0%)",
        "  rows whose smallest detectable slowdown is 20 % or less: 50%",
        "  rows trained again per run of unchanged code: 6.0",
    ]
    assert {size for size, _ in calls} == {9}
    assert [slower for _, slower in calls[2::3]] == [pytest.approx({"a": 1.1, "b": 1.1})] * 4
    for _, slower in calls[1::3]:
        assert slower in ({"a": pytest.approx(1.2)}, {"b": pytest.approx(1.201)})


def learned_run(*accuracies):
    """Returns a saved run of rows a, b, ..., whose seeds end at these accuracies."""
    cases = {}
    for name, values in zip("abc", accuracies, strict=False):
        info = SimpleNamespace(
            seeds=[*range(len(values))],
            test_accuracy=values,
            epochs=3,
            epochs_to={"0.90": [*range(len(values))]},
        )
        cases[name] = SimpleNamespace(extra_info=info)
    return SimpleNamespace(cases=cases, path=Path("0001_run.json"))


def test_rates_of_the_accuracy_gate(monkeypatch):
    """One row is constant and one varies by more than 0.3 points: only the third is lowered."""
    monkeypatch.setattr(calibrate, "DRAWS", 4)
    monkeypatch.setattr(calibrate, "targets_of", lambda info: [*info.epochs_to])
    compared = []

    def compare(ours, theirs, points):
        compared.append((ours, theirs, points))
        lowered = np.mean(ours["b"].test_accuracy) < 0.895
        fell = {"b": "fell" if lowered else "held", "a": "fell" if len(compared) == 1 else "held"}
        return {name: SimpleNamespace(outcome=each) for name, each in fell.items()}

    monkeypatch.setattr(calibrate, "compare_learning", compare)
    run = learned_run([0.9] * 12, [0.9 + at % 2 / 1000 for at in range(12)], [0.9, 0.8] * 6)
    assert [*map(str, calibrate.accuracies_of(run, np.random.default_rng(0)))] == [
        "Accuracies: 3 rows under 12 seeds (0001_run.json), 5 drawn for each side:",
        "  runs of unchanged code with a false alarm: 1 of 4 (25.0%)",
        "  drops of 1 point detected in one of 1 rows that vary by at most 0.3 points: 4 of 4 (100.0%)",
    ]
    assert len(compared) == 8
    for ours, theirs, points in compared:
        places = [each["b"].epochs_to["0.90"] for each in (ours, theirs)]
        assert (points, len({*places[0], *places[1]})) == (1.0, 10)  # no seed on both sides
        assert ours["a"].seeds == theirs["a"].seeds == [0, 1, 2, 3, 4]
        assert ours["a"].epochs == 3
    plain, worse = compared[0][0]["b"], compared[1][0]["b"]
    assert worse.test_accuracy == pytest.approx([each - 0.01 for each in plain.test_accuracy])
    assert worse.epochs_to == plain.epochs_to
    assert isinstance(worse, Learning)


def test_without_quiet_rows_no_drop_is_planted(monkeypatch):
    monkeypatch.setattr(calibrate, "DRAWS", 2)
    monkeypatch.setattr(calibrate, "targets_of", lambda info: [*info.epochs_to])
    found = calibrate.accuracies_of(learned_run([0.9] * 10, [0.9, 0.8] * 5), np.random.default_rng(0))
    assert len(found) == 2


@pytest.mark.parametrize(("deviation", "quiet"), [(0.00299, True), (0.00301, False), (0.0, False)])
def test_rows_that_vary_by_up_to_three_tenths_of_a_point_are_quiet(monkeypatch, deviation, quiet):
    """Ten seeds at 0.9, plus or minus so much that this is their standard deviation."""
    monkeypatch.setattr(calibrate, "DRAWS", 1)
    monkeypatch.setattr(calibrate, "targets_of", lambda info: [*info.epochs_to])
    monkeypatch.setattr(calibrate, "compare_learning", lambda *_: {"a": SimpleNamespace(outcome="held")})
    apart = deviation * (9 / 10) ** 0.5
    run = learned_run([0.9 + apart, 0.9 - apart] * 5)
    assert len(calibrate.accuracies_of(run, np.random.default_rng(0))) == (3 if quiet else 2)


# Histories --------------------------------------------------------------------------------------------


def step(**changes):
    given = {
        "case": "a", "size": "5 % slower", "commits": "since 1", "accepted": "", "confirmation": "",
        "search": "", "acceptance": "a 1", **changes,
    }  # fmt: skip
    return SimpleNamespace(**given)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, ["accept, in accepted-steps.txt of the study: a 1"]),
        ({"accepted": "line 3", "confirmation": "make ab"}, ["accepted by line 3"]),
        (
            {"confirmation": "make ab", "search": "make bisect"},
            [
                "confirm: make ab",
                "find the commit: make bisect",
                "accept, in accepted-steps.txt of the study: a 1",
            ],
        ),
    ],
)
def test_a_step_in_lines(monkeypatch, changes, lines):
    monkeypatch.setattr(history, "ACCEPTED_STEPS", "accepted-steps.txt")
    assert {*vars(step())} <= {*dir(HistoryStep), *HistoryStep.__dataclass_fields__}
    assert history._lines(step(**changes)) == ["a: 5 % slower, since 1", *lines]


@pytest.mark.parametrize("otava", [False, True])
def test_rates_of_replays_in_lines(otava):
    rates = {
        "runs": 12,
        "rows": 8,
        "machine": "A CPU",
        "unchanged": {"nights": 1200, "nights_with_a_false_step": 3, "false_steps": 4},
        "planted": [{"percent": 2.5, "nights_before": 40, "found_within": {"3": 0.25, "5": 1.0}}],
    }
    if otava:
        rates["unchanged"]["false_steps_of_otava"] = 7
        rates["planted"][0]["found_within_by_otava"] = {"3": 0.5, "5": 0.75}
    assert replays._lines(rates) == [
        "12 runs of 8 rows on A CPU",
        "1,200 nights of unchanged code: 3 with a false step, 4 false steps"
        + " (Otava, looking once: 7)" * otava,
        "2.5 % after 40 nights: found within 3 nights 25%" + " (Otava 50%)" * otava + ", 5 nights 100%"
        + " (Otava 75%)" * otava,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "rows", "noise", "refused"),
    [(4, 2, None, True), (5, 2, None, False), (5, 0, None, True), (5, 2, 3.0, False), (1, 2, 3.0, True)],
)
def test_five_runs_with_a_row_are_replayed(monkeypatch, capsys, tmp_path, runs, rows, noise, refused):
    times = np.full((runs, rows + 1), 1.0)
    times[0, -1] = np.nan  # a row that a run lacks
    track = SimpleNamespace(values=lambda what: times, about="A CPU")
    seen = []

    def replay(times, histories, otava):
        seen.append((times.shape, histories, otava))
        return {"runs": 5, "rows": 2, "unchanged": {
            "nights": 1, "nights_with_a_false_step": 0, "false_steps": 0}, "planted": []}  # fmt: skip

    def quiet(times, most):
        seen.append(most)
        return times

    monkeypatch.setattr(replays, "read_runs", lambda files, root: (["run"], []))
    monkeypatch.setattr(replays, "tracks_of", lambda _: [track])
    monkeypatch.setattr(replays, "replay", replay)
    monkeypatch.setattr(replays, "quiet_rows", quiet)
    output = tmp_path / "rates.json"
    options = SimpleNamespace(files=[], most_noise=noise, histories=7, otava=None, output=output)
    if refused:
        message = f"there are {runs} comparable saved runs, with {rows} rows in all of them; expected at"
        with pytest.raises(ValueError, match=f"^{message}"):
            replays.run(options)
    else:
        replays.run(options)
        assert seen == [*([noise] if noise else []), ((runs, rows), 7, None)]
        assert json.loads(output.read_text())["machine"] == "A CPU"


# Merged reports ---------------------------------------------------------------------------------------


def summaries(*values, name="shard"):
    return [SimpleNamespace(**{name: value}) for value in values]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["1/3", "3/3"], ["shard 2/3"]),
        (["2/2", "1/2"], []),
        (["1/2", ""], []),
        (["1/2", "2/2", "1/3"], []),  # another cut is complete
        (["1/2", "1/3", "3/3"], ["shard 2/2", "shard 2/3"]),
    ],
)
def test_shards_that_are_missing(given, missing):
    assert merge._missing_shards(summaries(*given)) == missing


@pytest.mark.parametrize(
    ("commits", "commit"),
    [(["a", "a"], "a"), (["a", "a-dirty", "a"], "a-dirty"), ([None], None), ([None, "a"], "a")],
)
def test_the_commit_of_merged_reports(commits, commit):
    assert merge._commit(summaries(*commits, name="commit")) == commit


def test_merged_reports_in_words():
    records = {f"row {at}": {"experiment": {}} for at in range(2)} | {"measurement": {}}
    merged = SimpleNamespace(records=records, repeated=[f"r{at}" for at in range(7)])
    assert merge._about([1, 2], merged, ["x\n"]) == [
        "Merged 2 reports: 2 rows.",
        "In more than one of them, with equal results, and taken once: r0, r1, r2, r3, r4 and 2 more.",
        "Without a record: x .",
    ]
    merged.repeated = []
    assert merge._about([1], merged, []) == ["Merged 1 report: 2 rows."]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("commit", "written"), [("abc", ("abc", False)), ("abc-dirty", ("abc", True)), (None, ("", False))]
)
def test_the_saved_file_of_a_merged_run_is_of_its_machine_and_commit(whole, commit, written):
    kept = KeptRun({}, {"device_name": "A"}, "2026-01-02", commit, "pytest", "there")
    plugin = merge._Measurement(kept, whole=whole)
    content = {"commit_info": {"id": "here", "project": "bench"}}
    plugin.pytest_benchmark_update_json(content)
    assert content["datetime"] == "2026-01-02"
    assert content["machine_info"] == {"suite": {"device_name": "A"}}
    assert content.get(merge.WHOLE) is (None if whole else False)
    info = content["commit_info"]
    assert (info["id"], info["dirty"], info["project"]) == (*written, "bench")
    same = {"commit_info": {"id": written[0], "branch": "main"}}
    plugin.pytest_benchmark_update_json(same)
    assert same["commit_info"] == {"id": written[0], "branch": "main"}


# A session that reads a run ---------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "root" / "bench"
    (folder / "more").mkdir(parents=True)
    for name in ("test_1_x.py", "more/test_2_y.py"):
        (folder / name).write_text("\nEXERCISE = 1\n")
    (folder / "test_claims.py").write_text("NO_EXERCISE = 1\n")
    return StudyFolder(Study(title="A study"), folder)


@pytest.mark.parametrize("until", [None, 8])
@pytest.mark.parametrize("both", [True, False])
def test_a_session_reads_the_modules_of_a_run_or_the_whole_study(study, tmp_path, until, both):
    run = SimpleNamespace(scale="quick", dataset="mnist", replicates=3, timing="exclusive")
    modules = ["bench/test_1_x.py", *(["bench/more/test_2_y.py"] if both else [])]
    given = arguments_for(tmp_path / "report", run, study, modules, until)
    root = tmp_path / "root"
    assert given[0] == str(root / "bench" if both else root / "bench/test_1_x.py")
    assert given[1:] == [
        "--resume", "-o", "addopts=", "-p", "no:cacheprovider", f"--rootdir={root}",
        f"--report-dir={tmp_path / 'report'}", "--scale=quick", "--dataset=mnist", "--replicates=3",
        "--timing=exclusive", *(["--seeds-until-decided=8"] if until else []),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"bench has no module bench/test_3\.py; name the run's study"):
        arguments_for(tmp_path, run, study, ["bench/test_3.py", *modules])


# Noise ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("together", "words"), [(None, "unknown"), (12.4, "12 %")])
def test_noise_in_a_table(capsys, together, words):
    row = {
        "id": "bench/test_1_x.py::test_training[sgd]",
        "within": 1.25, "between": 2.36, "in_turns": 0.04, "detectable": 12.6, "ab_detectable": 3.4,
    }  # fmt: skip
    noise._show(
        {"rows": [row], "runs": 6, "together_detectable": together, "disturbances": ["A.", "B."]}
    )
    out = capsys.readouterr().out
    assert row_name(row["id"]) == "sgd"
    assert re.search(r"^sgd +1\.2 +2\.4 +0\.0 +13 +3$", out, re.MULTILINE)
    assert "of the fastest epoch between 6 runs," in out
    assert f"with 5 saved runs (in all rows together: {words}) or with A/B. A. B.\n" in out


# The steps of `make gpu` ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (gpu.Result("passed"), "passed"),
        (gpu.Result("passed", 12.4), "passed after 12 s"),
        (gpu.Result("failed", 0.0, "no"), "failed: no"),
        (gpu.Result("stopped", 3.6, "time ran out"), "stopped after 4 s: time ran out"),
    ],
)
def test_a_result_in_words(result, text):
    assert gpu._format_result(result) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "it printed nothing"),
        ("one\n\n== 2 passed in 3 s ==\n\n", "2 passed in 3 s"),
        ("x" * 201, "x" * 200),
    ],
)
def test_the_last_line_of_a_log(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert gpu._last_line(tmp_path / "log") == line


def test_the_steps_of_a_summary_that_remain():
    planned = [gpu.Step(name, (), 1) for name in ("one", "two", "three", "four", "five")]
    results = {
        "one": gpu.Result("passed", 1), "two": gpu.Result("failed"), "three": gpu.Result("stopped"),
        "four": gpu.Result("skipped"),
    }  # fmt: skip
    lines = gpu.summary(planned, results, {"device": "H", "torch": "2", "code": "c"}).splitlines()
    assert lines[:2] == ["H, PyTorch 2, code c", "  one        passed after 1 s"]
    assert lines[-2:] == [
        "  five       not run",
        "Remaining: three, five; run the same command again to continue.",
    ]
    done = gpu.summary(planned[:2], results, {"device": "H", "torch": "2", "code": "c"})
    assert done.endswith("\nAll done.\n")


@pytest.mark.parametrize(("seconds", "started"), [(50, True), (49.5, False)])
def test_a_step_is_started_with_half_a_minute_besides_the_reserve(
    monkeypatch, tmp_path, seconds, started
):
    monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: 100.0))
    ran = []

    def run(step, log, left, resume):
        ran.append((step.name, left, resume))
        return gpu.Result("passed")

    monkeypatch.setattr(gpu, "_run", run)
    of = {"device": "H", "torch": "2", "code": "c"}
    status = gpu.run_steps([gpu.Step("one", (), 1)], tmp_path, of, seconds=seconds)
    assert ran == ([("one", 30.0, False)] if started else [])
    assert status == (0 if started else 1)


# Settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("until", "seeds"), [(None, (3,)), (12, (3, 6, 12)), (3, (3,))])
def test_the_looks_of_a_session(until, seeds):
    settings = replace(SETTINGS, seeds=(0, 1, 2), seeds_until_decided=until)
    assert settings.looks.seeds == seeds
    assert (settings.cluster_same, settings.cluster, settings.shard) == (False, None, None)
    assert str(Shard(2, 4)) == "2/4"


# Speeds -----------------------------------------------------------------------------------------------

STEP = Experiment(optimizer=SGD(0.1), batch_size=10, epochs=1)


def test_a_sample_is_the_time_of_a_step_over_the_first_ones(monkeypatch):
    times, trained = iter([5.0, 8.0]), []
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(times))
    runner = SimpleNamespace(epoch=lambda orders, rates: trained.append((orders.shape, len(rates))))
    contender = speed.Contender(eager, runner, None, steps=4)
    assert contender.sample(torch.zeros(2, 1000), STEP) == 0.75
    assert trained == [((2, 40), 4)]
    assert (speed.Contender(eager, runner, None).steps, contender.samples) == (1, [])


def engine_of(name, seconds, log):
    """Returns an engine whose steps take so many seconds, and notes the steps of each sample."""

    def epoch(orders, rates):
        log.append((name, len(rates)))

    return SimpleNamespace(
        NAME=name,
        seconds=seconds,
        Engine=lambda *_: SimpleNamespace(epoch=epoch),
        refuses=lambda *_: None,
    )


@pytest.fixture
def measured_engines(monkeypatch):
    """Measures made-up engines by made-up clocks; the bound is 1 ms and the peak 1 GFLOP/s."""

    def measured(*engines, size=10, replicates=1, cores=1, device="cpu", work=3):
        case = Experiment(optimizer=SGD(0.1), batch_size=size, epochs=1)
        data = SimpleNamespace(device=torch.device(device), train_labels=None)
        real = speed.Contender.sample

        def sample(contender, orders, experiment):
            real(contender, orders, experiment)
            return contender.engine.seconds

        monkeypatch.setattr(speed.Contender, "sample", sample)
        monkeypatch.setattr(speed, "_runnable", lambda *_: engines)
        monkeypatch.setattr(speed, "_orders", lambda *_: torch.zeros(replicates, 1000))
        monkeypatch.setattr(speed.peers, "ready", lambda *_: iter(()))
        monkeypatch.setattr(speed, "eager", engines[-1])
        monkeypatch.setattr(speed, "minimum_work", lambda *_: work)
        monkeypatch.setattr(speed, "roofline_bound", lambda *_: (1e-3, "bytes"))
        monkeypatch.setattr(speed, "dense_flops", lambda network, examples: examples * 1e5)
        monkeypatch.setattr(speed, "measured_peak", lambda _: 1e9)
        monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
        return speed.measure_engines(case, data, replicates, {"fast": 12.5})

    return measured


@pytest.mark.parametrize(
    ("seconds", "size", "steps"),
    [
        (0.1, 10, [1, 1]),
        (0.05, 10, [1, 1, 2, 2]),
        (0.0499, 10, [1, 1, 2, 2, 4, 4]),
        (0.001, 100, [1, 1, 2, 2, 4, 4, 8, 8]),  # then a whole epoch of ten steps
        (0.001, 1000, []),  # a step is an epoch
    ],
)
def test_a_sample_takes_a_tenth_of_a_second_or_an_epoch(measured_engines, seconds, size, steps):
    log = []
    measured_engines(engine_of("eager", seconds, log), size=size)
    assert [count for _, count in log[:-7]] == steps
    last = {(0.001, 100): 10}.get((seconds, size), steps[-1] if steps else 1)
    assert [count for _, count in log[-7:]] == [last] * 7


def test_engines_take_turns(measured_engines):
    log = []
    rows = measured_engines(engine_of("fast", 0.25, log), engine_of("eager", 0.5, log))
    assert [name for name, _ in log[-14:]] == ["fast", "eager"] * 7
    fast, own = rows
    assert (fast["engine"], fast["us_per_step"], fast["ratio_to_eager"]) == ("fast", 250_000, 2)
    assert (fast["peak_mib"], own["peak_mib"]) == (12.5, None)
    assert (fast["optimizer"], fast["batch_size"], fast["replicates"]) == ("SGD", 10, 1)
    assert (fast["bound_by"], fast["roofline_us_per_step"]) == ("bytes", pytest.approx(1000))


@pytest.mark.parametrize(
    ("device", "cores", "replicates", "sharing"),
    [("cpu", 1, 1, 1), ("cpu", 8, 1, 1 / 8), ("cpu", 8, 3, 1 / 2), ("cpu", 2, 4, 1), ("cuda", 8, 5, 5)],
)
def test_the_bound_is_for_a_replicates_cores_or_the_whole_gpu(
    measured_engines, device, cores, replicates, sharing
):
    given = {"device": device, "cores": cores, "replicates": replicates}
    (row,) = measured_engines(engine_of("eager", 0.5, []), **given)
    assert row["roofline_us_per_step"] == pytest.approx(1000 * sharing)
    assert row["share_of_roofline"] == pytest.approx(0.002 * sharing)
    assert row["share_of_peak"] == pytest.approx(10 * 1e5 / 1e9 * sharing / 0.5)
    assert (row["cores"], row["device"]) == (None if device == "cuda" else cores, device)


def test_a_table_of_speeds():
    row = {
        "optimizer": "SGD", "batch_size": 32, "replicates": 8, "cores": 2, "engine": "numba",
        "us_per_step": 12.34, "ratio_to_eager": 10.456, "ratio_to_best_peer": 0.994,
        "roofline_us_per_step": 1.236, "bound_by": "bytes", "share_of_roofline": 0.126,
        "share_of_peak": 0.456, "peak_mib": 99.6,
    }  # fmt: skip
    unknown = dict.fromkeys(
        ("cores", "roofline_us_per_step", "bound_by", "share_of_roofline", "peak_mib")
    )
    lines = [line.split() for line in speed.format_speeds([row, row | unknown]).splitlines()[-2:]]
    assert lines == [
        ["SGD", "32", "8", "2", "numba", "12.3", "10.46", "0.99", "1.24", "bytes", "13%", "46%", "100"],
        ["SGD", "32", "8", "–", "numba", "12.3", "10.46", "0.99", "–", "–", "–", "46%", "–"],
    ]


def test_orders_are_those_of_the_first_epoch_of_each_seed():
    data = SimpleNamespace(train_labels=torch.arange(50) % 10, device=torch.device("cpu"))
    found = speed._orders(STEP, data, 2)
    labels = data.train_labels.numpy()
    for seed in (0, 1):
        assert found[seed].tolist() == epoch_order(STEP.order, labels, seed, 0).tolist()


@pytest.mark.parametrize(
    ("device", "cores", "ways"),
    [("cpu", 4, [(1, (1,)), (4, (1, 4))]), ("cpu", 1, [(1, (1,))]), ("cuda", 4, [(1, (1, 8))])],
)
def test_a_machine_is_measured_on_one_core_and_on_all(monkeypatch, tmp_path, device, cores, ways):
    asked = []

    class Pool:
        def __init__(self, workers, context):
            assert workers == 1

        def submit(self, function, device, cores, replicates, path, rows):
            asked.append((cores, replicates, [*rows]))
            path.write_text("{}")
            return SimpleNamespace(result=lambda: [*rows, cores])

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731

    monkeypatch.setattr(speed, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(speed, "check_device", lambda _: None)
    monkeypatch.setattr(speed, "candidate_devices", lambda _: [torch.device(device)])
    monkeypatch.setattr(speed, "available_cores", lambda: [*range(cores)])
    monkeypatch.setattr(speed, "why_unavailable", lambda _: {})
    monkeypatch.setattr(speed, "name_of", lambda _: "A machine")
    monkeypatch.setattr(speed, "format_speeds", lambda rows: f"rows of {rows}")
    speed.measure_speeds(report=tmp_path / "report")
    assert [(count, replicates) for count, replicates, _ in asked] == ways
    assert [rows for *_, rows in asked] == [[], [1]][: len(ways)]  # those of before are kept
    assert (tmp_path / "report" / "speed.json").exists()
    assert not (tmp_path / "report" / "speed.partial.json").exists()


# Annotations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actions", ["true", "false", None])
def test_annotations_are_escaped_as_github_reads_them(monkeypatch, tmp_path, actions):
    lines, summary = [], tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if actions:
        monkeypatch.setenv("GITHUB_ACTIONS", actions)
    tell_github("text\n", [("error", "a: b, c%", "d: e, f%\ng\r")], lines.append)
    told = actions == "true"
    assert (
        lines
        == [
            "::error title=Minibatch bench%2C a%3A b%2C c%25::d: e, f%25%0Ag%0D",
        ]
        * told
    )
    assert summary.read_text() == "before\n" + "text\n" * told


# What trainings cost ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "engine", "epochs", "seconds"),
    [
        # 600 steps of 350 µs; for 266,610 parameters, 60,000 examples at 65 ps and 70,000 at 8 ps.
        (SGD(0.1), "eager", 1, 0.21 + 1.0397790 + 0.1493016),
        (SGD(0.1), "eager", 3, 3 * (0.21 + 1.0397790 + 0.1493016)),
        # Each step moves all parameters, at 2.4 ns each.
        (Adam(0.1), "eager", 1, 0.21 + 1.0397790 + 0.3839184 + 0.1493016),
        (SGD(0.1), "numba", 1, 0.4319082 + 0.1493016),
        (Adam(0.1), "numba", 1, 0.4319082 + 0.0639864 + 0.1493016),
        (SGD(0.1), "auto", 1, 0.4319082 + 0.1493016),
        (Torch(torch.optim.NAdam, 0.1), "auto", 1, 0.21 + 1.0397790 + 0.3839184 + 0.1493016),
    ],
)
def test_the_nominal_time_of_a_training(optimizer, engine, epochs, seconds):
    experiment = Experiment(optimizer=optimizer, batch_size=100, epochs=epochs)
    assert experiment.network.parameter_count == 266_610
    assert nominal_seconds(experiment, engine) == pytest.approx(seconds)


def test_the_peak_memory_is_that_of_making_an_engine_and_a_step():
    """An engine that fills 64 MiB, and then other 32 MiB for a moment in its step."""
    data, kept = SimpleNamespace(device=torch.device("cpu")), []

    def peak(megabytes):
        def epoch(orders, rates):
            assert (tuple(orders.shape), len(rates)) == ((1, 10), 1)
            torch.ones(megabytes // 2 * 2**18).sum()

        def make(experiment, data, seeds):
            assert seeds == (0,)
            kept.append(torch.ones(megabytes * 2**18))
            return SimpleNamespace(epoch=epoch)

        engine = SimpleNamespace(Engine=make)
        found = peak_memory.peak_mib(engine, STEP, data, (0,), torch.zeros(1, 50, dtype=torch.int64))
        kept.clear()
        return found

    if peak(0) is None:
        pytest.skip("the kernel does not let a process reset its peak")
    assert peak(64) - peak(0) == pytest.approx(96, abs=12)


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("1970-01-02T00:00:00+00:00", 86400),
        ("1970-01-02T01:00:00+01:00", 86400),
        ("1970-01-02T00:00:00", 86400),  # without a zone it is UTC
        ("yesterday", 0),
    ],
)
def test_the_time_of_events(created, seconds):
    assert curve_events._time(created) == seconds


def test_rows_have_names_that_folders_may_have():
    assert curve_events._as_name('a/b\\c:d*e?f"g<h>i|j k-l.m') == "a_b_c_d_e_f_g_h_i_j k-l.m"
