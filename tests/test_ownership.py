"""Only files that the suite wrote are moved, replaced or deleted."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ownership
from harness.__main__ import main
from harness.ownership import MARK, ForeignFilesError
from harness.paths import BENCH, ROOT
from harness.processes import environment
from harness.report.build import build
from harness.report.load import ReportError
from harness.results.report_folder import ReportFolder
from harness.results.store import Store
from harness.study import load_study
from tests import reports

RUN = {"scale": "quick"}


def run(folder, **options):
    """Opens and closes a report folder, as a session does."""
    ReportFolder(folder, fingerprint=RUN, **{"resume": False, **options}).close()


def refusal(folder, **options):
    """Returns the line with which a session refuses the folder."""
    with pytest.raises(pytest.UsageError) as refused:
        run(folder, **options)
    (line,) = str(refused.value).splitlines()
    return line


def content(folder):
    """Returns the text of every file below the folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(errors="surrogateescape")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".v1.lock" and ".git" not in path.parts
    }


@pytest.fixture
def folder(tmp_path):
    """A report folder with a record in it."""
    path = tmp_path / "v1"
    ownership.make(path)
    Store(path).create()
    (path / "runs" / "a.json").write_text("{}")
    return path


def test_no_run_is_overwritten(folder):
    (folder / "runs" / "a.json").write_text("{}")
    before = content(folder.parent)
    assert refusal(folder) == (
        f"--report-dir is {folder}, which has an earlier run, and runs are never overwritten; continue "
        "it with --resume, or name another folder"
    )
    assert content(folder.parent) == before


def test_a_report_folder_without_a_run_is_used(folder):
    """Such as one that `make speed` created."""
    (folder / "runs" / "a.json").unlink()
    (folder / "speed.json").write_text("{}")
    run(folder)
    assert (folder / "speed.json").exists()


def test_a_new_folder_without_results_is_removed(tmp_path):
    run(tmp_path / "v1")
    assert not (tmp_path / "v1").exists()
    (tmp_path / "v2").mkdir()
    run(tmp_path / "v2")
    assert (tmp_path / "v2").exists(), "the session did not create it"


def test_a_removed_folder_is_created_again_with_its_mark(folder):
    shutil.rmtree(folder)
    ownership.make_again(folder)
    assert ownership.owns(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.txt").write_text("irreplaceable")
    ownership.make_again(folder)
    assert not ownership.owns(folder)


@pytest.mark.parametrize("make", [ownership.make, ownership.make_or_share, ownership.make_again])
def test_a_new_folder_is_created_with_its_parents(tmp_path, make):
    for _ in range(2):
        make(tmp_path / "a" / "b")
        assert ownership.owns(tmp_path / "a" / "b")


def test_a_folder_with_other_files_may_be_shared_but_is_not_owned(tmp_path):
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(ForeignFilesError, match=f"^{tmp_path} contains other files; expected a new or "):
        ownership.make(tmp_path)
    ownership.make_or_share(tmp_path)
    assert content(tmp_path) == {"thesis.txt": "irreplaceable"}


@pytest.mark.parametrize("name", ["locks", "progress"])
def test_a_session_clears_only_its_own_files(folder, name):
    suffix = {"locks": "lock", "progress": "json"}[name]
    (folder / name).mkdir(exist_ok=True)
    (folder / name / f"a.{suffix}").touch()
    (folder / name / "thesis.txt").write_text("irreplaceable")
    ownership.clear(folder / name)
    assert [path.name for path in (folder / name).iterdir()] == ["thesis.txt"]
    (folder / name / "thesis.txt").rename(folder.with_name("thesis.txt"))
    ownership.clear(folder / name)
    assert not (folder / name).exists()


@pytest.mark.parametrize("name", ["locks", "progress"])
def test_the_target_of_a_link_is_not_cleared(folder, tmp_path, name):
    ownership.clear(folder / name)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.json").touch()
    (tmp_path / "theirs" / "a.lock").touch()
    (folder / name).symlink_to(tmp_path / "theirs")
    ownership.clear(folder / name)
    assert len([*(tmp_path / "theirs").iterdir()]) == 2


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_another_programs_runs_is_refused(tmp_path, resume):
    theirs = tmp_path / "v1"
    (theirs / "runs").mkdir(parents=True)
    (theirs / "runs" / "a.json").write_text("{}")
    before = content(tmp_path)
    assert refusal(theirs, resume=resume) == (
        f"--report-dir is {theirs}, but {theirs} contains other files; expected a new or empty folder, "
        "or an earlier report (which has a file .minibatch-bench)"
    )
    assert content(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1"]


def test_a_refused_root_is_left_as_it_is(monkeypatch):
    before = set(os.listdir("/"))

    def written(*_, **__):
        pytest.fail("the suite writes to the root", pytrace=False)

    for change in ("mkdir", "write_text", "unlink", "rmdir"):  # should it write there all the same
        monkeypatch.setattr(Path, change, written)
    assert "contains other files" in refusal(Path("/"))
    assert set(os.listdir("/")) == before


@pytest.mark.parametrize("mark", ["", "somebody else's", "\udcff"], ids=["empty", "other", "bytes"])
def test_a_folder_with_another_mark_is_not_owned(folder, mark):
    (folder / MARK).write_bytes(os.fsencode(mark))
    assert not ownership.owns(folder)
    with pytest.raises(ForeignFilesError):
        ownership.remove(folder)
    assert (folder / "runs" / "a.json").exists()


def test_a_pipe_in_the_place_of_the_mark_does_not_block(folder):
    (folder / MARK).unlink()
    os.mkfifo(folder / MARK)
    assert not ownership.owns(folder)


def test_files_left_by_a_killed_run_are_owned(folder):
    """The names of temporary files and folders contain their final names."""
    (folder / ".summary.json-ab12_xyz").touch()
    (folder / ".figures-ab12_xyz").mkdir()
    (folder / "runs" / ".b.json-ab12_xyz").touch()
    ownership.remove(folder)
    assert not folder.exists()


def test_results_are_written_to_the_target_of_a_link(suite):
    (suite.path / "disk").mkdir()
    (suite.path / "link").symlink_to(suite.path / "disk")
    suite.run("-k", "test_1 and lr0.25", "--report-dir", "link").assert_outcomes(passed=1)
    assert (suite.path / "link").is_symlink()
    assert (suite.path / "disk" / "summary.json").exists()


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only"])
def test_a_session_that_trains_nothing_leaves_reports_alone(suite, option):
    suite.run("-k", "test_1 and lr0.25")
    before = content(suite.report.parent)
    suite.run("-k", "test_1 and lr0.25", option)
    assert content(suite.report.parent) == before


@pytest.fixture
def published(tmp_path, monkeypatch):
    """`reports/published/` with one run, and a document that quotes it."""
    folder = tmp_path / "reports" / "published"
    shutil.copytree(load_study(BENCH).published / "epyc-1-core", folder / "kept")
    document = tmp_path / "README.md"
    document.write_text("<!-- overview: kept --><!-- end -->")
    study = tmp_path / "bench"
    study.mkdir()
    (study / "conftest.py").write_text(
        "from harness.study import Study\n"
        "STUDY = Study(title='A study', home='..', documents=('README.md',))\n"
    )
    for module in BENCH.glob("test_*.py"):
        (study / module.name).touch()
    monkeypatch.setattr("harness.commands.arguments.BENCH", study)
    for command in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "a"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env=environment())
    return folder


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a/b", "", "-x"])
def test_a_name_that_is_not_one_of_a_subfolder_is_refused(published, tmp_path, name, capsys):
    before = content(tmp_path)
    assert main(["publish", str(published / "kept"), "--", name]) == 2
    assert capsys.readouterr().err.startswith(f"the name is {name!r}; expected")
    assert content(tmp_path) == before


def test_a_run_is_not_published_onto_itself(published, tmp_path, capsys):
    before = content(tmp_path)
    assert main(["publish", str(published / "kept"), "kept"]) == 2
    assert "one is inside the other" in capsys.readouterr().err
    assert content(tmp_path) == before


def test_a_folder_that_is_not_a_report_is_neither_published_nor_replaced(published, tmp_path, capsys):
    shutil.copytree(published / "kept", tmp_path / "new")
    (published / "kept" / MARK).unlink()
    before = content(tmp_path)
    assert main(["publish", str(tmp_path / "new"), "kept"]) == 2
    assert main(["publish", str(published / "kept"), "other"]) == 2
    lines = capsys.readouterr().err.splitlines()
    refused = f"{published / 'kept'} is not a report of this suite"
    assert lines == [f"{refused}; move it away", f"{refused}; expected a report folder"]
    assert content(tmp_path) == before


def test_a_published_run_stays_if_another_cannot_replace_it(published, tmp_path, monkeypatch):
    shutil.copytree(published / "kept", tmp_path / "new")
    before = content(published)
    real = Path.rename

    def rename(path, target):
        if path.name == "new":
            raise OSError("cannot be renamed")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert main(["publish", str(tmp_path / "new"), "kept"]) == 2
    assert content(published) == before


def test_a_partial_run_can_be_published(suite, published, tmp_path):
    suite.run("-k", "test_1 and lr0.25")
    for module in (suite.path / "bench").glob("test_*.py"):
        (tmp_path / "bench" / module.name).touch()
    assert main(["publish", str(suite.report), "kept"]) == 0
    assert (published / "kept" / "summary.md").read_text() == (suite.report / "summary.md").read_text()
    assert "1 row of 1 epoch," in (tmp_path / "README.md").read_text()


def test_a_users_figures_are_not_replaced(tmp_path):
    reports.write(tmp_path / "a")
    (tmp_path / "a" / "figures").mkdir()
    (tmp_path / "a" / "figures" / "mine.png").write_text("irreplaceable")
    with pytest.raises(ReportError, match=r"mine\.png is not a figure of this suite"):
        build([tmp_path / "a"])
    assert (tmp_path / "a" / "figures" / "mine.png").exists()


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_make_empties_only_a_virtual_environment(tmp_path, kind):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("irreplaceable")
    given = theirs
    if kind == "link":
        (theirs / "pyvenv.cfg").touch()
        given = tmp_path / "venv"
        given.symlink_to(theirs)
    made = subprocess.run(
        ["make", f"VENV={given}", f"{given}/installed"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode != 0
    assert "would be emptied" in made.stdout
    assert (theirs / "thesis.txt").exists()


def test_an_earlier_page_and_its_figures_stay_if_new_ones_cannot_be_written(tmp_path, monkeypatch):
    reports.write(tmp_path / "a")
    build([tmp_path / "a"])
    reports.write(tmp_path / "b", better=0.01)
    (tmp_path / "b" / "summary.json").replace(tmp_path / "a" / "summary.json")
    shutil.rmtree(tmp_path / "a" / "runs")
    (tmp_path / "b" / "runs").rename(tmp_path / "a" / "runs")
    changed = content(tmp_path)
    real = Path.replace

    def replace(path, target):
        if Path(target).name == "report.html" and not done:
            done.append(path)
            raise OSError(28, "No space left on device")
        return real(path, target)

    done = []
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(ReportError):
        build([tmp_path / "a"])
    assert content(tmp_path) == changed
    monkeypatch.undo()
    build([tmp_path / "a"])
    assert content(tmp_path)["a/report.html"] != changed["a/report.html"]
