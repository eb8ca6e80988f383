"""Commands of a few lines: what they refuse, what they print, and with which status they end."""

import builtins
import io
import os
from types import SimpleNamespace

import pytest
from filelock import FileLock

from harness import ownership
from harness.commands import prune, report, site
from harness.commands.output import Output
from harness.commands.prune import prune_runs
from harness.paths import BENCH, ROOT
from harness.run_folders import LINK
from tests.processes import forks

# Deleting report folders -------------------------------------------------------------------------------


@pytest.fixture
def reports(tmp_path):
    """Five report folders with a run, the oldest of which is named first."""
    for number in range(1, 6):
        folder = tmp_path / f"2026-01-0{number}_00-00-00.000"
        ownership.make(folder)
        (folder / "runs").mkdir()
        (folder / "runs" / "a.json").write_text("{}")
    return tmp_path


def names(reports):
    return [path.name[9:10] for path in sorted(reports.iterdir()) if path.name != LINK]


@pytest.mark.parametrize(("keep", "left"), [(1, "5"), (2, "45"), (5, "12345"), (9, "12345")])
def test_the_newest_folders_are_kept(reports, capsys, keep, left):
    assert prune_runs(keep, reports) == 0
    assert names(reports) == [*left]
    gone = [
        f"deleted {reports / f'2026-01-0{number}_00-00-00.000'}"
        for number in "54321"
        if number not in left
    ]
    assert capsys.readouterr().out.splitlines() == [
        *gone, f"{len(left)} of 5 report folders are kept.",
    ]  # fmt: skip


def test_the_folder_that_latest_leads_to_is_kept(reports, capsys):
    (reports / LINK).symlink_to("2026-01-02_00-00-00.000")
    assert prune_runs(1, reports) == 0
    assert names(reports) == ["2", "5"]
    assert "2 of 5 report folders are kept." in capsys.readouterr().out


def _hold(path, held, done):
    with FileLock(path):
        held.set()
        done.wait(60)


def test_a_folder_in_use_or_with_other_files_is_kept(reports, capsys):
    one, two = reports / "2026-01-01_00-00-00.000", reports / "2026-01-02_00-00-00.000"
    (one / "mine.txt").touch()
    (two / "locks").mkdir()
    held, done = forks().Event(), forks().Event()
    process = forks().Process(target=_hold, args=(two / "locks" / "session.lock", held, done))
    process.start()
    assert held.wait(60)
    try:
        assert prune_runs(1, reports) == 1
    finally:
        done.set()
        process.join()
    assert names(reports) == ["1", "2", "5"]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"kept {two}: a session is writing to it",
        f"kept {one}: {one} contains mine.txt, which is not part of a report; move it away",
    ]
    assert printed.out.splitlines()[-1] == "3 of 5 report folders are kept."
    assert prune_runs(1, reports) == 1
    assert names(reports) == ["1", "5"], "nobody is writing to it any more"


def test_a_folder_that_is_missing_has_nothing_to_delete(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is not a folder; there is nothing to delete$"):
        prune_runs(1, tmp_path / "nowhere")


def test_the_reports_of_the_study_are_deleted(reports, monkeypatch):
    monkeypatch.setattr(prune, "load_study", {"a study": SimpleNamespace(reports=reports)}.get)
    assert prune.run(SimpleNamespace(keep=3, study="a study")) == 0
    assert names(reports) == ["3", "4", "5"]


# Drawing -----------------------------------------------------------------------------------------------


def test_a_page_is_written_and_what_was_left_out_is_named(monkeypatch, tmp_path, capsys):
    def build(folders):
        assert folders == ["a", "b"]
        return tmp_path / "report.html", ["one record", "another"]

    monkeypatch.setattr("harness.report.build.build", build)
    report.run(SimpleNamespace(folders=["a", "b"]))
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["left out: one record", "left out: another"]
    assert printed.out == f"Written to {tmp_path}/report.html and {tmp_path}/figures/.\n"


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *given):
        if name == "report.build":
            raise ImportError("No module named 'altair'", name="altair")
        return real(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"^altair is not installed; `make report` installs it$"):
        report.run(SimpleNamespace(folders=[]))


@pytest.fixture
def drawn(monkeypatch):
    """The studies whose site was drawn, and where; each has one page."""
    drawn = []

    def build_site(studies, folder):
        drawn.append((studies, folder))
        return [folder / "index.html", folder / "a.html"]

    monkeypatch.setattr("harness.report.site.build_site", build_site)
    monkeypatch.setattr(site, "load_study", lambda path: f"the study {path.name}")
    return drawn


@pytest.mark.parametrize("exists", [True, False])
def test_a_site_is_drawn_into_a_new_or_empty_folder(drawn, tmp_path, capsys, exists):
    folder = tmp_path / "a" / "b"
    if exists:
        folder.mkdir(parents=True)
    site.run(SimpleNamespace(folder=folder, studies=[tmp_path / "x"]))
    assert drawn == [(["the study x"], folder)]
    assert folder.is_dir()
    assert capsys.readouterr().out.splitlines() == [f"{folder}/index.html", f"{folder}/a.html"]


def test_by_default_a_site_has_all_studies(drawn, tmp_path):
    site.run(SimpleNamespace(folder=tmp_path / "new", studies=[]))
    ((studies, _),) = drawn
    examples = sorted(path.parent.name for path in (ROOT / "examples").glob("*/conftest.py"))
    assert studies == [f"the study {name}" for name in (BENCH.name, *examples)]


@pytest.mark.parametrize("name", ["file", "full"])
def test_a_site_overwrites_nothing(drawn, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ValueError, match=rf"{name} is not empty; expected a new or empty folder$"):
        site.run(SimpleNamespace(folder=tmp_path / name, studies=[]))
    assert drawn == []


# Output ------------------------------------------------------------------------------------------------


class Failing(io.StringIO):
    """A stream that fails at one of its operations."""

    def __init__(self, at, error):
        super().__init__()
        self.at, self.error, self.calls = at, error, []

    def write(self, text):
        self.calls.append("write")
        if self.at == "write":
            raise self.error
        return super().write(text)

    def flush(self):
        self.calls.append("flush")
        if self.at == "flush":
            raise self.error


@pytest.mark.parametrize("at", ["write", "flush"])
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("odd"), "odd"),
        (BrokenPipeError(32, "Broken pipe"), None),
    ],
    ids=["disk", "odd", "reader"],
)
def test_lost_output_is_a_line_at_the_end_unless_its_reader_left(at, error, line):
    stream = Failing(at, error)
    output = Output(stream)
    assert output.write("some text") == 9
    assert output.close_line() == line
    calls = len(stream.calls)
    assert output.write("more") == 4
    output.flush()
    assert len(stream.calls) == calls, "it is not tried again"


def test_output_is_flushed_at_the_end():
    stream = Failing(None, None)
    output = Output(stream)
    assert output.write("é") == 1
    assert output.close_line() is None
    assert stream.calls[-1] == "flush"
    assert stream.getvalue() == "é"


def test_characters_that_a_stream_lacks_are_escaped(tmp_path):
    with (tmp_path / "x").open("w", encoding="ascii") as file:
        output = Output(file)
        assert (output.write("a\udcffé"), output.encoding) == (3, "ascii")
        assert output.fileno() == file.fileno()
        assert output.isatty() is False
        assert output.name == file.name
        output.flush()
    assert (tmp_path / "x").read_text() == "a\\udcff\\xe9"


def test_without_a_stream_nothing_fails():
    """Python has no standard output where it was closed."""
    output = Output(None)
    assert output.write("x") == 1
    assert output.close_line() is None
    assert output.isatty() is False
    assert output.encoding == "utf-8"
    with pytest.raises(io.UnsupportedOperation):
        output.fileno()


def test_after_a_failure_python_has_nothing_to_write_when_it_exits(tmp_path):
    file = (tmp_path / "x").open("w", encoding="utf-8")
    before = len(os.listdir("/proc/self/fd"))
    Output(file)._fail(OSError("here"))
    assert os.fstat(file.fileno()).st_rdev == os.stat(os.devnull).st_rdev
    assert len(os.listdir("/proc/self/fd")) == before
    file.close()
