"""`python -m harness merge`: one report, and one measurement, of several reports."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

import harness.commands.merge
import harness.gates.plugin  # so that sessions in this process share its classes
from harness.__main__ import main
from harness.files import sealed
from harness.files.record import TrainingRecord
from harness.gates.baselines import read_saved_run
from harness.history.past_runs import read_runs
from harness.report.next_steps import without
from harness.results import merging
from harness.results.fingerprint import first_difference
from tests.conftest import CONFTEST_OF_THE_STUDY, ROOT
from tests.reports import write_record
from tests.test_shards import CLAIMS

ONLY_TIMES = {"created", "command", "checksum", "datetime", "commit_info", "machine_info"}


class Merge:
    """Runs the command in this process; its session, too, so that the results are made up."""

    def __init__(self, suite, monkeypatch, capsys):
        self._suite, self._capsys = suite, capsys
        monkeypatch.setattr(harness.commands.merge, "pytest", self)

    UsageError = pytest.UsageError
    hookimpl = pytest.hookimpl

    def main(self, arguments, plugins):
        """Takes the place of `pytest.main`.

        Hypothesis's plugin would start a second time in this process, and warn in later tests.
        """
        given = ("-p", "no:hypothesispytest", *arguments)
        with warnings.catch_warnings(record=True):
            return self._suite._pytester.runpytest_inprocess(*given, plugins=plugins).ret

    def __call__(self, *arguments):
        self._capsys.readouterr()
        status = main(["merge", "--study", str(self._suite.path / "bench"), *map(str, arguments)])
        return SimpleNamespace(returncode=status, **self._capsys.readouterr()._asdict())


@pytest.fixture
def merge(suite, monkeypatch, capsys):
    return Merge(suite, monkeypatch, capsys)


def errors(found):
    """Returns the lines on stderr, without those of pytest-benchmark about its files."""
    about = ("Wrote benchmark data", "Saved benchmark data", "Comparing against")
    return [line for line in found.err.splitlines() if line and not line.startswith(about)]


def refused(merge, suite, *arguments):
    """Returns the one line with which it refuses these arguments, without having written anything."""
    before = sorted(suite.path.rglob("*"))
    found = merge(*arguments, "--report-dir", suite.path / "merged")
    assert (found.returncode, found.out) == (2, "")
    assert sorted(path for path in suite.path.rglob("*") if "__pycache__" not in path.parts) == [
        path for path in before if "__pycache__" not in path.parts
    ]
    (line,) = found.err.splitlines()
    return line


def sharded(suite, count, *arguments):
    """Runs each of the shards; returns their report folders."""
    folders = [suite.path / f"shard {index}" for index in range(1, count + 1)]
    for index, folder in enumerate(folders, 1):
        assert suite.run(f"--shard={index}/{count}", f"--report-dir={folder}", *arguments).ret == 0
    return folders


def without_times(content):
    if isinstance(content, dict):
        return {name: without_times(each) for name, each in content.items() if name not in ONLY_TIMES}
    if isinstance(content, list):
        return [without_times(each) for each in content]
    return content


def read(path):
    return without_times(json.loads(path.read_text()))


def test_merged_shards_are_the_run_and_a_measurement(suite, merge):
    suite.add(1, CLAIMS)
    whole = suite.path / "whole.json"
    suite.run(f"--benchmark-json={whole}", "--replicates=2").assert_outcomes(passed=9)
    unsharded, folders = suite.report.resolve(), sharded(suite, 3, "--replicates=2")
    merged = suite.path / "merged"
    found = merge(*folders, "--report-dir", merged, "--", "--benchmark-autosave")
    assert (found.returncode, errors(found)) == (0, [])
    assert found.out.splitlines()[-1] == "Merged 3 reports: 6 rows."
    assert "warning" not in found.out

    # The made-up trainings take equally long in each session.
    assert read(merged / "summary.json") == read(unsharded / "summary.json")
    for name in ("summary.md", "curves.csv"):
        text = [(each / name).read_text() for each in (merged, unsharded)]
        assert text[0].replace(merged.name, unsharded.name) == text[1]
    names = [sorted(path.name for path in (each / "runs").iterdir()) for each in (merged, unsharded)]
    assert names[0] == names[1]
    assert "--shard" not in sealed.read_content(merged / "summary.json")["command"]

    saved, kept = (json.loads(path.read_text()) for path in (merged / "benchmark.json", whole))
    assert without_times(saved) == without_times(kept)
    assert saved["machine_info"]["suite"] == sealed.read_content(merged / "summary.json")["machine"]
    assert saved["whole"] is True
    assert read_saved_run(merged / "benchmark.json").cases.keys() == {
        case["id"] for case in sealed.read_content(merged / "summary.json")["cases"]
    }
    (autosaved,) = suite.saved_runs()
    assert read_saved_run(autosaved).cases == read_saved_run(merged / "benchmark.json").cases

    # In a history, rows count once, whichever of these it reads.
    for given in ([merged, autosaved, *folders], [*folders, merged]):
        (past,), left_out = read_runs(given, suite.path)
        assert len(past.rows) == 6
        assert left_out == []


def test_a_merged_run_is_gated(suite, merge):
    for _ in range(5):
        suite.run("--benchmark-autosave").assert_outcomes(passed=6)
    folders = sharded(suite, 2)
    gate = ("--benchmark-compare", "--accuracy-compare-fail=1", "--fail-bare-falls")
    found = merge(*folders, "--", *gate, "--time-compare-fail=10")
    assert (found.returncode, errors(found)) == (0, [])
    assert "gate: passed" in found.out
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", suite.report / "benchmark.json"],
        capture_output=True,
        encoding="utf-8",
    )
    assert compared.returncode == 0
    assert compared.stdout.count("test_training") == 6

    shutil.rmtree(folders[0])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("FAKE_SLOWER", "3")
        suite.run("--shard=1/2", f"--report-dir={folders[0]}")
    found = merge(*folders, "--", "--time-compare-fail=10")
    assert found.returncode == 1
    assert "could not be trained again: 6 rows were trained on other machines" in found.out


def test_a_missing_shard_is_named(suite, merge):
    suite.add(1, CLAIMS)
    folders = sharded(suite, 3)
    found = merge(*folders[:2], "--report-dir", suite.path / "merged")
    assert found.returncode == 1
    assert errors(found) == ["Missing: shard 3/3."]
    summary = json.loads((suite.path / "merged" / "summary.json").read_text())
    assert len(summary["cases"]) == 4
    assert "the merged reports lack the row" in found.out or "test_all" not in {
        claim["id"].partition("::")[2] for claim in summary["claims"]
    }
    assert json.loads((suite.path / "merged" / "benchmark.json").read_text())["whole"] is False


def test_rows_in_two_reports_are_taken_once_if_they_agree(suite, merge):
    first, second = suite.path / "first", suite.path / "second"
    suite.run(f"--report-dir={first}").assert_outcomes(passed=6)
    suite.run("-k", "0.5", f"--report-dir={second}").assert_outcomes(passed=2, deselected=4)
    found = merge(first, second, first / ".", "--report-dir", suite.path / "merged")
    assert (found.returncode, errors(found)) == (0, [])
    assert found.out.splitlines()[-2:] == [
        "Merged 2 reports: 6 rows.",
        "In more than one of them, with equal results, and taken once: "
        "bench/test_1_fake.py::test_training[sgd-lr0.5], "
        "bench/test_2_fake.py::test_training[sgd-lr0.5].",
    ]
    command = sealed.read_content(first / "summary.json")["command"]
    expected = shlex.join(without(shlex.split(command), "--report-dir"))
    assert sealed.read_content(suite.path / "merged" / "summary.json")["command"] == expected
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("FAKE_BETTER", "0.01")
        third = suite.path / "third"
        suite.run("-k", "0.5", f"--report-dir={third}").assert_outcomes(passed=2, deselected=4)
    shutil.rmtree(suite.path / "merged")
    line = refused(merge, suite, first, third)
    assert line == (
        "bench/test_1_fake.py::test_training[sgd-lr0.5] has another train_loss in third than in first; "
        "expected equal results, or the row in one of them"
    ).replace("third", str(third)).replace("first", str(first))


COMMANDS = {
    "shards": (["pytest bench/ -v --shard 1/2", "pytest bench/ -v --shard 2/2"], "pytest bench/ -v"),
    "modules": (
        ["pytest bench/b.py -k 'x y' -v", "pytest bench/a.py bench/b.py -v --report-dir r"],
        "pytest bench/b.py bench/a.py -v",
    ),
    "options": (
        ["pytest bench/ -k x --scale quick", "pytest bench/ --scale paper"],
        "pytest bench/ -k x --scale quick && pytest bench/ --scale paper",
    ),
    "another program's": (["pytest 'a", "pytest b"], "pytest 'a && pytest b"),
    "empty": (["", "pytest b"], " && pytest b"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_is_that_of_one_session_if_there_is_one(case):
    commands, expected = COMMANDS[case]
    summaries = [SimpleNamespace(command=each) for each in commands]
    assert harness.commands.merge._command(summaries, whole=True) == expected


def test_a_report_that_lacks_rows_has_the_commands_of_its_sessions():
    commands = ["pytest bench/ -k x --shard 1/2", "pytest bench/ -k y"]
    summaries = [SimpleNamespace(command=each) for each in commands]
    assert harness.commands.merge._command(summaries, whole=False) == (
        "pytest bench/ -k x && pytest bench/ -k y"
    )


def test_what_does_not_belong_together_is_refused(suite, merge):
    folders = {}
    for name, arguments in {
        "a": (),
        "b": ("--scale=paper",),
        "c": ("--replicates=2",),
        "d": ("--timing=shared",),
    }.items():
        folders[name] = suite.path / name
        suite.run("-k", "0.5", f"--report-dir={name}", *arguments)
    a = folders["a"]
    for name, difference in {
        "b": "scale is paper in {}, quick in {}",
        "c": "replicates is 2 in {}, 1 in {}",
        "d": "timing is shared in {}, exclusive in {}",
    }.items():
        assert refused(merge, suite, a, folders[name]) == (
            "only reports of the same settings can be merged, but " + difference.format(folders[name], a)
        )
    other = suite.path / "other"
    shutil.copytree(a, other)
    summary = sealed.read_content(other / "summary.json")
    summary["study"]["title"] = "Another"
    sealed.write_content(other / "summary.json", summary)
    assert refused(merge, suite, a, other) == (
        f"only reports of the same study can be merged, but it is 'Another' in {other}, 'A study' in {a}"
    )
    assert refused(merge, suite, suite.path / "bench") == (
        f"{suite.path}/bench is not the report of a finished run: it has no summary.json"
    )
    (suite.path / "bench" / "conftest.py").write_text(CONFTEST_OF_THE_STUDY + "# changed")
    assert re.fullmatch(
        rf"{re.escape(str(a))} was made by other code \(\w+\) than that of \S+ and \S+ \(\w+\); "
        "check out the commit that it was made with",
        refused(merge, suite, a),
    )


def test_rows_of_other_hardware_say_so_and_are_not_compared_in_time(suite, merge):
    suite.add(
        1,
        """
from harness.claim import claim

@claim("One is slower.")
def test_slower(trained, decide):
    found = trained.where()
    one, *_, other = found.values()
    decide(other.seconds > one.seconds, "It is.", timed=found)
""",
    )
    folders = sharded(suite, 2)
    path = folders[1] / "summary.json"
    summary = sealed.read_content(path)
    for record in [*(folders[1] / "runs").iterdir()]:
        content = sealed.read_content(record)
        record.unlink()
        content["run"]["device_name"] = "Another CPU"
        write_record(folders[1], content)
    summary["machine"] |= {"device_name": "Another CPU", "cores": 64}
    sealed.write_content(path, summary)
    merged = suite.path / "merged"
    found = merge(*folders, "--report-dir", merged)
    assert found.returncode == 0, found.out
    cases = json.loads((merged / "summary.json").read_text())["cases"]
    assert {case["hardware"]["device_name"] for case in cases} >= {"Another CPU"}
    assert "Times are not comparable" in (merged / "summary.md").read_text()
    (claim,) = json.loads((merged / "summary.json").read_text())["claims"]
    assert claim["verdict"] == "inconclusive"
    saved = read_saved_run(merged / "benchmark.json").cases
    for case in cases:
        assert saved[case["id"]].extra_info.device_name == case["hardware"]["device_name"]
        assert saved[case["id"]].extra_info.cores == case["hardware"]["cores"]
    for record in (merged / "runs").glob("*.json"):
        sealed.read_model(record, TrainingRecord)


def test_the_github_matrix_of_the_docs_runs_in_a_shell(suite):
    """Each `run` step of docs/shards.md, with the artifacts' folders moved as the actions do."""
    text = (ROOT / "docs" / "shards.md").read_text()
    (workflow,) = re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)
    steps = [step for step in re.findall(r"- run: (.+)", workflow) if "make" not in step]
    assert len(steps) == 2
    (shards,) = re.findall(r"shard: \[(.+)\]", workflow)
    python = suite.path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (suite.path / "shards").mkdir()

    def shell(step):
        return subprocess.run(
            ["bash", "-e", "-c", step],
            cwd=suite.path,
            env={**os.environ, "PYTEST_ADDOPTS": "-p tests.fakes"},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    for shard in shards.split(", "):
        ran = shell(steps[0].replace("${{ matrix.shard }}", shard))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (uploaded,) = re.findall(r"name: shard-.+\n +path: (.+)", workflow)
        folder = suite.path / uploaded.replace("${{ matrix.shard }}", shard)
        # upload-artifact leaves out hidden files.
        shutil.copytree(
            folder, suite.path / "shards" / f"shard-{shard}", ignore=shutil.ignore_patterns(".*")
        )
        shutil.rmtree(folder)
    ran = shell(steps[1])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 rows." in ran.stdout
    assert (suite.path / "reports" / "merged" / "benchmark.json").exists()


def test_several_machines_are_described_as_one():
    """Equal values stay; of numbers the smallest counts, and all names are told once."""
    machines = [
        {"device": "cpu", "cores": 8, "device_name": "Xeon", "numba": None, "memory": 2.5},
        {"device": "cpu", "cores": 2, "device_name": "EPYC", "numba": "0.68"},
        {"device": "cpu", "cores": 4, "device_name": "Xeon", "numba": "0.67", "memory": 1.5},
    ]
    assert merging._common(machines) == {
        "device": "cpu", "cores": 2, "device_name": "EPYC and Xeon", "numba": "0.67 and 0.68",
        "memory": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "difference"),
    [
        ({"scale": "quick", "engine": "numba"}, None),
        ({"scale": "quick", "engine": "numba", "more": 1}, None),
        ({"scale": "paper", "engine": "eager"}, "scale is paper there, quick here"),
        ({"scale": "quick"}, "engine is None there, numba here"),
    ],
)
def test_the_first_difference_of_two_runs_is_told(theirs, difference):
    assert first_difference(theirs, {"scale": "quick", "engine": "numba"}) == difference


def test_records_of_a_row_may_differ_in_times_only():
    one = {"run": 1, "seconds": 2.0, "threads": 1, "test_accuracy": [0.5], "seeds": [0]}
    assert merging._disagreement(one, {**one, "run": 2, "seconds": 3.0, "threads": 4}) is None
    assert merging._disagreement(one, {**one, "seeds": [1]}) == "seeds"
    assert merging._disagreement(one, {**one, "test_accuracy": [0.6], "seeds": [1]}) == "test_accuracy"
