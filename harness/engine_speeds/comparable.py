"""Whether several rows ran on the same engine and device, so that their times can be compared."""

from __future__ import annotations

from collections.abc import Mapping


def unlike(engines: Mapping[str, str]) -> str | None:
    """Which rows ran on which engine, in a sentence; None if all ran on the same one.

    `engines` has the engine, with its device, of each row by the row's name.
    """
    by_engine: dict[str, list[str]] = {}
    for row, engine in engines.items():
        by_engine.setdefault(engine, []).append(row)
    if len(by_engine) < 2:
        return None
    most, *others = sorted(by_engine, key=lambda engine: -len(by_engine[engine]))
    listed = ", ".join(f"{', '.join(by_engine[engine])} by {engine}" for engine in others)
    return f"Times are not comparable: {listed}, all other rows by {most}."
