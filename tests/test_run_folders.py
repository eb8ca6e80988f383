"""Each run has a separate folder, `latest` links to the newest, and only `prune` deletes."""

import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from harness import ownership, run_folders
from harness.commands import prune
from tests import reports
from tests.processes import end

# Sessions that end before their first training.
STARTS = {
    "a typo in a row": ("rows", ["-k", "test_1"]),
    "a syntax error": ("syntax", ["--exitfirst"]),
    "a module that is skipped": ("importorskip", []),
    "an engine that needs a GPU": ("", ["--engine", "cuda-graph", "--device", "cpu"]),
    "--fixtures": ("", ["--fixtures"]),
    "--benchmark-skip": ("", ["--benchmark-skip"]),
    "--setup-plan": ("", ["--setup-plan"]),
    "a missing fixture": ("fixture", ["-k", "test_1"]),
    "an invalid option": ("", ["--scale", "paper", "--scale=huge"]),
}

SPOILT = {
    "rows": "Row('mine', {'optimizer': SGD(0.1), 'batch_size': 1, 'momentum': 0.9})",
    "syntax": "def",
    "importorskip": "pytest.importorskip('nowhere')",
    "fixture": "def test_training(nowhere): pass",
    "": "",
}


def folders(reports_folder):
    """Returns the names of the folders of runs, oldest first."""
    return sorted(path.name for path in reports_folder.iterdir() if not path.is_symlink())


@pytest.fixture
def night(suite):
    """A suite with the report of a whole run."""
    suite.run("--scale", "paper").assert_outcomes(passed=6)
    return suite


@pytest.mark.parametrize(
    ("start", "workers"), [*((start, "0") for start in STARTS), ("a typo in a row", "2")]
)
def test_a_failed_start_leaves_reports_alone(night, start, workers):
    spoilt, args = STARTS[start]
    before = {path: path.read_bytes() for path in night.report.parent.rglob("*") if path.is_file()}
    code = night.module(1).read_text()
    night.add(1, SPOILT[spoilt])
    if spoilt == "importorskip":
        night.module(2).write_text(SPOILT[spoilt])
        night.module(1).write_text(code.replace("train(row)", "pytest.skip()"))
    result = night.run("-n", workers, *args)
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert before == {path: path.read_bytes() for path in before}
    assert folders(night.report.parent) == [night.report.resolve().name]


def test_five_short_runs_delete_nothing(night):
    first = night.report.resolve()
    for _ in range(5):
        night.run("-k", "test_1 and lr0.25").assert_outcomes(passed=1)
    found = folders(night.report.parent)
    assert len(found) == 6
    assert found[0] == first.name
    assert found[-1] == night.report.resolve().name
    assert len([*(first / "runs").iterdir()]) == 6


def test_a_run_is_named_after_its_time_and_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folders, "git", lambda *_, **__: "d2cbc64")
    first = run_folders.new(tmp_path / "reports")
    assert run_folders._NAME.fullmatch(first.name)
    assert first.name.endswith("_d2cbc64")
    assert not first.exists()


def test_runs_that_start_at_the_same_time_have_separate_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folders, "_stamp", lambda _: "2026-11-25_14-57-54.318")
    names = []
    for _ in range(3):
        folder = run_folders.new(tmp_path)
        ownership.make(folder)
        names.append(folder.name.removeprefix("2026-11-25_14-57-54.318"))
    assert names == ["", "-2", "-3"]


def test_latest_links_to_the_run_that_began_last_regardless_of_the_clock(suite):
    suite.run("-k", "test_1 and lr0.25")
    first = suite.report.resolve()
    first = first.rename(first.with_name("2999" + first.name[4:]))
    run_folders.lead_to(first)
    suite.hang()
    session = suite.start("-k", "test_1", "--timing", "shared")
    suite.wait_until_it_hangs(others=1)
    second = suite.report.resolve()
    assert second != first
    suite.run("-k", "test_2 and lr0.25", "--timing", "shared").assert_outcomes(passed=1)
    third = suite.report.resolve()
    assert third not in (first, second)
    suite.go()
    end(session.pid)
    session.wait()
    suite.run("-k", "lr0.5", "--resume", f"--report-dir={first}")
    assert suite.report.resolve() == third


def test_without_a_link_the_newest_is_found_by_its_name(tmp_path):
    older, newer = (tmp_path / f"2026-11-25_14-57-5{digit}.000" for digit in (4, 5))
    for folder in (older, newer):
        ownership.make(folder)
        run_folders.lead_to(folder)
    assert run_folders.latest(tmp_path) == newer.resolve()
    shutil.rmtree(newer)
    assert run_folders.latest(tmp_path) == older


def test_if_links_cannot_be_created_the_newest_is_found_by_its_name(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for digit in (5, 4):
        folder = tmp_path / f"2026-11-25_14-57-5{digit}.000"
        ownership.make(folder)
        run_folders.lead_to(folder)
    assert run_folders.latest(tmp_path).name == "2026-11-25_14-57-55.000"


def test_a_users_folder_or_link_in_the_place_of_latest_stays(suite):
    suite.report.mkdir(parents=True)
    (suite.report / "thesis.txt").write_text("irreplaceable")
    result = suite.run("-k", "test_1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *latest is neither a link to a run nor a report of this suite; move it away"]
    )
    suite.report.rename(suite.path / "mine")
    suite.report.symlink_to(suite.path / "mine")
    result = suite.run("-k", "test_1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *latest links to *mine, which is not a run in *; remove it"])
    assert (suite.report / "thesis.txt").exists()
    assert folders(suite.report.parent) == []


def test_the_report_of_an_earlier_version_is_renamed(suite):
    reports.write(suite.report)
    (suite.report / ownership.MARK).write_text(ownership._TEXT)
    suite.run("-k", "test_1 and lr0.25").assert_outcomes(passed=1)
    older, newer = folders(suite.report.parent)
    assert newer == suite.report.resolve().name
    assert (suite.report.with_name(older) / "summary.json").exists()


def test_speeds_of_the_machine_are_copied_to_the_next_run(suite):
    suite.run("-k", "test_1 and lr0.25")
    first = suite.report.resolve()
    for name in ("speed.json", "times.json"):
        (first / name).write_text(name)
    suite.run("-k", "test_1 and lr0.25")
    for folder in (first, suite.report.resolve()):
        assert [(folder / f"{name}.json").read_text() for name in ("speed", "times")] == [
            "speed.json",
            "times.json",
        ]


def test_speeds_go_to_the_latest_run_or_to_a_new_folder(tmp_path):
    first = run_folders.for_the_machine(tmp_path, None)
    assert (tmp_path / "latest").resolve() == first.resolve()
    assert run_folders.for_the_machine(tmp_path, None) == first.resolve()
    assert run_folders.for_the_machine(tmp_path, tmp_path / "mine") == tmp_path / "mine"


def test_latest_may_be_named(suite):
    """Scripts from the time when it was a folder do so."""
    for _ in range(2):
        suite.run("-k", "test_1 and lr0.25", "--report-dir=reports/latest").assert_outcomes(passed=1)
    assert suite.report.is_symlink()
    assert len(folders(suite.report.parent)) == 2


class TestPrune:
    @pytest.fixture
    def four(self, tmp_path):
        """Runs 1 to 4; `latest` links to the last."""
        for number in range(1, 5):
            folder = tmp_path / f"2026-11-25_14-57-5{number}.000"
            reports.write(folder)
            (folder / ownership.MARK).write_text(ownership._TEXT)
            run_folders.lead_to(folder)
        return tmp_path

    def left(self, reports_folder):
        return [name[18:19] for name in folders(reports_folder)]

    def test_the_newest_stay_and_the_others_are_named(self, four, capsys):
        assert prune.prune_runs(2, four) == 0
        assert self.left(four) == ["3", "4"]
        said = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in said] == ["deleted", "deleted", "2"]
        assert prune.prune_runs(9, four) == 0
        assert self.left(four) == ["3", "4"]

    def test_only_reports_are_deleted(self, four):
        (four / "published" / "kept").mkdir(parents=True)
        (four / "mine").mkdir()
        (four / "link").symlink_to(four / "2026-11-25_14-57-51.000")
        prune.prune_runs(1, four)
        assert {path.name for path in four.iterdir()} == {
            "published", "mine", "link", "latest", "2026-11-25_14-57-54.000",
        }  # fmt: skip

    def test_the_run_that_latest_links_to_stays_regardless_of_its_age(self, four):
        (four / "latest").unlink()
        (four / "latest").symlink_to("2026-11-25_14-57-51.000")
        prune.prune_runs(1, four)
        assert self.left(four) == ["1", "4"]

    def test_runs_in_use_or_with_other_files_stay(self, four, capsys):
        first, second, third = (four / f"2026-11-25_14-57-5{number}.000" for number in (1, 2, 3))
        (first / "thesis.txt").write_text("irreplaceable")
        (second / "locks").mkdir()
        (third / "locks").mkdir()
        (third / "locks" / "session.lock").touch()  # of a session that was killed
        with FileLock(second / "locks" / "session.lock"):
            assert prune.prune_runs(1, four) == 1
        assert self.left(four) == ["1", "2", "4"]
        said = capsys.readouterr().err
        assert "thesis.txt, which is not part of a report" in said
        assert "a session is writing to it" in said


def test_a_session_in_an_earlier_runs_folder_is_not_disturbed(suite):
    """Another one that starts meanwhile has a separate folder."""
    suite.run("-k", "test_1 and lr0.25")
    earlier = suite.report.resolve()
    suite.run("-k", "test_2 and lr0.25")
    suite.hang()
    session = suite.start("-k", "test_2", "--resume", f"--report-dir={earlier}", "--timing", "shared")
    assert session.wait(60) is not None
    assert json.loads((earlier / "summary.json").read_text())["cases"]
    assert os.readlink(suite.report) > earlier.name
