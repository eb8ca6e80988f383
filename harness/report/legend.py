"""The lines that a reader can hide in a figure, and how they look, as its specs draw them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .figures import Figure


class LegendEntry(NamedTuple):
    """A line's name, its colour, and its dash as SVG's `stroke-dasharray`."""

    line: str
    colour: str
    dash: str


def shown_lines(figure: Figure) -> list[str]:
    """Returns the lines in the figure's selection `shown`; empty for a figure without one."""
    for part in _parts(next(iter(figure.variants.values()))):
        if part.get("name") == "shown" and isinstance(value := part.get("value"), list):
            return [str(each["line"]) for each in value if isinstance(each, dict) and "line" in each]
    return []


def legend_of(figure: Figure) -> list[LegendEntry]:
    """Returns the lines in the figure's selection `shown` with their looks."""
    parts = [*_parts(next(iter(figure.variants.values())))]
    colours = _ranges(parts, "color")
    dashes = {line: dash for part in parts for line, dash in _dashed(part)} | _ranges(
        parts, "strokeDash"
    )
    return [
        LegendEntry(
            line,
            str(colours.get(line, "currentColor")),
            " ".join(map(str, dash)) if isinstance(dash := dashes.get(line), list) else "",
        )
        for line in shown_lines(figure)
    ]


def _parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Yields every object in the spec."""
    if isinstance(spec, dict):
        yield spec
        spec = list(spec.values())
    if isinstance(spec, list):
        for each in spec:
            yield from _parts(each)


def _ranges(parts: list[dict[str, Any]], channel: str) -> dict[str, Any]:
    """Returns the values of the channel, by line, as far as scales list them."""
    found: dict[str, Any] = {}
    for part in parts:
        encoding = part.get(channel)
        scale = encoding.get("scale") if isinstance(encoding, dict) else None
        if isinstance(encoding, dict) and isinstance(scale, dict) and encoding.get("field") == "line":
            found |= zip(scale.get("domain") or [], scale.get("range") or [], strict=False)
    return found


def _dashed(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the lines of a layer whose mark is dashed, with the dash."""
    mark, transforms = part.get("mark"), part.get("transform")
    if isinstance(mark, dict) and "strokeDash" in mark and isinstance(transforms, list):
        for each in transforms:
            chosen = each.get("filter") if isinstance(each, dict) else None
            if isinstance(chosen, dict) and chosen.get("field") == "line":
                yield from ((line, mark["strokeDash"]) for line in chosen.get("oneOf", []))
