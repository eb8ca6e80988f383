"""Files that pytest and pytest-benchmark are asked to write, checked before anything trains.

They are written after the last training, when it is too late to report that they cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.utils import get_machine_id

from .storage import INCONCLUSIVE_SUFFIX, folder, with_home
from .xdist_bridge import benchmark_session

_ERRORS = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Runs before any plugin opens its files. A worker writes none of them."""
    if hasattr(config, "workerinput"):
        return
    option = config.option
    if (given := option.benchmark_json) is not None:
        option.benchmark_json = Path(with_home("--benchmark-json", str(given)))
        _check("--benchmark-json", given, option.benchmark_json, makes_folders=False)
    for name in ("histogram", "cprofile_dump"):
        dest, flag = f"benchmark_{name}", f"--benchmark-{name.replace('_', '-')}"
        prefixes = [with_home(flag, prefix) for prefix in getattr(option, dest)][-1:]
        setattr(option, dest, prefixes)  # pytest-benchmark fails if it is given twice
        for prefix in prefixes:
            _check(flag, prefix, Path(f"{prefix}-x.svg"), makes_folders=True)
    if xml := getattr(option, "xmlpath", None):
        path = Path(os.path.expanduser(os.path.expandvars(xml)))  # as pytest does
        _check("--junitxml", xml, path, makes_folders=True)
    if (log := getattr(option, "log_file", None)) is not None:
        _check("--log-file", log, Path(log), makes_folders=True)
    _check_saving(config)


def _check_saving(config: pytest.Config) -> None:
    option = config.option
    name = option.benchmark_save or option.benchmark_autosave
    if not name:
        return
    if f"_{option.benchmark_save}".endswith(INCONCLUSIVE_SUFFIX):
        raise pytest.UsageError(
            f"--benchmark-save is {option.benchmark_save!r}, and names that end in "
            f"{INCONCLUSIVE_SUFFIX} mark inconclusive runs; choose another name"
        )
    asked = "--benchmark-save" if option.benchmark_save else "--benchmark-autosave"
    # As long as the longest name that it may be saved under.
    path = folder(config) / get_machine_id() / f".0000_{name}{INCONCLUSIVE_SUFFIX}.json"
    _check(asked, name, path, makes_folders=True)


def _check(option: str, given: object, path: Path, *, makes_folders: bool) -> None:
    """Raises UsageError if `path` cannot be written now, in the way that it will be."""
    try:
        with _folders(path.parent if makes_folders else None):
            _try(path)
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and not makes_folders and not path.parent.exists():
            reason = f"{path.parent} does not exist"
        raise pytest.UsageError(
            f"{option} is {str(given)!r}, which cannot be written: {reason}"
        ) from None
    except ValueError as error:  # a null character
        raise pytest.UsageError(
            f"{option} is {str(given)!r}, which cannot be written: {error}"
        ) from None


def _try(path: Path) -> None:
    """Opens the file for writing, and leaves no new one. Does not wait for a pipe without a reader."""
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)
    try:
        os.close(os.open(path, flags | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        os.close(os.open(path, flags))
    else:
        path.unlink()


@contextmanager
def _folders(path: Path | None) -> Iterator[None]:
    """Creates the folder and its missing parents, and removes them at the end."""
    made: list[Path] = []
    try:
        if path is not None:
            missing = [each for each in (path, *path.parents) if not each.exists()]
            for each in reversed(missing):
                each.mkdir()
                made.append(each)
        yield
    finally:
        for each in reversed(made):
            each.rmdir()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Makes sure that an error in a file at the end of the session does not cost tables and page."""
    config = session.config
    config.stash[_ERRORS] = []
    benchmarks = benchmark_session(config)
    for name in ("handle_saving", "display"):
        setattr(benchmarks, name, _guarded(session, getattr(benchmarks, name)))


def _guarded(session: pytest.Session, function: Callable[..., None]) -> Callable[..., None]:
    """Wraps pytest-benchmark's function to note that a file could not be written, and continue."""

    def guarded(*args: Any) -> None:
        try:
            function(*args)
        except (OSError, AssertionError) as error:  # it asserts that no such run is saved yet
            why = str(error) or "a saved run with that number already exists"
            session.config.stash[_ERRORS].append(f"pytest-benchmark could not write its files: {why}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    return guarded


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    yield
    for line in terminalreporter.config.stash.get(_ERRORS, []):
        terminalreporter.write_line(line, red=True)
