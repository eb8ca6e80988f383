"""`--shard K/N`: a part of the rows and measurements, by a cut that is the same on every machine.

The cut depends on the study, the scale, the data set, the engine and the selection of tests, never on
what a machine has measured. Tests that are not rows, above all claims, stay in every shard. One that
needs a row or a measurement of another shard is skipped with the words "not in this shard"; `python -m
harness merge` decides it.

The same holds for a session whose rows another plugin divides, such as pytest-split or pytest-shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import pytest

from ..engine_speeds.nominal import nominal_seconds
from ..exercise import Exercise, case_id, module_of, row_name
from ..session_settings import KEPT_RUN, SESSION_STUDY, SETTINGS, Shard
from ..timing.session_rows import SESSION_ROWS

# The options of other plugins that divide tests among machines, and how many parts mean none.
_OTHERS = {"splits": 1, "num_shards": 1}


@dataclass(frozen=True)
class Cut:
    """The shard of each row and measurement, by their node ids."""

    shards: Mapping[str, int]
    seconds: tuple[float, ...]
    """What each shard is forecast to take, in the seconds of one core."""


_CUT = pytest.StashKey[Cut]()


def cut(costs: Mapping[str, float], count: int) -> Cut:
    """Divides what has these costs in seconds among `count` shards, about equally.

    The longest come first, each to the shard that has least. Then, as long as that helps, the longest
    shard gives one to the shortest, or exchanges two with it.
    """
    names = sorted(costs, key=lambda name: (-costs[name], name))
    seconds: list[float] = [0.0] * count
    shards: dict[str, int] = {}
    for name in names:
        least = seconds.index(min(seconds))
        seconds[least] += costs[name]
        shards[name] = least
    while True:
        longest, shortest = seconds.index(max(seconds)), seconds.index(min(seconds))
        gap = seconds[longest] - seconds[shortest]
        taken: list[list[str]] = [[], *([name] for name in names if shards[name] == shortest)]
        exchanges = [
            (abs(gap / 2 - costs[name] + sum(costs[each] for each in back)), name, back)
            for name in names
            if shards[name] == longest
            for back in taken
        ]
        best = min(exchanges, key=lambda each: each[0], default=None)
        if best is None or best[0] >= 0.49 * gap:  # it would gain nothing, up to rounding
            return Cut({name: at + 1 for name, at in shards.items()}, tuple(seconds))
        for name, at in ((best[1], shortest), *((each, longest) for each in best[2])):
            seconds[shards[name]] -= costs[name]
            seconds[at] += costs[name]
            shards[name] = at


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the rows of the other shards, in each worker alike."""
    shard = config.stash[SETTINGS].shard
    if shard is None:
        return
    found = config.stash[_CUT] = cut(_costs(config, items), shard.count)
    elsewhere = [item for item in items if found.shards.get(item.nodeid, shard.index) != shard.index]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        gone = {*elsewhere}
        items[:] = [item for item in items if item not in gone]


def _costs(config: pytest.Config, items: list[pytest.Item]) -> dict[str, float]:
    """Returns the forecast seconds of the selected rows, and of the measurements that tests ask for.

    What a measurement takes is unknown before it is made: as long as the mean row, by assumption.
    """
    settings, study = config.stash[SETTINGS], config.stash[SESSION_STUDY].study
    rows: dict[str, float] = {}
    measurements: set[str] = set()
    for item in items:
        exercise = getattr(getattr(item, "module", None), "EXERCISE", None)
        if not isinstance(exercise, Exercise):
            continue
        path = module_of(item.nodeid)
        if "measured" in getattr(item, "fixturenames", ()):
            measurements |= {f"{path}::{name}" for name in exercise.measurements}
        name = row_name(item.nodeid)
        if name in exercise.names and item.nodeid == case_id(path, name):
            row = exercise.row(name)
            try:
                experiment = study.experiment(exercise, row, settings.scale, settings.dataset)
            except ValueError:
                rows[item.nodeid] = 0.0  # the session refuses it, with the reason
            else:
                rows[item.nodeid] = nominal_seconds(experiment, settings.engine)
    return {**rows, **dict.fromkeys(measurements, fmean(rows.values()) if rows else 1.0)}


def is_divided(config: pytest.Config) -> bool:
    """Returns whether this session trains only a part of the selected rows, the others elsewhere."""
    if KEPT_RUN in config.stash:
        return False
    return config.stash[SETTINGS].shard is not None or any(
        (config.getoption(option, None) or none) > none for option, none in _OTHERS.items()
    )


def own_measurements(config: pytest.Config, module: str) -> list[str]:
    """Returns the names of the module's measurements that belong to this shard, if there are shards."""
    shard = config.stash[SETTINGS].shard
    if shard is None or _CUT not in config.stash:
        return []
    shards = config.stash[_CUT].shards
    return [
        name
        for case, index in shards.items()
        for path, _, name in [case.partition("::")]
        if path == module and index == shard.index and not name.startswith("test_training[")
    ]


def why_not_here(config: pytest.Config, case: str) -> str | None:
    """Returns why this session makes no record of a row or a measurement; None if it does."""
    is_row = "::test_training[" in case
    named = f"row {row_name(case)}" if is_row else f"measurement {case.partition('::')[2]}"
    if KEPT_RUN in config.stash:
        return f"{config.stash[KEPT_RUN].where} lack the {named}"
    if not is_divided(config):
        return None
    shard = config.stash[SETTINGS].shard
    if shard is None:  # another plugin's, which knows no measurements
        here = not is_row or case in config.stash[SESSION_ROWS].kept
        return None if here else f"not in this shard: {named}"
    at = config.stash[_CUT].shards.get(case)
    if at == shard.index:
        return None
    where = f"is in shard {Shard(at, shard.count)}" if at else "is not selected"
    return f"not in this shard: {named} {where}"


def in_this_shard(config: pytest.Config, case: str) -> bool:
    """Returns whether a report of this session lists the row, in the controlling process too."""
    return not is_divided(config) or case in config.stash[SESSION_ROWS].kept
