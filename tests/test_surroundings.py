"""Other ways, places and users to run it: the tables are complete, or one line says why not."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.hardware.lock_file import LockError, lock_folder
from harness.hardware.machine import git_commit
from harness.processes import environment
from harness.results.report_folder import ReportFolder
from model.data.download import DataError, ensure_downloaded
from tests.conftest import ROOT
from tests.reports import RUN


@pytest.mark.parametrize(
    ("mode", "passed"),
    [("each", 6), ("load", 3), ("loadfile", 3), ("loadgroup", 3), ("loadscope", 3), ("worksteal", 3)],
)
def test_every_way_to_distribute_tests_over_workers(suite, mode, passed):
    """With `each`, every worker runs all tests, and times separate trainings."""
    suite.hang()
    suite.go()
    suite.run("-n", "2", "--dist", mode, "-k", "test_1").assert_outcomes(passed=passed)
    assert suite.trained() == sorted(["0.25", "0.5", "1.0"] * (passed // 3))
    assert len(suite.cases()) == 3


def test_last_failed_tests_run_alone_and_other_rows_are_resumed(suite):
    suite.add(1, "def test_odd(trained):\n    assert trained('sgd-lr0.5').seconds > 1\n")
    suite.run("-k", "test_1").assert_outcomes(passed=3, failed=1)
    suite.run("--lf", "--resume").assert_outcomes(failed=1)
    assert [case["resumed"] for case in suite.cases().values()] == [True] * 3
    suite.run("--lf").assert_outcomes(failed=1)
    assert [*suite.cases()] == ["test_1_fake.py::test_training[sgd-lr0.5]"]


def test_a_junit_report(suite):
    suite.run("--junitxml=out/junit.xml").assert_outcomes(passed=6)
    assert len([*ElementTree.parse(suite.path / "out" / "junit.xml").iter("testcase")]) == 6


def test_a_path_with_spaces_quotes_and_other_letters(suite):
    suite.run("-k", "lr0.5", "-n", "2", "--report-dir", "my reports/ü '1'").assert_outcomes(passed=2)
    assert (suite.path / "my reports" / "ü '1'" / "summary.json").exists()


def test_a_path_that_is_not_utf_8(suite):
    """pytest-xdist cannot send such a path to its workers."""
    name = "r\udcff"
    suite.run("-k", "lr0.5", "--report-dir", name).assert_outcomes(passed=2)
    assert (suite.path / name / "summary.json").exists()
    result = suite.run("-n", "2", "--report-dir", name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: 'r\\udcff' is not UTF-8, so pytest-xdist cannot send it *"])


@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["no checkout", "no git"])
def test_a_copy_without_git_has_no_commit(tmp_path, monkeypatch, path):
    monkeypatch.setenv("PATH", path)
    assert git_commit(tmp_path) is None


def test_two_whole_suites_in_parallel(suite):
    """They take turns at the cores."""
    sessions = [suite.start("-n", "2", "--device", "cpu"), suite.start("-n", "2", "--report-dir=other")]
    assert [session.wait(120) for session in sessions] == [0, 0]
    assert len(suite.cases()) == 6
    assert (suite.path / "other" / "summary.json").exists()


def test_a_user_without_name_or_home(suite, monkeypatch):
    """As in a container that runs under a numeric user id."""
    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REAL_REPORT", "yes")
    hidden = 'mount --bind /dev/null /etc/passwd && exec "$@"'
    nameless = ["unshare", "--mount", "sh", "-c", hidden, "sh"]
    if subprocess.run([*nameless, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    done = subprocess.run(
        [*nameless, sys.executable, "-m", "pytest", "bench/", "-k", "lr0.5"],
        cwd=suite.path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Page: reports/{suite.report.resolve().name}/report.html" in done.stdout
    assert len(suite.cases()) == 2


@pytest.fixture
def theirs():
    """A folder that other users may read, but not write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def report(folder):
    ReportFolder(folder / "latest", fingerprint=RUN, resume=False)


def data(folder):
    ensure_downloaded("mnist", folder)


def locks(folder):
    lock_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("what", [report, data, locks])
def test_another_users_folders(theirs, monkeypatch, what):
    """In a fork, as a process cannot become root again."""
    (theirs / "minibatch-bench").mkdir(mode=0o755)
    monkeypatch.setattr("harness.hardware.lock_file._runtime_folder", lambda: theirs / "minibatch-bench")
    reading, writing = os.pipe()
    if not os.fork():
        os.setuid(54321)
        try:
            what(theirs)
        except (pytest.UsageError, DataError, LockError) as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        (line,) = pipe.read().splitlines()
    assert str(theirs) in line
    assert "ermission denied" in line or "belongs to the user 0" in line


WITHOUT_ALTAIR = "import sys\nsys.modules['altair'] = None\n"


def test_without_altair_there_are_tables_but_no_figures_of_exercises(suite):
    conftest = suite.path / "conftest.py"
    conftest.write_text(WITHOUT_ALTAIR + conftest.read_text())
    suite.add(1, "object.__setattr__(EXERCISE, 'figures', {'mine': lambda results: 1 / 0})")
    result = suite.run_apart()
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["Exercise 1: fake (1 epoch; paper: Table 1, after 2 epochs)"])
    assert not (suite.report / "figures.json").exists()


@pytest.mark.parametrize("study", ["bench", "examples/optimizers", "examples/hyperparameters"])
def test_a_study_is_collected_without_altair(study):
    code = f"{WITHOUT_ALTAIR}import pytest\nsys.exit(pytest.main(['{study}', '--collect-only', '-q']))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
