"""The plugin that pytest loads in every session; it loads the suite's when it finds a study.

Installing the project adds this module to every session of the environment, under a separate name
(`minibatch_bench`; see pyproject.toml). In a session without a study it does nothing, and imports
nothing: not even `harness`, a name that a user's own package may have.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

_PLUGIN = "harness.plugin"
_READY = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Loads the plugin if the command line has options that pytest does not know yet.

    Until it knows them, pytest takes their values for paths, so that `pytest --scale paper` finds no
    study's conftest.py. The session's study is then the one in `testpaths`. This hook does nothing when
    the module is loaded as an installed plugin, before pytest has read the command line.
    """
    config = pluginmanager.get_plugin("pytestconfig")
    known = getattr(config, "known_args_namespace", None)
    if not isinstance(config, pytest.Config) or known is None:
        return
    _, unknown = parser.parse_known_and_unknown_args([*map(str, config.invocation_params.args)])
    if not any(each.startswith("--") for each in unknown):
        return
    here = config.invocation_params.dir
    given = [Path(here, each.partition("::")[0]) for each in known.file_or_dir]
    folders = [folder for path in given if path.exists() for folder in (path, *path.parents)]
    studies = [config.rootpath / each for each in config.getini("testpaths")]
    if not any(map(_has_study, folders)) and any(map(_has_study, studies)):
        pluginmanager.import_plugin(_PLUGIN)


def _has_study(folder: Path) -> bool:
    try:
        return bool(re.search(r"^STUDY\b", (folder / "conftest.py").read_text(), re.MULTILINE))
    except (OSError, UnicodeDecodeError):
        return False


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[_READY] = True


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Loads the plugin when pytest loads a conftest.py that declares a study.

    Raises UsageError if pytest finds that file only while it collects a folder above the study, when it
    is too late to read the suite's options.
    """
    path = getattr(plugin, "__file__", None)
    # Recognised by its class's module, as other conftest.py files may have a variable STUDY.
    kind = type(getattr(plugin, "STUDY", None)).__module__
    if kind != "harness.study" or path is None or Path(path).name != "conftest.py":
        return
    config = manager.get_plugin("pytestconfig")
    if isinstance(config, pytest.Config) and _READY in config.stash and not manager.has_plugin(_PLUGIN):
        folder = os.path.relpath(Path(path).parent, config.invocation_params.dir)
        raise pytest.UsageError(
            f"{folder} is a study, which the command line does not name; run pytest {folder}"
        )
    manager.import_plugin(_PLUGIN)


def pytest_pycollect_makeitem(collector: pytest.Module, name: str, obj: object) -> None:
    """Raises CollectError for an exercise in a session without a study, which cannot train its rows."""
    if name != "EXERCISE" or collector.config.pluginmanager.has_plugin(_PLUGIN):
        return
    exercise = getattr(sys.modules.get("harness.exercise"), "Exercise", None)
    if exercise is not None and isinstance(obj, exercise):
        raise collector.CollectError(
            f"{collector.path.name} has an exercise, but {collector.path.parent} is not a study; "
            "expected STUDY = Study(...) in its conftest.py"
        )
