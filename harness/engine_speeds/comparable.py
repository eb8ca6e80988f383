"""Whether several rows ran on the same engine and device, so that their times can be compared."""

from __future__ import annotations

from collections.abc import Mapping

NOT_COMPARABLE = "Times are not comparable"
"""Begins the sentence on rows whose times are not comparable."""


def unlike(engines: Mapping[str, str]) -> str | None:
    """Returns a sentence that says which rows used which engine; None if all used the same one.

    `engines` has each row's engine, with its device, by the row's name.
    """
    by_engine: dict[str, list[str]] = {}
    for row, engine in engines.items():
        by_engine.setdefault(engine, []).append(row)
    if len(by_engine) < 2:
        return None
    most, *others = sorted(by_engine, key=lambda engine: -len(by_engine[engine]))
    # Rows' names may contain commas.
    between = "; " if any("," in row for row in engines) else ", "
    listed = "; ".join(f"{between.join(by_engine[engine])} used {engine}" for engine in others)
    return f"{NOT_COMPARABLE}: {listed}; all other rows used {most}."
