"""What pytest loads in every session: the suite's plugin as soon as a study's conftest.py is there.

Installing the project puts this module into every session of the environment, under a name of its own
(`minibatch_bench`; see pyproject.toml). In a session without a study it imports and does nothing: not
even `harness`, a name that somebody's own package may have.
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

    Until they are known, pytest takes their values for paths, so `pytest --scale paper` finds no study's
    conftest.py. The session is then of the study in `testpaths`. This hook does nothing when the module
    is loaded as an installed plugin, before pytest has read the command line.
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

    Raises UsageError if pytest finds that file only while it collects a folder above the study: it is
    too late then to read the study's options.
    """
    path = getattr(plugin, "__file__", None)
    # By its module's name, which nobody's variable of that name has by chance.
    kind = type(getattr(plugin, "STUDY", None)).__module__
    if kind != "harness.study" or path is None or Path(path).name != "conftest.py":
        return
    config = manager.get_plugin("pytestconfig")
    if isinstance(config, pytest.Config) and _READY in config.stash and not manager.has_plugin(_PLUGIN):
        folder = os.path.relpath(Path(path).parent, config.invocation_params.dir)
        raise pytest.UsageError(f"{folder} is a study, which a session has to name: pytest {folder}")
    manager.import_plugin(_PLUGIN)


def pytest_pycollect_makeitem(collector: pytest.Module, name: str, obj: object) -> None:
    """Refuses an exercise in a session without a study: its rows could not be trained."""
    if name != "EXERCISE" or collector.config.pluginmanager.has_plugin(_PLUGIN):
        return
    exercise = getattr(sys.modules.get("harness.exercise"), "Exercise", None)
    if exercise is not None and isinstance(obj, exercise):
        raise collector.CollectError(
            f"{collector.path.name} has an exercise, and {collector.path.parent} is no study: "
            "its conftest.py takes STUDY = Study(...)"
        )
