"""The exercises of a session: those whose modules have at least one selected test."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import pytest

from ..exercise import Exercise, slug


def exercises_of(session: pytest.Session, ids: Iterable[str]) -> dict[str, ModuleType]:
    """Returns the modules of the node ids `ids` that have an `EXERCISE`, by their path in node ids.

    Raises pytest.UsageError if two of their files have the same name, which their figures are named by.
    """
    # With xdist, only the workers have imported them.
    here = {item.nodeid.partition("::")[0]: getattr(item, "module", None) for item in session.items}
    paths = dict.fromkeys(each.partition("::")[0] for each in ids)
    modules = {path: here[path] if path in here else _imported(session, path) for path in paths}
    found = {
        path: module
        for path, module in modules.items()
        if module is not None and isinstance(getattr(module, "EXERCISE", None), Exercise)
    }
    by_name: dict[str, str] = {}
    for path in found:
        if (other := by_name.setdefault(slug(path), path)) != path:
            raise pytest.UsageError(
                f"{other} and {path} have the same name, by which exercises are identified; rename one"
            )
    return dict(sorted(found.items()))


def _imported(session: pytest.Session, path: str) -> ModuleType | None:
    """Returns the module, imported as by pytest; None for others, such as a text file with doctests."""
    if not path.endswith(".py"):
        return None
    module = pytest.Module.from_parent(session, path=session.config.rootpath / path)
    return module.obj if isinstance(module.obj, ModuleType) else None
