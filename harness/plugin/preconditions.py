"""What the suite needs from pytest and the system, checked before anything else."""

from __future__ import annotations

import os
import sys

import pytest

from ..session_settings import SESSION_STUDY
from ..study import StudyFolder, load_study, study_of

if sys.platform != "win32":
    import resource

_OPEN_FILES = 64
# The files that pytest reads its settings from.
_SETTINGS = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
_PLUGINS = {
    "benchmark": "pytest_benchmark.plugin",
    "terminal": "_pytest.terminal",
    "capture": "_pytest.capture",
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    _check_open_files()
    _check_plugins(config)
    config.stash[SESSION_STUDY] = study = _study(config)
    _check_root(config, study)
    _check_names(config)


def _check_open_files() -> None:
    """PyTorch, pytest and its workers have about thirty files open; beyond the limit, any may fail."""
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if 0 <= limit < _OPEN_FILES:
            raise pytest.UsageError(f"`ulimit -n` is {limit}; expected at least {_OPEN_FILES}")


def _check_plugins(config: pytest.Config) -> None:
    """Without these plugins, rows could not be timed, or results not shown."""
    # By their modules: a plugin's name depends on how it was loaded.
    loaded = {getattr(plugin, "__name__", None) for plugin in config.pluginmanager.get_plugins()}
    for name, module in _PLUGINS.items():
        if module not in loaded:
            raise pytest.UsageError(
                f"pytest's plugin {name!r} ({module}) is not loaded; install it, and do not disable it "
                f"with -p no:{name} or PYTEST_DISABLE_PLUGIN_AUTOLOAD"
            )


def _study(config: pytest.Config) -> StudyFolder:
    """Returns the session's study, declared in a conftest.py of its arguments or of `testpaths`."""
    found = map(study_of, config.pluginmanager.get_plugins())
    studies = {each.path: each for each in found if each is not None}
    if not studies:  # see harness.entry
        folders = [config.rootpath / each for each in config.getini("testpaths")]
        try:
            studies = {folder: load_study(folder) for folder in folders[:1]}
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    if len(studies) > 1:
        named = " and ".join(map(str, sorted(studies)))
        raise pytest.UsageError(
            f"the arguments belong to the studies {named}; expected one study in a session (write an "
            "option's path after a =, as in --data-root=PATH)"
        )
    (study,) = studies.values()
    return study


def _check_root(config: pytest.Config, study: StudyFolder) -> None:
    """Node ids begin at pytest's root, so that must be the same in every session of a study.

    It is the study's folder, or the folder above it that has pytest's settings. Without settings,
    pytest's own root would depend on where it was called.
    """
    settings = config.inipath
    if settings is None and config.getoption("rootdir") is None and hasattr(config, "_rootpath"):
        config._rootpath = study.path
    root = config.rootpath
    natural = settings is None or (settings.parent == root and settings.name in _SETTINGS)
    if not (natural and study.path.is_relative_to(root) and (settings or root == study.path)):
        raise pytest.UsageError(
            f"pytest's root is {root}, with settings from {settings}; expected {study.path}, or the "
            "folder above it that has pytest's settings, without --rootdir or -c"
        )


def _check_names(config: pytest.Config) -> None:
    """pytest-xdist sends its workers their arguments and import paths as UTF-8."""
    if config.getoption("dist", "no") != "no":
        for name in (*map(str, config.invocation_params.args), *sys.argv, *sys.path, os.getcwd()):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise pytest.UsageError(
                    f"{name!a} is not UTF-8, so pytest-xdist cannot send it to its workers; run "
                    "without -n, or rename it"
                ) from None
