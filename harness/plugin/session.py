"""A session of the suite: made ready before the first case, summed up after the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model.data.download import DataError, ensure_downloaded
from model.experiment import Experiment

from .. import atomic_json
from ..exercise import case_id, discover_exercises
from ..hardware.forecast import training_seconds
from ..paths import SPEED
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
_UNWRITTEN = pytest.StashKey[str]()
_REPORTED = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without xdist this process trains; its workers collect too, but prepare nothing."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        _prepare(session.config, [item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """xdist's controlling process collects nothing, but hears of what its workers collected."""
    _prepare(node.config, ids)


def _prepare(config: pytest.Config, ids: Sequence[str]) -> None:
    """Once a session that selected tests of the exercises: the data, and a new report folder."""
    folders = tuple(f"{folder.rstrip('/')}/" for folder in config.getini("testpaths"))
    if _REPORT_FOLDER in config.stash or not any(case.startswith(folders) for case in ids):
        return
    settings = config.stash[SETTINGS]
    try:
        ensure_downloaded(settings.dataset, settings.data_root)
    except DataError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_REPORT_FOLDER] = ReportFolder(
        settings.report_dir, run=fingerprint_of(config), resume=settings.resume
    )
    experiments = _to_train(config, ids)
    seconds = training_seconds(experiments.values(), settings)
    if experiments and seconds is not None:
        config.get_terminal_writer().line(
            f"{len(experiments)} rows to train: {format_duration(seconds)} of training by {SPEED}, "
            "and evaluation besides"
        )
    watch(config, settings.report_dir, {case: each.epochs for case, each in experiments.items()})


def _to_train(config: pytest.Config, ids: Sequence[str]) -> dict[str, Experiment]:
    """The selected rows that no record is there of, by their cases' ids."""
    settings = config.stash[SETTINGS]
    store = Store(settings.report_dir)
    selected = set(ids)
    return {
        case: module.EXERCISE.experiment(row, settings.scale, settings.dataset)
        for path, module in discover_exercises(config).items()
        for row in module.EXERCISE.rows
        if (case := case_id(path, row.name)) in selected
        and store.find(case, training_key(config, module.EXERCISE, row)) is None
    }


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the summary from what is on disk: also after Ctrl-C, `-x` or a worker's crash."""
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
        atomic_json.write(folder / "summary.json", summary)
        texts = [tables.format_caption(summary), *tables.format_tables(summary, "github")]
        atomic_json.write_text(folder / "summary.md", "\n\n".join(texts) + "\n")
        if session.exitstatus != pytest.ExitCode.INTERRUPTED:
            config.stash[_REPORTED] = draw(folder)
    except OSError as error:
        config.stash[_UNWRITTEN] = str(error)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    config.stash[_REPORT_FOLDER].close()


def draw(folder: Path) -> str:
    """Makes the page and the figures, and says so; or, where that cannot be, why and what can."""
    later = f"`python -m harness report {_shown(folder)}` makes them from what is written"
    try:
        from ..report.build import build
    except ImportError as error:
        return f"No page and no figures: {error.name} is not installed. Where it is, {later}."
    from ..report.load import ReportError

    try:
        page, _ = build([folder])
    except ReportError as error:
        return f"No page and no figures: {error}. {later[0].upper() + later[1:]}."
    return f"To look at: {_shown(page)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    if _REPORT_FOLDER not in config.stash:
        return
    folder = _shown(config.stash[SETTINGS].report_dir)
    terminalreporter.section("the assignment's tables and claims")
    texts: list[str] = config.stash.get(_TABLES, [])
    terminalreporter.write_line("\n\n".join(texts))
    if _UNWRITTEN in config.stash:
        terminalreporter.write_line(
            f"The summary could not be written: {config.stash[_UNWRITTEN]}. Cases that finished are in "
            f"{folder}/runs/; --resume takes them from there.",
            red=True,
        )
    else:
        terminalreporter.write_line(f"Written to {folder}/.")
        later = f"`python -m harness report {folder}` makes the page and the figures of what there is."
        terminalreporter.write_line(config.stash.get(_REPORTED, later))


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
