"""Progress: bars in a terminal while a session trains, lines in a log, nothing with -q."""

import os
import pty
import re
import select
import sys
from types import SimpleNamespace

import numpy as np
import pyte
import pytest

from harness import atomic_json
from harness.exercise import short_name
from harness.plugin.progress import lines as lines_module
from harness.plugin.progress import watch, writer
from harness.plugin.progress.bars import Bars, LinesBelowCursor
from harness.plugin.progress.lines import Lines
from harness.plugin.progress.state import Overall, format_state
from harness.plugin.progress.writer import ProgressFile
from harness.wording import format_duration
from model.evaluate import Evaluation
from tests.processes import Session

CASES = {f"bench/test_1_x.py::test_training[{name}]": 10 for name in ("a", "b")}
STATE = {
    "name": next(iter(CASES)),
    "epoch": 4,
    "epochs": 10,
    "loss": 0.25,
    "accuracy": 0.5,
    "seconds": 8,
}

# Trainings that report an epoch, and continue when the file "seen" exists.
SLOW = """
def pytest_sessionstart():
    import pathlib, time
    from types import SimpleNamespace

    import harness.plugin.fixtures

    fake = harness.plugin.fixtures.train_model

    def slow(experiment, data, *, after_epoch, **kwargs):
        on_train = SimpleNamespace(loss=np.array([0.125]))
        on_test = SimpleNamespace(accuracy=np.array([0.75]))
        after_epoch(1, on_train, on_test)
        while not pathlib.Path("seen").exists():
            time.sleep(0.01)
        return fake(experiment, data, after_epoch=after_epoch, **kwargs)

    harness.plugin.fixtures.train_model = slow
"""


# A thread that says something while the test that waits for it is captured.
THREAD = """
import threading

def test_captured(request):
    from harness.plugin.progress.messages import print_message

    print("from the test")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture.is_globally_capturing()
    thread = threading.Thread(target=print_message, args=(request.config, "from the thread"))
    thread.start()
    thread.join()
"""


class Screen:
    """A terminal of 100 columns and 12 lines, whose content can be read."""

    def __init__(self):
        self._screen = pyte.Screen(100, 12)
        self._stream = pyte.Stream(self._screen)

    def write(self, text):
        self._stream.feed(text.replace("\n", "\r\n"))

    def flush(self):
        pass

    def colours(self, line):
        """Returns the colours of the bar in that line, from left to right."""
        cells = (self._screen.buffer[line][column] for column in range(100))
        return [cell.fg for cell in cells if cell.data in "━╸╺"]

    def lines(self):
        return [line.rstrip() for line in self._screen.display if line.strip()]


def test_bars_are_drawn_below_the_output_and_leave_nothing_behind():
    screen = Screen()
    below = LinesBelowCursor(screen)
    below.write("a.py .")
    below.draw(["one", "two"])
    assert screen.lines() == ["a.py .", "one", "two"]
    below.write("..")
    assert screen.lines() == ["a.py ..."]
    below.draw(["one", "a longer two"])
    below.write("\nb.py\n")
    below.draw(["three"])
    assert screen.lines() == ["a.py ...", "b.py", "three"]
    below.draw([])
    assert screen.lines() == ["a.py ...", "b.py"]


def test_bars_at_the_bottom_scroll_the_output():
    screen = Screen()
    below = LinesBelowCursor(screen)
    for number in range(12):
        below.write(f"line {number}\n")
    below.write("and")
    below.draw(["one", "two"])
    below.write(" on")
    below.draw(["one", "two"])
    assert screen.lines()[-4:] == ["line 11", "and on", "one", "two"]
    assert screen.lines()[0] == "line 3"


def test_bars_show_the_share_of_finished_epochs(monkeypatch):
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "100"), ("LINES", "12")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    bars = Bars(SimpleNamespace(_tw=SimpleNamespace(_file=screen)), CASES)
    bars.update([{**STATE, "epoch": 5}])
    training, overall = (screen.colours(line) for line in (1, 2))
    assert training.count(training[0]) / len(training) == pytest.approx(5 / 10, abs=0.05)
    assert overall.count(overall[0]) / len(overall) == pytest.approx(5 / 20, abs=0.05)
    bars.stop()
    assert screen.lines() == []


def test_a_log_gets_a_line_every_half_minute(monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr(lines_module.time, "monotonic", lambda: next(seconds))
    written = []
    monkeypatch.setattr(lines_module, "print_line", lambda reporter, line: written.append(line))
    lines = Lines(SimpleNamespace(), CASES)
    for _ in range(90):
        lines.update([STATE])
    assert len(written) == 6
    assert written[:2] == [
        "all rows 4 of 20 epochs, about 2 min left; 1. a 4 of 10, loss 0.2500, test",
        "  accuracy 0.5000, 12 s left",
    ]


def test_a_waiting_training_shows_what_it_waits_for(tmp_path):
    progress = ProgressFile(tmp_path, "name", 13)
    for line, shown in (("waiting for a GPU", "waiting for a GPU"), ("", "starting")):
        progress.wait(line)
        (path,) = (tmp_path / "progress").iterdir()
        assert format_state(atomic_json.read_json(path)) == shown


def test_other_trainings_do_not_count():
    assert Overall(CASES).progress([{**STATE, "name": "another"}]) == (0, [])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_a_training_writes_at_most_four_times_a_second(tmp_path, monkeypatch):
    writes = []
    monkeypatch.setattr(atomic_json, "write_json", lambda path, state: writes.append(state["epoch"]))
    clock = iter(range(1000))
    monkeypatch.setattr(writer.time, "monotonic", lambda: next(clock) / 20)
    evaluation = Evaluation(np.array([1.0]), np.array([0.5]), np.zeros((1, 10)), np.zeros((1, 10)))
    progress = ProgressFile(tmp_path, "name", 13)
    for epoch in range(1, 14):
        progress.after_epoch(epoch, evaluation, evaluation)
    assert writes == [1, 6, 11, 13]


@pytest.mark.parametrize("args", [(), ("-n", "2"), ("-v",)], ids=["serial", "n2", "v"])
def test_a_terminal_shows_bars_only_during_training(suite, monkeypatch, args):
    with (suite.path / "conftest.py").open("a") as conftest:
        conftest.write(SLOW)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100"), ("LINES", "40")):
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    session = Session(
        ["bench/", "-k", "test_1", "--timing", "shared", "--scale", "paper", *args],
        suite.path,
        os.ttyname(theirs),
    )
    written = ""

    def read_until(shown):
        nonlocal written
        while not shown():
            if select.select([ours], [], [], 1)[0]:
                written += os.read(ours, 65536).decode()
            else:
                assert session.poll() is None, written

    read_until(lambda: "1. sgd-lr0.25" in written and "of 6 epochs" in written)
    (suite.path / "seen").touch()
    read_until(lambda: re.search(r"=+ 3 passed.* =+", written))
    assert session.wait(60) == 0
    os.close(theirs)
    os.close(ours)
    assert "loss 0.1250, test accuracy 0.7500" in written
    screen = pyte.HistoryScreen(100, 40, history=1000)
    pyte.Stream(screen).feed(written)
    seen = "\n".join(screen.display)
    assert "3 passed" in seen
    assert "of 6 epochs" not in seen
    assert not (suite.report / "progress").exists()


def test_without_rich_a_terminal_gets_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "harness.plugin.progress.bars", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(watch._display(SimpleNamespace(isatty=True), CASES), Lines)


@pytest.mark.parametrize(
    ("isatty", "term"), [(False, "xterm"), (True, "dumb"), (True, None)], ids=["log", "dumb", "unknown"]
)
def test_without_a_capable_terminal_there_are_lines(monkeypatch, isatty, term):
    monkeypatch.delenv("TERM", raising=False)
    if term:
        monkeypatch.setenv("TERM", term)
    assert isinstance(watch._display(SimpleNamespace(isatty=isatty), CASES), Lines)


@pytest.mark.parametrize(
    ("verbose", "epochs", "watched"), [(-1, CASES, False), (0, {}, False), (0, CASES, True)]
)
def test_quiet_sessions_and_sessions_without_rows_to_train_show_only_messages(
    tmp_path, monkeypatch, verbose, epochs, watched
):
    shown, at_the_end = [], []

    class Shown:
        def __init__(self, folder, display, pass_on):
            assert (display is not None) == watched
            shown.append(folder)

        def stop(self):
            shown.clear()

    monkeypatch.setattr(watch, "ProgressWatch", Shown)
    config = SimpleNamespace(
        option=SimpleNamespace(verbose=verbose, capture="no"),
        pluginmanager=SimpleNamespace(getplugin=lambda name: SimpleNamespace(isatty=False)),
        stash=pytest.Stash(),
        add_cleanup=at_the_end.append,
    )
    watch.watch(config, tmp_path, epochs)
    assert shown == [tmp_path / "progress"]
    for end in at_the_end:  # a session that crashes does only this
        end()
    assert shown == []


def test_a_rows_short_name_has_its_exercises_number_if_there_is_one():
    assert short_name("bench/test_1_x.py::test_training[a]") == "1. a"
    assert short_name("study/test_moons.py::test_training[a]") == "a"


def test_what_a_thread_prints_is_not_captured(suite):
    suite.add(1, THREAD)
    result = suite.run_apart("-k", "captured", "--capture=fd")
    result.assert_outcomes(passed=1)
    assert result.outlines.count("from the thread") == 1
    assert "from the test" not in result.outlines
