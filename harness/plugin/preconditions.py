"""What the suite needs of pytest itself, checked before anything else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    import resource

_OPEN_FILES = 64
_PLUGINS = {
    "benchmark": "pytest_benchmark.plugin",
    "terminal": "_pytest.terminal",
    "capture": "_pytest.capture",
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    _check_open_files()
    _check_plugins(config)
    _check_root(config)
    _check_names(config)


def _check_open_files() -> None:
    """PyTorch, pytest and its workers have some thirty open; one that cannot be opened could be any."""
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if 0 <= limit < _OPEN_FILES:
            raise pytest.UsageError(f"`ulimit -n` is {limit}; this suite takes {_OPEN_FILES} at least")


def _check_plugins(config: pytest.Config) -> None:
    """Without these there is nothing to time with, or nowhere to say what came out."""
    # By their modules: a plugin's name depends on how it was loaded.
    loaded = {getattr(plugin, "__name__", None) for plugin in config.pluginmanager.get_plugins()}
    for name, module in _PLUGINS.items():
        if module not in loaded:
            raise pytest.UsageError(
                f"this suite needs pytest's plugin {name!r} ({module}), which is not loaded: not "
                "installed, or disabled by -p no:... or PYTEST_DISABLE_PLUGIN_AUTOLOAD"
            )


def _check_root(config: pytest.Config) -> None:
    """`--rootdir` and `-c` may lead elsewhere, and so may a path of another checkout."""
    roots = {
        Path(str(plugin.__file__)).parent
        for plugin in config.pluginmanager.get_plugins()
        if "harness.plugin" in getattr(plugin, "pytest_plugins", ())
    } or {config.rootpath}
    if len(roots) > 1:
        named = " and ".join(map(str, sorted(roots)))
        raise pytest.UsageError(
            f"the arguments are paths of {named}; a session is of one checkout (an option's value that "
            "is a path takes a =, as in --data-root=PATH)"
        )
    (root,) = roots
    if config.rootpath != root or config.inipath != root / "pytest.ini":
        raise pytest.UsageError(
            f"pytest's root is {config.rootpath} and its settings are in {config.inipath}; this suite "
            f"takes {root} and its pytest.ini, and no --rootdir or -c"
        )


def _check_names(config: pytest.Config) -> None:
    """pytest-xdist sends its workers what they are called with and where they import from, as UTF-8."""
    if config.getoption("dist", "no") != "no":
        for name in (*map(str, config.invocation_params.args), *sys.argv, *sys.path, os.getcwd()):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise pytest.UsageError(
                    f"{name!a} is not UTF-8, and pytest-xdist cannot send it to its workers; "
                    "without -n it can be used"
                ) from None
