"""The end of a session: what it says, which command it suggests, and what its failures cost."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.paths import PAGE, REFUSED, ROOT
from harness.plugin import session
from harness.session_settings import SESSION_STUDY, SETTINGS

DRAW = f"{sys.executable} -m harness report"


@pytest.fixture
def drawing(monkeypatch):
    """Draws a report in a made-up process, which ends with this status and standard error."""

    def draw(folder, status, stderr=""):
        def run(command, **options):
            assert command == [sys.executable, "-m", "harness", "report", str(folder)]
            assert options["cwd"] == ROOT
            assert options["env"]["PYTHONPATH"].startswith(str(ROOT))
            assert options["capture_output"]
            if isinstance(status, BaseException):
                raise status
            return SimpleNamespace(returncode=status, stderr=stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return session.draw_report(folder)

    return draw


def test_a_page_that_was_drawn(drawing, tmp_path, monkeypatch):
    assert drawing(tmp_path / "run", 0) == f"Page: {tmp_path / 'run' / PAGE}"
    monkeypatch.chdir(tmp_path)
    assert drawing(tmp_path / "run", 0) == f"Page: run/{PAGE}"


@pytest.mark.parametrize(
    ("status", "stderr", "why"),
    [
        (1, "Traceback ...\nImportError: no altair.\n", "ImportError: no altair"),
        (3, "", "it ended with status 3"),
        (-9, "", "killed by signal 9"),
        (KeyboardInterrupt(), "", "interrupted"),
        (OSError("Too many open files"), "", "Too many open files"),
    ],
    ids=["an error", "a status", "a signal", "Ctrl-C", "no process"],
)
def test_a_page_that_can_be_drawn_later(drawing, tmp_path, monkeypatch, status, stderr, why):
    monkeypatch.chdir(ROOT)
    assert drawing(tmp_path, status, stderr) == (
        f"No page or figures: {why}. To draw them later: {DRAW.replace(str(ROOT) + '/', '')} {tmp_path}"
    )


def test_a_report_that_is_refused_cannot_be_drawn_later_either(drawing, tmp_path):
    line = drawing(tmp_path, REFUSED, "harness report: error: x.json is damaged\n")
    assert line == "No page or figures: x.json is damaged."


def test_the_command_that_draws_can_be_typed_where_one_is(tmp_path, monkeypatch):
    folder = ROOT / "reports" / "a b"
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python"))
    monkeypatch.chdir(ROOT)
    assert session._draw_command(folder) == ".venv/bin/python -m harness report 'reports/a b'"
    monkeypatch.chdir(tmp_path)
    assert session._draw_command(folder) == (
        f"cd {ROOT} && {ROOT}/.venv/bin/python -m harness report '{folder}'"
    )


@pytest.mark.parametrize(
    ("found", "command", "typed"),
    [
        ("/venv/bin/pytest", "pytest bench/ -n 4", "pytest bench/ -n 4"),
        ("/other/bin/pytest", "pytest bench/ -n 4", "/venv/bin/python -m pytest bench/ -n 4"),
        (None, "pytest bench/ -n 4", "/venv/bin/python -m pytest bench/ -n 4"),
        (None, "pytest", "/venv/bin/python -m pytest"),
        (None, "make speed", "make speed"),
    ],
)
def test_pytest_is_called_as_it_can_be_typed(monkeypatch, found, command, typed):
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    monkeypatch.setattr(session.shutil, "which", lambda name: {"pytest": found}[name])
    assert session._typed(command) == typed


class Reporter:
    """pytest's terminal; red lines begin with a "!", sections with a "#"."""

    def __init__(self, config):
        self.config, self.lines = config, []
        self._tw = SimpleNamespace(_file=SimpleNamespace(encoding="utf-8"))

    def section(self, title):
        self.lines.append(f"# {title}")

    def write_line(self, line, red=False):
        self.lines.append(f"! {line}" if red else line)


@pytest.fixture
def ending(tmp_path, monkeypatch):
    """Returns the lines at a session's end, whose page is drawn with the result `drawn`."""

    def end(exitstatus=0, *, has_run=True, drawn="Page: x.html", **stashed):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(session, "draw_report", lambda folder: drawn)
        monkeypatch.setattr(session, "_draw_command", lambda folder: f"draw {folder.name}")
        monkeypatch.setattr(session.ownership, "has_run", lambda folder: has_run)
        stash = {
            session._REPORT_FOLDER: None,
            SETTINGS: SimpleNamespace(report_dir=tmp_path / "run"),
            SESSION_STUDY: SimpleNamespace(study=SimpleNamespace(title="A study")),
            session._TEXTS: ["one\ntwo", "three ±"],
            session._NEXT: "Next: more",
            **{getattr(session, name): value for name, value in stashed.items()},
        }
        reporter = Reporter(SimpleNamespace(stash=stash))
        session.pytest_terminal_summary(reporter, exitstatus)
        return reporter.lines

    return end


TABLES = ["# A study: tables and claims", "one", "two", "", "three ±"]


def test_tables_then_the_page_then_what_is_next(ending):
    assert ending() == [*TABLES, "Page: x.html", "Next: more"]
    assert ending(pytest.ExitCode.TESTS_FAILED) == [*TABLES, "Page: x.html", "Next: more"]


def test_without_a_page_the_folder_is_named(ending):
    assert ending(drawn="No page.") == [*TABLES, "Written to run/.", "No page.", "Next: more"]


def test_after_ctrl_c_nothing_is_drawn(ending):
    assert ending(pytest.ExitCode.INTERRUPTED, drawn="Page: not drawn") == [
        *TABLES,
        "Written to run/.",
        "To draw the page and figures of the finished cases: draw run",
    ]


def test_errors_are_red_and_name_what_is_kept(ending):
    assert ending(_WRITE_ERROR="disk full", _EVENTS_ERROR="--tensorboard: disk full") == [
        *TABLES,
        "! --tensorboard: disk full",
        "! The summary could not be written: disk full. Finished cases are kept in run/runs/; continue "
        "with --resume.",
    ]


def test_a_session_without_a_run_says_so(ending):
    assert ending(has_run=False) == ["Nothing was trained, so there is no report of this session."]


def test_a_session_without_a_study_says_nothing():
    reporter = Reporter(SimpleNamespace(stash={}))
    session.pytest_terminal_summary(reporter, 0)
    assert reporter.lines == []


@pytest.fixture
def finishing(tmp_path, monkeypatch):
    """Ends a session with that exit status, in which `fails` of its functions raises the error."""

    def finish(exitstatus, fails=None, error=None, *, tensorboard=None, another=None):
        def raising(*_, **__):
            raise error

        lines = []
        writer = SimpleNamespace(line=lambda text, red: lines.append((text, red)))
        config = SimpleNamespace(
            stash={
                session._REPORT_FOLDER: None,
                session._EXERCISES: {},
                SETTINGS: SimpleNamespace(report_dir=tmp_path, tensorboard=tensorboard),
            },
            get_terminal_writer=lambda: writer,
        )
        monkeypatch.setattr(session, "unwatch", lambda *_: None)
        monkeypatch.setattr(session.ownership, "has_run", lambda folder: True)
        if fails is None:
            monkeypatch.setattr(session, "_summarise", lambda _: None)
        else:
            monkeypatch.setattr(session, fails, raising)
        found = SimpleNamespace(config=config, exitstatus=exitstatus)
        hook = session.pytest_sessionfinish(found)
        next(hook)
        with pytest.raises(StopIteration):
            hook.throw(another) if another else next(hook)
        return found.exitstatus, config.stash, lines

    return finish


@pytest.mark.parametrize(("before", "after"), [(0, 3), (1, 1), (2, 2)])
def test_another_plugins_error_does_not_cost_the_tables(finishing, before, after):
    status, _, lines = finishing(before, another=ValueError("their\nerror"))
    assert status == after
    assert lines == [("\nError at the end of the session: ValueError: their error", True)]


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 1), (2, 2)])
def test_a_summary_that_cannot_be_written_fails_the_session(finishing, before, after):
    error = OSError(28, "No space left on device")
    status, stash, lines = finishing(before, "told", error)
    assert status == after
    assert stash[session._WRITE_ERROR] == str(error)
    assert lines == []


def test_a_session_that_ends_well_keeps_its_status(finishing):
    for status in (0, 1, 2):
        assert finishing(status)[0] == status


def test_curves_that_cannot_be_written_are_an_error(tmp_path, monkeypatch):
    def fail(report, folder):
        assert (report, folder) == (tmp_path / "run", tmp_path / "board")
        raise OSError("no space")

    monkeypatch.setattr("harness.export.curve_events.write_events", fail)
    settings = SimpleNamespace(report_dir=tmp_path / "run", tensorboard=tmp_path / "board")
    config = SimpleNamespace(stash={SETTINGS: settings})
    session._write_events(config)
    assert config.stash[session._EVENTS_ERROR] == (
        "--tensorboard: the curves could not be written: no space"
    )
    settings.tensorboard = None
    config.stash.pop(session._EVENTS_ERROR)
    session._write_events(config)
    assert session._EVENTS_ERROR not in config.stash


@pytest.mark.parametrize(("encoding", "line"), [("utf-8", "97 % ± 1"), ("ascii", "97 % +- 1")])
def test_text_is_in_the_terminals_characters(encoding, line):
    reporter = Reporter(None)
    reporter._tw._file.encoding = encoding
    session._write(reporter, "a\n\n97 % ± 1")
    assert reporter.lines == ["a", "", line]


def test_paths_are_relative_below_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert session._relative(tmp_path / "a" / "b") == Path("a/b")
    assert session._relative(tmp_path.parent / "c") == tmp_path.parent / "c"
