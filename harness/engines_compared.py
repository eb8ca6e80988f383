"""Whether the times of several rows are of one engine and device, and so tell the rows apart."""

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
    # The rows of the commonest engine go without saying.
    common, *others = sorted(by_engine, key=lambda engine: -len(by_engine[engine]))
    listed = "; ".join(f"{engine} ran {', '.join(by_engine[engine])}" for engine in others)
    return f"Times of unlike engines do not compare: {listed}; {common} ran the rest."
