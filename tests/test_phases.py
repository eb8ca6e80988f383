"""Tests of `phases.json`: what a session's processes spent their time on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from harness.files import sealed
from harness.files.session_phases import PhasesFile, PhaseTime
from harness.report.build import build
from harness.report.figures.timeline import timeline_figure
from harness.report.phase_table import format_phases
from harness.timing.phase_times import phase_times
from model import phases
from model.phases import Span, phase
from tests import reports


@pytest.fixture
def log(monkeypatch):
    """A log that has just begun."""
    monkeypatch.setattr(phases, "_spans", [])
    monkeypatch.setattr(phases, "_open", ["starting"])
    now = (time.time(), time.perf_counter(), time.process_time())
    monkeypatch.setattr(phases, "_since", now)


def _clock(monkeypatch, readings):
    """Replaces the clocks by these pairs of wall-clock and CPU seconds."""
    left = iter(readings)
    now = [0.0, 0.0]

    def wall():
        now[:] = next(left)
        return 1000 + now[0]

    monkeypatch.setattr(phases.time, "time", wall)
    monkeypatch.setattr(phases.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(phases.time, "process_time", lambda: now[1])


def test_a_phase_excludes_the_phases_inside_it(log, monkeypatch):
    monkeypatch.setattr(phases, "_since", (1100.0, 100.0, 0.0))
    _clock(monkeypatch, [(103.0, 2.0), (104.0, 3.0), (110.0, 3.0), (111.0, 4.0), (115.0, 9.0)])
    with phase("training"), phase("waiting"):
        pass
    assert phases.spans() == [
        ("starting", 1100.0, 3.0, 2.0),
        ("training", 1103.0, 1.0, 1.0),
        ("waiting", 1104.0, 6.0, 0.0),
        ("training", 1110.0, 1.0, 1.0),
        ("starting", 1111.0, 4.0, 5.0),
    ]


def test_a_phase_ends_with_an_error_and_joins_the_same_phase_before_it(log, monkeypatch):
    monkeypatch.setattr(phases, "_since", (1000.0, 0.0, 0.0))
    _clock(monkeypatch, [(1.0, 1.0), (2.0, 2.0), (2.0, 2.0), (5.0, 3.0), (6.0, 4.0)])
    with pytest.raises(RuntimeError), phase("waiting"):
        raise RuntimeError
    with phase("waiting"):
        pass
    assert phases.spans() == [
        ("starting", 1000.0, 1.0, 1.0),
        ("waiting", 1001.0, 1.0, 1.0),
        ("starting", 1002.0, 0.0, 0.0),
        ("waiting", 1002.0, 3.0, 1.0),
        ("starting", 1005.0, 1.0, 1.0),
    ]


def test_seconds_in_a_phase_are_those_of_all_its_spans(log, monkeypatch):
    monkeypatch.setattr(
        phases, "_spans", [Span("waiting", 0.0, 2.5, 0.0), Span("training", 2.5, 9.0, 1.0)]
    )
    with phase("waiting"):
        time.sleep(0.01)
    assert 2.51 <= phases.seconds_in("waiting") < 5


def test_only_the_main_threads_phases_count(log):
    def other():
        with phase("training"):
            pass

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert {span.phase for span in phases.spans()} == {"starting"}


def test_cpu_time_counts_the_processs_own_work(log):
    with phase("waiting"):
        time.sleep(0.05)
    with phase("training"):
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    spent = {span.phase: span.cpu_seconds for span in phases.spans()}
    assert spent["training"] >= 0.1 > 0.04 > spent["waiting"]


def test_the_cpu_time_of_children_counts_where_it_is_asked_for(log):
    work = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.1: pass"]
    for name, children in (("training", False), ("reporting", True)):
        with phase(name, children=children):
            subprocess.run(work, check=True)
    spent = {span.phase: span.cpu_seconds for span in phases.spans()}
    assert spent["reporting"] >= 0.09 > 0.05 > spent["training"]


def test_phase_times_are_added_up_over_processes_and_spread_over_their_parts():
    first = [Span("starting", 1000.0, 60.0, 30.0), Span("training", 1060.0, 60.0, 60.0)]
    second = [Span("training", 1030.0, 1.0, 1.0), Span("waiting", 1031.0, 89.0, 0.0)]
    found = phase_times([first, second], 2)
    assert (found.seconds, found.cores, found.processes) == (120.0, 2, 2)
    starting, training, waiting = found.phases
    assert (starting.phase, starting.seconds) == ("starting", 60.0)
    assert starting.cpu_seconds == [0.5] * 60 + [0.0] * 60
    assert (training.phase, training.seconds) == ("training", 61.0)
    assert training.cpu_seconds == [0.0] * 30 + [1.0] + [0.0] * 29 + [1.0] * 60
    assert (waiting.phase, waiting.seconds, sum(waiting.cpu_seconds)) == ("waiting", 89.0, 0.0)


def test_a_span_across_parts_is_divided_by_time():
    session = [Span("waiting", 0.0, 120.0, 0.0)]
    _, training = phase_times([session, [Span("training", 0.25, 1.0, 8.0)]], 1).phases
    assert training.cpu_seconds[:3] == [6.0, 2.0, 0.0]


@pytest.mark.parametrize(
    "span",
    [
        Span("training", -5.0, 6.0, 3.0),
        Span("training", 119.5, 6.0, 3.0),
        Span("training", 130.0, 1.0, 3.0),
        Span("training", -9.0, 1.0, 3.0),
        Span("training", 50.0, 0.0, 3.0),
    ],
)
def test_time_outside_of_the_session_is_not_lost(span):
    found = phase_times([[Span("waiting", 0.0, 120.0, 0.0)], [span]], 1).phases
    (training,) = [each for each in found if each.phase == "training"]
    assert sum(training.cpu_seconds) == pytest.approx(3.0)
    assert min(training.cpu_seconds) >= 0
    assert training.seconds >= 0


def _file():
    return PhasesFile(
        seconds=100.0,
        cores=2,
        processes=3,
        phases=[
            PhaseTime(phase="starting", seconds=30.0, cpu_seconds=[10.0, 0.0]),
            PhaseTime(phase="training", seconds=60.0, cpu_seconds=[40.0, 80.0]),
            PhaseTime(phase="waiting", seconds=50.0, cpu_seconds=[0.0, 0.0]),
        ],
    )


def test_the_table_has_shares_of_the_cores_time():
    first, _, *rows = format_phases(_file()).splitlines()
    assert first == "100.0 s on 2 cores, in 3 processes:"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells[2:] == [
        ["training", "120.0", "60%", "60.0"],
        ["starting", "10.0", "5%", "30.0"],
        ["waiting", "0.0", "0%", "50.0"],
        ["(cores idle)", "70.0", "35%", ""],
    ]


def test_the_timeline_shows_busy_cores_by_phase():
    figure = timeline_figure(_file())
    assert figure.data["timeline"] == [
        {"phase": "starting", "begin": 0.0, "end": 50.0, "low": 0.0, "high": 0.2, "cores": 0.2},
        {"phase": "training", "begin": 0.0, "end": 50.0, "low": 0.2, "high": 1.0, "cores": 0.8},
        {"phase": "training", "begin": 50.0, "end": 100.0, "low": 0.0, "high": 1.6, "cores": 1.6},
    ]
    assert "3 processes on 2 cores" in figure.notes
    assert '"other"' not in json.dumps(figure.variants)


def test_the_timeline_has_a_colour_for_each_of_the_phases_with_the_most_time():
    of = [PhaseTime(phase=f"p{at}", seconds=1.0, cpu_seconds=[float(at % 5)]) for at in range(9)]
    data = timeline_figure(_file().model_copy(update={"phases": of})).data["timeline"]
    # Six have a colour each; p6, and p0 and p5 without any time, are one.
    assert [(each["phase"], each["cores"]) for each in data] == [
        ("p1", 0.01),
        ("p2", 0.02),
        ("p3", 0.03),
        ("p4", 0.04),
        ("p7", 0.02),
        ("p8", 0.03),
        ("other", 0.01),
    ]
    assert [each["low"] for each in data[1:]] == [each["high"] for each in data[:-1]]


def test_the_timeline_of_a_long_session_is_in_minutes():
    short, long = (_file().model_copy(update={"seconds": seconds}) for seconds in (599.0, 600.0))
    assert "(s)" in json.dumps(timeline_figure(short).variants)
    assert "(min)" in json.dumps(timeline_figure(long).variants)
    assert timeline_figure(long).data["timeline"][-1]["end"] == 10.0
    assert timeline_figure(long).data["timeline"][-1]["cores"] == pytest.approx(80 / 300, rel=1e-4)


def test_the_page_shows_the_timeline(tmp_path):
    reports.write(tmp_path)
    path, _ = build([tmp_path])
    assert 'id="timeline"' not in path.read_text()
    sealed.write_content(tmp_path / "phases.json", _file().model_dump())
    path, left_out = build([tmp_path])
    assert 'id="timeline"' in path.read_text()
    assert (tmp_path / "figures" / "timeline.svg").exists()
    assert left_out == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": 0.0}, "seconds"),
        ({"cores": 0}, "cores"),
        ({"phases": []}, "phases"),
        ({"phases": [{"phase": "a", "seconds": -1.0, "cpu_seconds": [0.0]}]}, "phases.0.seconds"),
        (
            {
                "phases": [
                    {"phase": "a", "seconds": 1.0, "cpu_seconds": [0.0]},
                    {"phase": "b", "seconds": 1.0, "cpu_seconds": [0.0, 0.0]},
                ]
            },
            "phases have different numbers of parts",
        ),
    ],
)
def test_a_page_leaves_out_damaged_phases_by_name(tmp_path, change, reason):
    reports.write(tmp_path)
    sealed.write_content(tmp_path / "phases.json", _file().model_dump() | change)
    path, (line,) = build([tmp_path])
    assert "phases.json" in line
    assert reason in line
    assert 'id="timeline"' not in path.read_text()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_session_writes_what_all_its_processes_spent(suite, workers):
    suite.run("-n", str(workers)).assert_outcomes(passed=6)
    found = sealed.read_model(suite.report / "phases.json", PhasesFile)
    assert found.processes == 1 + workers
    spent = {each.phase: each for each in found.phases}
    assert {"starting", "running tests", "reporting"} <= spent.keys()
    assert sum(spent["starting"].cpu_seconds) > 0
