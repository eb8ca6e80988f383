"""What the suite needs of pytest itself, checked before anything else."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    _check_plugins(config)
    _check_root(config)


def _check_plugins(config: pytest.Config) -> None:
    """Without these there is nothing to time with, or nowhere to say what came out."""
    for name in ("benchmark", "terminal", "capture"):
        if not config.pluginmanager.hasplugin(name):
            raise pytest.UsageError(
                f"this suite needs pytest's plugin {name!r}, which is not loaded: not installed, "
                "or disabled by -p no:... or PYTEST_DISABLE_PLUGIN_AUTOLOAD"
            )


def _check_root(config: pytest.Config) -> None:
    """`--rootdir` and `-c` may lead elsewhere, where no exercise would be found to make tables of."""
    (root,) = {
        Path(str(plugin.__file__)).parent
        for plugin in config.pluginmanager.get_plugins()
        if "harness.plugin" in getattr(plugin, "pytest_plugins", ())
    } or {config.rootpath}
    if config.rootpath != root or config.inipath != root / "pytest.ini":
        raise pytest.UsageError(
            f"pytest's root is {config.rootpath} and its settings are in {config.inipath}; this suite "
            f"takes {root} and its pytest.ini, and no --rootdir or -c"
        )
