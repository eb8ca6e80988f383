"""pytest-benchmark's storage of saved runs: its folder, and the runs that `--benchmark-compare` names.

Like `xdist_bridge`, it uses private parts of pytest-benchmark: `FileStorage` with `path`, `query`,
`location`, `logger` and `default_machine_id`, and `get_machine_id`. Tested with 5.2.3 and 5.3.1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import get_machine_id

from model.values import one_line

from ..paths import expanded
from ..session_settings import SESSION_STUDY
from ..wording import first_few

ACCEPTED = "accepted"  # the name of a saved run whose rows start a new baseline
INCONCLUSIVE_SUFFIX = "_inconclusive"  # ends the name of a saved run that the gates could not decide

_SAVED = "[0-9][0-9][0-9][0-9]_"  # begins the names of saved runs
_SCHEME = "file://"
_DEFAULT = f"{_SCHEME}./.benchmarks"
_LISTED = 3


class _AnyFolder(FileStorage):
    """pytest-benchmark's storage, which by itself cannot name a folder outside the current one."""

    @property
    def location(self) -> str:
        return str(self.path)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Runs before pytest-benchmark opens its storage and loads the runs to compare with."""
    option = config.option
    # Each study has a separate storage, wherever pytest was called.
    if option.benchmark_storage == _DEFAULT:
        saved_runs = config.stash[SESSION_STUDY].saved_runs
        if saved_runs.parent != Path.cwd():
            option.benchmark_storage = _SCHEME + str(saved_runs)
    # Also in a worker, as its pytest-benchmark creates the folder.
    option.benchmark_storage = _checked(option.benchmark_storage)
    if option.benchmark_compare != [] and not hasattr(config, "workerinput"):
        option.benchmark_compare = _named(config, option.benchmark_compare)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_compare_machine_info(
    benchmarksession: Any, compared_benchmark: dict[str, Any]
) -> None:
    """Prevents two errors of pytest-benchmark when it warns that a saved run's machine differs."""
    compared_benchmark.setdefault("machine_info", {})
    storage = benchmarksession.storage
    settings = (storage.path, storage.logger, storage.default_machine_id)
    benchmarksession.storage = _AnyFolder(*settings)  # type: ignore[no-untyped-call]


def folder(config: pytest.Config) -> Path:
    """Returns the folder of saved runs. Raises UsageError if `--benchmark-storage` is not a folder."""
    return Path(_checked(config.option.benchmark_storage).removeprefix(_SCHEME))


def with_home(option: str, path: str) -> str:
    """Returns the path with `~` expanded. Raises UsageError if there is no such home folder."""
    try:
        return str(expanded(path)) if path.startswith("~") else path
    except ValueError as error:
        raise pytest.UsageError(f"{option} is {error}") from None


def saved_files(storage: FileStorage, named: str | None = None) -> list[Path]:
    """Returns the saved runs, oldest first: all, or those matching `named`, a file or a pattern."""
    try:
        return list(storage.query(_SAVED if named is None else named))
    except (OSError, ValueError, RuntimeError, IndexError, re.error):
        return []  # a pattern that no file could match: `../x`, `a/b/c`, `/`, `**x`


def counts(path: Path) -> bool:
    """Returns whether a saved run is a baseline: the gates decided it, or were not used."""
    return not path.stem.endswith(INCONCLUSIVE_SUFFIX)


def _checked(given: str) -> str:
    """Returns `--benchmark-storage` with `~` expanded. Raises UsageError if it is not a folder."""
    path = given.removeprefix(_SCHEME)
    if "://" in path or not path:
        raise pytest.UsageError(
            f"--benchmark-storage is {given!r}; expected a folder, as FOLDER or file://FOLDER"
        )
    path = with_home("--benchmark-storage", path)
    try:
        existing = next(each for each in (Path(path), *Path(path).absolute().parents) if each.exists())
    except OSError as error:
        raise pytest.UsageError(
            f"--benchmark-storage is {given!r}, which cannot be read: {error.strerror}"
        ) from None
    if not existing.is_dir():
        raise pytest.UsageError(f"--benchmark-storage is {given!r}, but {existing} is not a folder")
    return _SCHEME + path


def _named(config: pytest.Config, given: str | bool) -> str | bool | list[str]:
    """Returns `--benchmark-compare` for pytest-benchmark. Raises UsageError if it matches nothing.

    Without a value it is the newest baseline.
    """
    storage = FileStorage(folder(config), None, get_machine_id())
    files = saved_files(storage)
    if given is True:
        if counted := [path for path in files if counts(path)]:
            return str(counted[-1])
        if files:
            config.issue_config_time_warning(
                pytest.PytestWarning(
                    f"nothing to compare with, as all of the {len(files)} saved runs in {storage} are "
                    "inconclusive; name one with --benchmark-compare=NAME to compare with it anyway"
                ),
                stacklevel=2,
            )
            return []
        return True
    pattern = with_home("--benchmark-compare", str(given))
    # `.` would match every run; a module of tests would match itself.
    if Path(pattern).parts and Path(pattern).suffix != ".py" and saved_files(storage, pattern):
        return pattern
    names = first_few((path.stem for path in reversed(files)), _LISTED) or "none"
    message = (
        f"--benchmark-compare is {given!r}, which matches no saved run in {storage}; it has {names}"
    )
    if pattern and _is_tests(config, pattern):
        message += (
            f"; to run the tests in {given}, put the path first, or write --benchmark-compare -- {given}"
        )
    raise pytest.UsageError(one_line(message))


def _is_tests(config: pytest.Config, given: str) -> bool:
    """Returns whether it looks like a path to tests, which the option took for its value."""
    path = given.partition("::")[0]
    try:
        exists = (config.invocation_params.dir / path).exists()
    except (OSError, ValueError):
        exists = False
    return exists or "::" in given or path.endswith((".py", "/"))
