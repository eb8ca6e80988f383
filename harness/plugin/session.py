"""A session of the suite: data and report folder before the first case, the report after the last."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.data.download import DataError, ensure_downloaded
from model.experiment import Experiment

from .. import atomic_json, ownership
from ..exercise import case_id, discover_exercises
from ..files import sealed
from ..files.record import TrainingRecord
from ..files.sealed import one_line
from ..hardware.forecast import training_seconds
from ..hardware.lock_file import LockError, lock_folder
from ..paths import PAGE, ROOT, SPEED
from ..report import tables
from ..results.fingerprint import fingerprint_of, training_key
from ..results.report_folder import ReportFolder
from ..results.store import Store
from ..results.summary import summarise
from ..settings import SETTINGS
from .progress.state import format_duration
from .progress.watch import unwatch, watch

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_REPORT_FOLDER = pytest.StashKey[ReportFolder]()
_TABLES = pytest.StashKey[list[str]]()
_WRITE_ERROR = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepares a session without xdist. (A worker collects too, but its controller prepares.)"""
    option = session.config.option
    runs_tests = not (option.collectonly or option.setuponly)  # --setup-plan sets setuponly
    if runs_tests and not hasattr(session.config, "workerinput"):
        _prepare(session.config, [item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Prepares a session with xdist, whose controller learns from its workers what they collected."""
    _prepare(node.config, ids)


def _prepare(config: pytest.Config, ids: Sequence[str]) -> None:
    """Checks the data and opens the report folder, once, if any exercise is selected."""
    folders = tuple(f"{folder.rstrip('/')}/" for folder in config.getini("testpaths"))
    if _REPORT_FOLDER in config.stash or not any(case.startswith(folders) for case in ids):
        return
    settings = config.stash[SETTINGS]
    try:
        ensure_downloaded(settings.dataset, settings.data_root)
        if settings.timing == "exclusive":
            lock_folder()
    except (DataError, LockError) as error:
        raise pytest.UsageError(str(error)) from None
    folder = ReportFolder(settings.report_dir, run=fingerprint_of(config), resume=settings.resume)
    config.stash[_REPORT_FOLDER] = folder
    config.add_cleanup(folder.close)
    experiments = _to_train(config, ids)
    seconds = training_seconds(experiments.values(), settings)
    if experiments and seconds is not None:
        config.get_terminal_writer().line(
            f"{len(experiments)} rows to train: about {format_duration(seconds)} of training, "
            f"as {SPEED} predicts, plus evaluation"
        )
    watch(config, settings.report_dir, {case: each.epochs for case, each in experiments.items()})


def _to_train(config: pytest.Config, ids: Sequence[str]) -> dict[str, Experiment]:
    """The experiments of the selected rows that have no record yet, by case."""
    settings = config.stash[SETTINGS]
    store = Store(settings.report_dir)
    selected = set(ids)
    return {
        case: module.EXERCISE.experiment(row, settings.scale, settings.dataset)
        for path, module in discover_exercises(config).items()
        for row in module.EXERCISE.rows
        if (case := case_id(path, row.name)) in selected
        and store.find(TrainingRecord, case, training_key(config, module.EXERCISE, row)) is None
    }


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the summary from the records on disk, also after Ctrl-C, `-x` or a worker's crash."""
    config = session.config
    if _REPORT_FOLDER not in config.stash:
        return
    folder = config.stash[SETTINGS].report_dir
    unwatch(config, folder)
    try:
        summary = summarise(config, discover_exercises(config))
        config.stash[_TABLES] = [
            *tables.format_tables(summary, "simple"),
            tables.format_caption(summary),
        ]
        ownership.make_again(folder)
        sealed.write(folder / "summary.json", summary)
        texts = [tables.format_caption(summary), *tables.format_tables(summary, "github")]
        atomic_json.write_text(folder / "summary.md", "\n\n".join(texts) + "\n")
    except OSError as error:
        config.stash[_WRITE_ERROR] = str(error)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def draw(folder: Path) -> str:
    """Draws the page and the figures; returns a line that says where they are, or why there are none.

    In a process of its own, which may run out of memory or crash without taking this one with it.
    """
    command = [sys.executable, "-m", "harness", "report", str(folder)]
    reason = "interrupted"
    with suppress(KeyboardInterrupt):
        try:
            drawing = subprocess.run(
                command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace"
            )
        except OSError as error:
            reason = str(error)
        else:
            if drawing.returncode == 0:
                return f"Page: {_relative(folder / PAGE)}"
            said = drawing.stderr.strip().splitlines() or [f"it ended with {drawing.returncode}"]
            reason = one_line(said[-1])
    later = f"`python -m harness report {_relative(folder)}` draws them from the files in that folder"
    return f"No page or figures: {reason.rstrip('.')}. Later, {later}."


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    config = terminalreporter.config
    if _REPORT_FOLDER not in config.stash:
        return
    folder = _relative(config.stash[SETTINGS].report_dir)
    terminalreporter.section("the assignment's tables and claims")
    texts: list[str] = config.stash.get(_TABLES, [])
    encoding = getattr(terminalreporter._tw._file, "encoding", None)
    # Line by line: of a text that it cannot encode, pytest's terminal escapes the line breaks as well.
    for line in tables.encodable("\n\n".join(texts), encoding or "utf-8").splitlines():
        terminalreporter.write_line(line)
    if _WRITE_ERROR in config.stash:
        terminalreporter.write_line(
            f"The summary could not be written: {config.stash[_WRITE_ERROR]}. Finished cases are in "
            f"{folder}/runs/, and --resume takes them from there.",
            red=True,
        )
    else:
        terminalreporter.write_line(f"Written to {folder}/.")
        if exitstatus == pytest.ExitCode.INTERRUPTED:
            terminalreporter.write_line(
                f"`python -m harness report {folder}` draws the page and figures of what has finished."
            )
        else:  # last of all: whatever becomes of the page, the tables are written and shown
            terminalreporter.write_line(draw(config.stash[SETTINGS].report_dir))


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
