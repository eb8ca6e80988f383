"""A session: prepares data and report folder before the first case, writes the report after the last."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from model.data.download import DataError
from model.data.mnist import prepare
from model.dataset import DATASETS
from model.experiment import Experiment
from model.phases import phase
from model.values import one_line

from .. import atomic_json, ownership
from ..claim import claims_of
from ..engine_speeds.forecast import training_seconds
from ..exercise import Exercise, Results, case_id
from ..export.table_files import write_tables
from ..files import sealed
from ..files.record import TrainingRecord
from ..hardware.lock_file import LockError, lock_folder
from ..paths import FIGURES, PAGE, REFUSED, ROOT, SPEED
from ..processes import environment, reason
from ..report import tables, terminal
from ..report.figure_names import check_shown_in
from ..report.load import ReportError
from ..results.exercise_stories import told
from ..results.fingerprint import fingerprint_of, training_key
from ..results.report_folder import ReportFolder
from ..results.store import Store
from ..results.summarise import results_of, summarise
from ..session_settings import KEPT_RUN, SESSION_STUDY, SETTINGS
from ..wording import counted, format_duration
from .cluster import train_on_cluster
from .collected import exercises_of
from .progress.watch import unwatch, watch
from .shards import in_this_shard

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

_REPORT_FOLDER = pytest.StashKey[ReportFolder]()
_EXERCISES = pytest.StashKey[dict[str, ModuleType]]()
_TEXTS = pytest.StashKey[list[str]]()
_NEXT = pytest.StashKey[str]()
_DRAWN = "Page: "
_WRITE_ERROR = pytest.StashKey[str]()
_EVENTS_ERROR = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepares a session without xdist. (A worker collects, too, but its controller prepares.)"""
    option = session.config.option
    runs_tests = not (option.collectonly or option.setuponly)  # --setup-plan sets setuponly
    if runs_tests and not hasattr(session.config, "workerinput"):
        _prepare(session, [item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Prepares a session with xdist, whose controller gets the collected ids from its workers."""
    session = node.config.pluginmanager.get_plugin("session")
    assert isinstance(session, pytest.Session)
    _prepare(session, ids)


def _prepare(session: pytest.Session, ids: Sequence[str]) -> None:
    """Checks exercises and data and opens the report folder, once, if any exercise is selected.

    Reports all errors before it opens anything.
    """
    config = session.config
    if _EXERCISES in config.stash:  # a worker that replaces a crashed one collects again
        return
    settings = config.stash[SETTINGS]
    if settings.shard and not any("::test_training[" in each for each in ids):
        raise pytest.UsageError(
            f"--shard is '{settings.shard}', which has none of the selected rows; "
            "expected fewer shards, or more rows"
        )
    modules = config.stash[_EXERCISES] = exercises_of(session, ids)
    if not modules:
        return
    if session.testsfailed and not config.option.continue_on_collection_errors:
        # pytest-xdist would run the tests that could be collected.
        raise session.Interrupted("errors during collection")
    trains = KEPT_RUN not in config.stash
    rows = _experiments(config, modules)
    # Of all rows, as a claim trains the rows that it compares.
    datasets = {experiment.dataset for of_module in rows.values() for experiment in of_module.values()}
    if any(module.EXERCISE.measurements for module in modules.values()):
        datasets.add(DATASETS[settings.dataset])
    try:
        for dataset in datasets if trains else ():
            prepare(dataset, settings.data_root)
        if trains and settings.timing == "exclusive" and not settings.cluster:
            lock_folder()
    except (DataError, LockError) as error:
        raise pytest.UsageError(str(error)) from None
    folder = ReportFolder(
        settings.report_dir,
        fingerprint=fingerprint_of(config),
        resume=settings.resume,
        reads=not trains,
    )
    config.stash[_REPORT_FOLDER] = folder
    config.add_cleanup(folder.close)
    # Rows that an earlier session trained stay in the tables, even if they are not selected now.
    if folder.resumed:
        config.stash[_EXERCISES] = exercises_of(session, [*ids, *folder.resumed])
    store, selected = Store(settings.report_dir), {*ids}
    experiments = {
        case: experiment
        for path, of_module in rows.items()
        for case, experiment in of_module.items()
        if case in selected
        and store.find(TrainingRecord, case, training_key(config, experiment)) is None
    }
    if settings.cluster:
        every = {
            case: (modules[path].EXERCISE, experiment)
            for path, of_module in rows.items()
            for case, experiment in of_module.items()
        }
        train_on_cluster(config, every, experiments)
    seconds = None if settings.cluster else training_seconds(experiments.values(), settings)
    if experiments and seconds is not None:
        config.get_terminal_writer().line(
            f"{counted(len(experiments), 'row')} to train, predicted from {SPEED} to take about "
            f"{format_duration(seconds)}, plus evaluation"
        )
    watch(config, settings.report_dir, {case: each.epochs for case, each in experiments.items()})


def _experiments(
    config: pytest.Config, modules: dict[str, ModuleType]
) -> dict[str, dict[str, Experiment]]:
    """Returns the experiments of all rows, selected or not, by case, by module.

    Raises pytest.UsageError for an invalid claim or row.
    """
    settings, study = config.stash[SETTINGS], config.stash[SESSION_STUDY].study
    found: dict[str, dict[str, Experiment]] = {}
    for path, module in modules.items():
        try:
            for test, claim in claims_of(module).items():
                check_shown_in(test, claim, module.EXERCISE)
            study.check(module.EXERCISE)
        except ValueError as error:
            raise pytest.UsageError(f"{path}: {error}") from None
        found[path] = {}
        for row in module.EXERCISE.rows:
            try:
                experiment = study.experiment(module.EXERCISE, row, settings.scale, settings.dataset)
            except ValueError as error:
                raise pytest.UsageError(f"{path}: the row {row.name!r}: {error}") from None
            found[path][case_id(path, row.name)] = experiment
    return found


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Writes the summary from the records on disk, even after Ctrl-C, `-x` or a worker's crash.

    This runs before the other plugins, which may fail to write their files.
    """
    config = session.config
    if _REPORT_FOLDER in config.stash:
        unwatch(config, config.stash[SETTINGS].report_dir)
        if ownership.has_run(config.stash[SETTINGS].report_dir):
            with phase("reporting"):
                _summarise(session)
    try:
        yield
    except Exception as error:  # another plugin's error must not cost the tables
        message = one_line(f"{type(error).__name__}: {error}")
        config.get_terminal_writer().line(f"\nError at the end of the session: {message}", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR


def _summarise(session: pytest.Session) -> None:
    config, folder = session.config, session.config.stash[SETTINGS].report_dir
    try:
        results = {
            path: (module.EXERCISE, results_of(config, path, module.EXERCISE))
            for path, module in config.stash[_EXERCISES].items()
        }
        stories, errors = told(results)
        _warn(config, errors)
        summary = summarise(config, config.stash[_EXERCISES], stories, partial(in_this_shard, config))
        config.stash[_TEXTS] = [
            *(terminal.format_exercise(each, summary) for each in summary.exercises),
            *filter(None, [terminal.format_claims(summary.claims)]),
            terminal.format_ending(summary),
        ]
        config.stash[_NEXT] = terminal.format_next(summary, _typed)
        ownership.make_again(folder)
        sealed.write_content(folder / "summary.json", summary.to_json())
        _draw_own_figures(config, results)
        atomic_json.write_text(folder / "summary.md", tables.format_markdown(summary))
        write_tables(folder)
    except (OSError, ReportError) as error:
        config.stash[_WRITE_ERROR] = str(error)
    else:
        _write_events(config)
    failed = _WRITE_ERROR in config.stash or _EVENTS_ERROR in config.stash
    if failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _write_events(config: pytest.Config) -> None:
    settings = config.stash[SETTINGS]
    if settings.tensorboard is not None:
        from ..export.curve_events import write_events

        try:
            write_events(settings.report_dir, settings.tensorboard)
        except OSError as error:
            config.stash[_EVENTS_ERROR] = f"--tensorboard: the curves could not be written: {error}"


def _draw_own_figures(config: pytest.Config, results: dict[str, tuple[Exercise, Results]]) -> None:
    """Writes the figures that exercises draw themselves, if there are any."""
    drawing = {path: found for path, found in results.items() if found[0].figures}
    if drawing:
        try:
            from ..report import own_figures
        except ImportError:  # Altair is missing, so there is no page to show them on either
            return
        content, errors = own_figures.drawn(drawing)
        sealed.write_content(config.stash[SETTINGS].report_dir / FIGURES, content)
        _warn(config, errors)


def _warn(config: pytest.Config, lines: list[str]) -> None:
    for line in lines:
        config.issue_config_time_warning(pytest.PytestWarning(line), stacklevel=2)


def draw_report(folder: Path) -> str:
    """Draws the page and the figures; returns a line that says where they are, or why there are none.

    This runs in a separate process, which may run out of memory or crash without ending this one.
    """
    command = [sys.executable, "-m", "harness", "report", str(folder)]
    status, why = None, "interrupted"
    with suppress(KeyboardInterrupt):
        try:
            drawing = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            why = str(error)
        else:
            status = drawing.returncode
            if status == 0:
                return f"{_DRAWN}{_relative(folder / PAGE)}"
            why = one_line(reason(drawing.stderr, status=status))
    line = f"No page or figures: {why.rstrip('.')}."
    # A report that is rejected now cannot be drawn later either.
    return line if status == REFUSED else f"{line} To draw them later: {_draw_command(folder)}"


def _draw_command(folder: Path) -> str:
    """Returns the command that draws the page, as it can be typed in the current folder."""
    here = "" if Path.cwd() == ROOT else f"cd {shlex.quote(str(ROOT))} && "
    python, report = (str(path if here else _relative(path)) for path in (Path(sys.executable), folder))
    return f"{here}{shlex.quote(python)} -m harness report {shlex.quote(report)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    config = terminalreporter.config
    if _REPORT_FOLDER not in config.stash:
        return
    folder = config.stash[SETTINGS].report_dir
    if not ownership.has_run(folder):
        terminalreporter.write_line("Nothing was trained, so there is no report of this session.")
        return
    terminalreporter.section(f"{config.stash[SESSION_STUDY].study.title}: tables and claims")
    texts: list[str] = config.stash.get(_TEXTS, [])
    _write(terminalreporter, "\n\n".join(texts))
    if _EVENTS_ERROR in config.stash:
        terminalreporter.write_line(config.stash[_EVENTS_ERROR], red=True)
    if _WRITE_ERROR in config.stash:
        terminalreporter.write_line(
            f"The summary could not be written: {config.stash[_WRITE_ERROR]}. Finished cases are kept "
            f"in {_relative(folder)}/runs/; continue with --resume.",
            red=True,
        )
    elif exitstatus == pytest.ExitCode.INTERRUPTED:
        terminalreporter.write_line(f"Written to {_relative(folder)}/.")
        terminalreporter.write_line(
            f"To draw the page and figures of the finished cases: {_draw_command(folder)}"
        )
    else:  # last, so that the tables are written and shown even if this fails
        with phase("reporting", children=True):
            line = draw_report(folder)
        if not line.startswith(_DRAWN):
            terminalreporter.write_line(f"Written to {_relative(folder)}/.")
        terminalreporter.write_line(line)
        _write(terminalreporter, config.stash[_NEXT])


def has_report(config: pytest.Config) -> bool:
    """Returns whether this process is the one that writes the session's report, and has one to write."""
    return _REPORT_FOLDER in config.stash and ownership.has_run(config.stash[SETTINGS].report_dir)


def _typed(command: str) -> str:
    """Returns a command of pytest's as it can be typed here, where pytest may not be on the path."""
    program, separator, rest = command.partition(" ")
    found = shutil.which("pytest")
    if program != "pytest" or (found and Path(found).parent == Path(sys.executable).parent):
        return command
    return f"{shlex.quote(str(_relative(Path(sys.executable))))} -m pytest{separator}{rest}"


def _write(reporter: pytest.TerminalReporter, text: str) -> None:
    """Writes the text in characters that the terminal has."""
    encoding = getattr(reporter._tw._file, "encoding", None)
    # Line by line: in a text that it cannot encode, pytest's terminal would also escape line breaks.
    for line in tables.encodable(text, encoding or "utf-8").splitlines():
        reporter.write_line(line)


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
