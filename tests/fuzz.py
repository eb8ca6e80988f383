"""Mutations of real files: each is accepted or refused in one line that names the file.

    make fuzz                          # 10,000 mutations, in a few minutes
    make fuzz ARGS="--mutations 1000"

It prints the time of the slowest and the growth of memory. The exit status is 1 if they reach a second
or 200 MB.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.files import sealed
from harness.files.names import file_name
from harness.files.record import Resumed, TrainingRecord, key_of, read_claim, read_record
from harness.files.sealed import FileError
from harness.files.session_phases import PhasesFile
from harness.files.speeds import SpeedFile, TimesFile
from harness.gates.baselines import BaselineError
from harness.gates.baselines import read_saved_run as read_baseline
from harness.paths import BENCH
from harness.report import tables
from harness.report.headline import headline
from harness.report.load import ReportError, load_run
from harness.report.series import lines_of
from harness.results.records import to_case
from harness.study import load_study as study_in

RUN = study_in(BENCH).published / "epyc-1-core"
SPENT = study_in(BENCH).published / "epyc-2-cores" / "phases.json"
SECONDS, BYTES = 1.0, 200e6  # the limits for a mutation's time and for the growth of memory


@dataclass(frozen=True)
class Kind:
    """A kind of file: examples, and the function that reads and uses one."""

    examples: list[Path] | dict[str, Any]
    read: Callable[[Path], object]


def _record(path: Path) -> None:
    record = read_record(path)
    if isinstance(record, TrainingRecord):
        to_case(record, resumed=True)


def _summary(path: Path) -> None:
    run = load_run(path.parent)
    summary = run.summary
    if not run.left_out:  # only then are the tables made
        tables.format_tables(summary)
        tables.format_caption(summary)
    for exercise in run.summary.exercises:
        headline(lines_of(run, exercise))


def _claim() -> dict[str, Any]:
    decided = sealed.read_content(RUN / "summary.json")["claims"][0]
    record = sealed.read_content(next((RUN / "runs").glob("*.json")))
    return {**decided, "run": record["run"]}


def _baseline() -> dict[str, Any]:
    """Returns the fields that are read of what pytest-benchmark saves, for a published run's row."""
    record = sealed.read_model(next((RUN / "runs").glob("*sgd-lr0.1-batch1000.*")), TrainingRecord)
    seconds = [later - sooner for sooner, later in pairwise(record.epoch_seconds)]
    info = {
        **record.run.model_dump(include={"scale", "dataset", "device", "device_name", "timing"}),
        "epochs": len(seconds),
        "cores": 1,
        "engine": record.engine,
        "seeds": record.seeds,
        "seconds": record.seconds,
        "test_accuracy": record.test_accuracy[-1],
        "epochs_to": {"0.90": [None], "0.97": [None]},
    }
    stats = {
        "min": min(seconds),
        "max": max(seconds),
        "mean": sum(seconds) / len(seconds),
        "median": median(seconds),
        "stddev": 0.0,
        "iqr": 0.0,
        "total": sum(seconds),
        "rounds": len(seconds),
    }
    info = {**record.experiment.to_dict(), **info}
    return {"benchmarks": [{"fullname": record.id, "stats": stats, "extra_info": info}]}


KINDS = {
    "record": Kind(sorted((RUN / "runs").glob("*.json")), _record),
    "claim": Kind(_claim(), read_claim),
    "summary": Kind([RUN / "summary.json"], _summary),
    "speed": Kind([RUN / "speed.json"], lambda path: sealed.read_model(path, SpeedFile)),
    "phases": Kind([SPENT], lambda path: sealed.read_model(path, PhasesFile)),
    "times": Kind([RUN / "times.json"], lambda path: sealed.read_model(path, TimesFile)),
    "baseline": Kind(_baseline(), read_baseline),
    "resumed": Kind({"records": ["a.json"]}, lambda path: sealed.read_model(path, Resumed)),
}

_ODD = st.sampled_from(
    [
        None, True, False, 0, 1, -1, 0.5, -0.0, 2**63, 10**18, 10**400, 1e308, -1e308, float("nan"),
        float("inf"), "NaN", "Infinity", "-Infinity", "", "0", "abc", "<script>", "\x1b[31m", "\ud800",
        "\0", "x" * 10_000, [], {}, [[]], [0, 0, 0], {"a": 1}, [None], "quick", "eager", "cuda:0",
    ]
)  # fmt: skip
_VALUES = _ODD | st.integers() | st.floats() | st.text(max_size=20)


@st.composite
def _trees(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """Draws the content with one to three values replaced, removed, repeated or exchanged."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        node: Any = content
        while True:
            key = draw(st.sampled_from([*node] if isinstance(node, dict) else range(len(node))))
            if isinstance(node[key], dict | list) and node[key] and draw(st.booleans()):
                node = node[key]
                continue
            break
        match draw(st.sampled_from(["replace", "replace", "remove", "repeat", "exchange"])):
            case "replace":
                node[key] = copy.deepcopy(draw(_VALUES))
            case "remove":
                del node[key]
            case "repeat" if isinstance(node, list):
                node.insert(key, node[key])
            case "exchange":
                other = draw(st.sampled_from([*node] if isinstance(node, dict) else range(len(node))))
                node[key], node[other] = node[other], node[key]
        if not content:
            break
    return content


@st.composite
def _bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Draws the bytes cut, changed, or with others inserted."""
    at = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["cut", "change", "insert", "brackets"])):
        case "cut":
            return content[:at]
        case "change":
            return content[:at] + draw(st.binary(min_size=1, max_size=4)) + content[at + 1 :]
        case "insert":
            return content[:at] + draw(st.binary(max_size=20)) + content[at:]
    return content[:at] + b"[" * draw(st.sampled_from([100, 900, 200_000]))


@cache
def _content(path: Path) -> dict[str, Any]:
    return sealed.read_content(path)


@st.composite
def mutations(draw: st.DrawFn, kind: str) -> tuple[str, bytes]:
    """Draws a file's name and content."""
    examples = KINDS[kind].examples
    if isinstance(examples, dict):
        name, content = "a.json", examples
    else:
        path = draw(st.sampled_from(examples))
        name, content = path.name, _content(path)
    if draw(st.booleans()) and draw(st.booleans()):
        sealed_text = json.dumps({"checksum": sealed._checksum(content), **content}, indent=1)
        return name, draw(_bytes(sealed_text.encode()))
    content = draw(_trees(content))
    if draw(st.integers(0, 9)):  # mostly with its checksum, so that the model is reached
        content = {"checksum": sealed._checksum(content), **content}
    if kind in ("record", "claim") and isinstance(content.get("id"), str) and draw(st.booleans()):
        own = file_name(content["id"], key_of(content))
        if own.isprintable() and "/" not in own and len(own) < 200:
            name = f"{own}.json"
    return name, json.dumps(content).encode()


def check(kind: str, folder: Path, mutation: tuple[str, bytes]) -> bool:
    """Returns whether the file is accepted; fails if it is refused in any other way than one line."""
    name, content = mutation
    path = folder / name
    path.write_bytes(content)
    try:
        KINDS[kind].read(path)
        refusal = None
    except (FileError, ReportError, BaselineError) as error:
        refusal = str(error)
    finally:
        path.unlink()
    assert refusal is None or (str(path) in refusal and refusal.isprintable()), refusal
    return refusal is None


def _try(kind: str, count: int) -> tuple[list[float], int]:
    """Tries `count` mutations; returns the CPU seconds of each, and the number of accepted ones."""
    seconds, accepted = [], 0

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(mutation=mutations(kind))
    def fuzz(mutation: tuple[str, bytes]) -> None:
        nonlocal accepted
        started = time.process_time()
        accepted += check(kind, Path(temporary), mutation)
        seconds.append(time.process_time() - started)

    with tempfile.TemporaryDirectory() as temporary:
        fuzz()
    return seconds, accepted


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000, metavar="N")
    options = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count, slowest = 0, 0.0
    for kind in KINDS:
        seconds, accepted = _try(kind, options.mutations // len(KINDS) + 1)
        print(f"{kind}: {len(seconds)} mutations, {accepted} accepted, the others refused", flush=True)
        count, slowest = count + len(seconds), max(slowest, *seconds)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"{count} mutations; the slowest took {slowest:.3f} s of CPU time; "
        f"memory grew by {grown / 1e6:.0f} MB"
    )
    return int(slowest >= SECONDS or grown >= BYTES)


if __name__ == "__main__":
    sys.exit(main())
