"""pytest-benchmark's storage of saved runs: its folder, and the runs that `--benchmark-compare` names.

Like `xdist_bridge`, it uses what is private to pytest-benchmark: `FileStorage` with `path`, `query`,
`location`, `logger` and `default_machine_id`, and `get_machine_id`. Tried with 5.2.3 and 5.3.1.
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

ACCEPTED = "accepted"  # the name of a saved run whose rows start a new baseline
INCONCLUSIVE_SUFFIX = "_inconclusive"  # ends the name of a saved run that the gates could not decide

_SAVED = "[0-9][0-9][0-9][0-9]_"  # how the names of saved runs begin
_SCHEME = "file://"
_DEFAULT = f"{_SCHEME}./.benchmarks"
_LISTED = 3


class _AnyFolder(FileStorage):
    """pytest-benchmark's own storage fails to say where it is, if that is outside the current folder."""

    @property
    def location(self) -> str:
        return str(self.path)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-benchmark opens its storage, and loads what is to be compared."""
    option = config.option
    # Each study has its own, wherever pytest was called.
    if option.benchmark_storage == _DEFAULT:
        saved_runs = config.stash[SESSION_STUDY].saved_runs
        if saved_runs.parent != Path.cwd():
            option.benchmark_storage = _SCHEME + str(saved_runs)
    # In a worker, too, whose pytest-benchmark makes the folder.
    option.benchmark_storage = _checked(option.benchmark_storage)
    if option.benchmark_compare != [] and not hasattr(config, "workerinput"):
        option.benchmark_compare = _named(config, option.benchmark_compare)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_compare_machine_info(
    benchmarksession: Any, compared_benchmark: dict[str, Any]
) -> None:
    """Prevents two errors of pytest-benchmark's, which warns where a saved run's machine differs."""
    compared_benchmark.setdefault("machine_info", {})
    storage = benchmarksession.storage
    settings = (storage.path, storage.logger, storage.default_machine_id)
    benchmarksession.storage = _AnyFolder(*settings)  # type: ignore[no-untyped-call]


def folder(config: pytest.Config) -> Path:
    """The folder of saved runs. Raises UsageError if `--benchmark-storage` is none."""
    return Path(_checked(config.option.benchmark_storage).removeprefix(_SCHEME))


def with_home(option: str, path: str) -> str:
    """The path with `~` replaced by the home folder. Raises UsageError if there is none."""
    try:
        return str(expanded(path)) if path.startswith("~") else path
    except ValueError as error:
        raise pytest.UsageError(f"{option} is {error}") from None


def saved_files(storage: FileStorage, named: str | None = None) -> list[Path]:
    """The saved runs, oldest first: those that `named` matches, a file or a pattern, or all."""
    try:
        return list(storage.query(_SAVED if named is None else named))
    except (OSError, ValueError, RuntimeError, IndexError, re.error):
        return []  # no pattern that a file could match: `../x`, `a/b/c`, `/`, `**x`


def counts(path: Path) -> bool:
    """Whether a saved run is a baseline: the gates could decide it, or nobody asked them."""
    return not path.stem.endswith(INCONCLUSIVE_SUFFIX)


def _checked(given: str) -> str:
    """`--benchmark-storage` with `~` expanded. Raises UsageError if it is no folder."""
    path = given.removeprefix(_SCHEME)
    if "://" in path or not path:
        raise pytest.UsageError(
            f"--benchmark-storage is {given!r}; this suite takes a folder, as in file://FOLDER or FOLDER"
        )
    path = with_home("--benchmark-storage", path)
    try:
        there = next(each for each in (Path(path), *Path(path).absolute().parents) if each.exists())
    except OSError as error:
        raise pytest.UsageError(f"--benchmark-storage is {given!r}: {error.strerror}") from None
    if not there.is_dir():
        raise pytest.UsageError(f"--benchmark-storage is {given!r}, and {there} is not a folder")
    return _SCHEME + path


def _named(config: pytest.Config, given: str | bool) -> str | bool | list[str]:
    """`--benchmark-compare` as pytest-benchmark is to have it. Raises UsageError if it matches nothing.

    Without a value it is the newest run that counts.
    """
    storage = FileStorage(folder(config), None, get_machine_id())
    files = saved_files(storage)
    if given is True:
        if counted := [path for path in files if counts(path)]:
            return str(counted[-1])
        if files:
            config.issue_config_time_warning(
                pytest.PytestWarning(
                    f"nothing to compare with: each of the {len(files)} saved runs in {storage} is "
                    "inconclusive; --benchmark-compare=NAME compares with one nevertheless"
                ),
                stacklevel=2,
            )
            return []
        return True
    pattern = with_home("--benchmark-compare", str(given))
    # `.` would match every run; a module of tests exists, but nobody saved it.
    if Path(pattern).parts and Path(pattern).suffix != ".py" and saved_files(storage, pattern):
        return pattern
    names = ", ".join(path.stem for path in files[-_LISTED:])
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    there = f"which has {names}{more}" if files else "which has none"
    message = f"--benchmark-compare is {given!r}, which matches no saved run in {storage}, {there}"
    if pattern and _is_tests(config, pattern):
        message += (
            f". To run the tests in {given}, put the path first, or write --benchmark-compare -- {given}"
        )
    raise pytest.UsageError(one_line(message))


def _is_tests(config: pytest.Config, given: str) -> bool:
    """Whether it looks like a path to tests, which the option took for its value."""
    path = given.partition("::")[0]
    try:
        exists = (config.invocation_params.dir / path).exists()
    except (OSError, ValueError):
        exists = False
    return exists or "::" in given or path.endswith((".py", "/"))
