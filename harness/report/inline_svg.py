"""Figures as SVG inside the page."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MOST = 1_300_000  # characters of all drawings in a page, which shall have at most 2 MB
_NOISE = re.compile(
    # What carries only meaning for screen readers, to whom the page gives a name and a table instead,
    r' (?:aria-[a-z]+|role|pointer-events|version|xmlns(?::xlink)?|stroke-miterlimit)="[^"]*"'
    # and what is not seen.
    r'|<path class="background"[^>]* d="M0,0h0v0h0Z"[^>]*/>'
    r'|<path class="(?:back|fore)ground"[^>]*(?:display="none"|d="")[^>]*/>'
)
_CANVAS = re.compile(r'(<svg [^>]*>)<rect [^>]*fill="white"/>')
_POSITIONS = re.compile(r' (?:d|transform)="[^"]*"')
_DECIMALS = re.compile(r"-?\d+\.\d{2,}")


def inline_svg(svg: str, name: str) -> str:
    """Returns the drawing without its white ground, shorter, and with ids that no other figure has."""
    svg = _NOISE.sub("", _CANVAS.sub(r"\1", svg, count=1))
    svg = re.sub(r' id="', f' id="{name}.', svg)
    svg = re.sub(r"url\(#", f"url(#{name}.", svg)
    svg = re.sub(r'href="#', f'href="#{name}.', svg)
    return _POSITIONS.sub(lambda found: _DECIMALS.sub(_rounded, found[0]), svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def that_fit(svgs: Mapping[str, str], most: int = _MOST) -> dict[str, str]:
    """Returns the drawings but the longest ones, with at most `most` characters in total."""
    kept, total = {}, 0
    for name in sorted(svgs, key=lambda name: len(svgs[name])):
        total += len(svgs[name])
        if total <= most:
            kept[name] = svgs[name]
    return kept
