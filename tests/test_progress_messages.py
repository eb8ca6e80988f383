"""Messages on their way from a worker to the terminal: none is lost, none is printed twice."""

import io
import json
from types import SimpleNamespace

import pytest

from harness import atomic_json
from harness.plugin.progress import FOLDER, messages, watch
from harness.plugin.progress.messages import Messages, print_line, print_message
from harness.plugin.progress.watch import ProgressWatch
from harness.session_settings import SETTINGS


@pytest.fixture
def worker(tmp_path):
    """The configuration of a worker."""
    return SimpleNamespace(workerinput={}, stash={SETTINGS: SimpleNamespace(report_dir=tmp_path)})


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A watch of that worker's folder that reads when asked; what it passes on is in `passed_on`."""
    monkeypatch.setattr(watch, "_READ_SECONDS", 3600)
    passed_on = []
    found = ProgressWatch(tmp_path / FOLDER, None, passed_on.append)
    found.passed_on = passed_on
    yield found
    found.stop()


def test_a_workers_messages_are_passed_on_in_order_and_once(worker, watched):
    for line in ("one", "two é", "three", "two é"):
        print_message(worker, line)
    assert watched._read() == []
    assert watched.passed_on == ["one", "two é", "three", "two é"]
    print_message(worker, "four")
    assert watched._read() == []
    assert watched.passed_on[4:] == ["four"]


def test_states_are_read_again_and_messages_are_not(worker, watched, tmp_path):
    print_message(worker, "one")
    state = {"name": "a", "epoch": 1}
    atomic_json.write_json(tmp_path / FOLDER / "a.json", state)
    (tmp_path / FOLDER / "damaged.json").write_text("{")
    (tmp_path / FOLDER / "folder.json").mkdir()
    (tmp_path / FOLDER / "other.txt").write_text(json.dumps({"message": "no"}))
    assert watched._read() == [state]
    assert watched._read() == [state]
    assert watched.passed_on == ["one"]


def test_what_came_last_is_passed_on_at_the_end(worker, watched):
    print_message(worker, "at the end")
    watched.stop()
    assert watched.passed_on == ["at the end"]
    print_message(worker, "too late")
    watched.stop()
    assert watched.passed_on == ["at the end"]


def test_a_full_disk_costs_only_the_message(worker, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(atomic_json, "write_json", fail)
    print_message(worker, "lost")


def test_a_stream_of_text_is_a_message_a_line(monkeypatch):
    printed = []
    monkeypatch.setattr(messages, "print_message", lambda config, line: printed.append((config, line)))
    stream = Messages("the configuration")
    assert [stream.write(text) for text in ("a", "b\nc", "d\n\n", "\n", "e\nf\n", "g")] == [
        1, 3, 3, 1, 4, 1,
    ]  # fmt: skip
    assert printed == [("the configuration", line) for line in ("ab", "cd", "e", "f")]


class Reporter:
    """pytest's terminal, which has written `begun` of a line."""

    def __init__(self, verbosity, begun, encoding):
        self.verbosity = verbosity
        self.file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        self._begun = begun
        self.config = SimpleNamespace(get_terminal_writer=lambda: self, stash={})
        self._file = self.file

    @property
    def width_of_current_line(self):
        return len(self._begun)

    def ensure_newline(self):
        self.file.write("(newline)")
        self._begun = ""

    def write(self, text, *, flush):
        assert flush
        self.file.write(text)

    @property
    def text(self):
        self.file.seek(0)
        return self.file.read()


@pytest.mark.parametrize(
    ("verbosity", "begun", "text"),
    [
        (0, "", "±\n"),
        (0, "a.py ..", "\n±\n"),
        (-1, "..", "\n±\n"),
        (1, "a.py::test_a ", "(newline)±\n"),
        (1, "", "(newline)±\n"),
    ],
)
def test_a_message_is_on_a_line_of_its_own(verbosity, begun, text):
    reporter = Reporter(verbosity, begun, "utf-8")
    print_line(reporter, "±")
    assert reporter.text == text


def test_a_message_is_in_the_terminals_characters():
    reporter = Reporter(0, "", "ascii")
    print_line(reporter, "97 % ± 1, ☃")
    assert reporter.text == "97 % +- 1, ?\n"


def test_the_session_prints_a_message_once():
    reporter = Reporter(0, "", "utf-8")
    reporter.config.pluginmanager = SimpleNamespace(getplugin={"terminalreporter": reporter}.get)
    for line in ("one", "two", "one"):
        print_message(reporter.config, line)
    assert reporter.text == "one\ntwo\n"
