"""The packages that a node needs, for Ray to install where they are missing."""

from __future__ import annotations

import re
import tomllib

from model.environment import version

from ..paths import ROOT
from .task import public


def pinned_packages() -> list[str]:
    """Returns the project's packages in the versions that are installed here, without their builds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=\[; ]", each, maxsplit=1)[0] for each in project["dependencies"]]
    return [f"{name}=={public(found)}" for name in names if (found := version(name))]
