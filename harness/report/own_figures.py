"""Figures that an exercise draws itself at the end of the session, kept in a file.

The page is drawn from files alone. These may come from anywhere, so none of them names code to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from altair.utils.schemapi import debug_mode
from pydantic import ValidationError

from model.values import one_line, shown

from ..exercise import Exercise, Results, slug
from ..files import sealed
from ..files.drawn_figures import OwnFigure
from .figures.figure import Figure


def drawn(exercises: Mapping[str, tuple[Exercise, Results]]) -> tuple[dict[str, Any], list[str]]:
    """Returns the content of `figures.json`, and a line for each figure that could not be drawn.

    `exercises` are the exercises with their results, by module.
    """
    figures, errors = [], []
    for module, (exercise, results) in exercises.items():
        for name, draw in exercise.figures.items():
            try:
                if (figure := _draw(module, name, draw, results)) is not None:
                    figures.append(figure)
            except Exception as error:  # from an exercise's code: only its figure is lost
                reason = f"{type(error).__name__}: {one_line(error)}"
                errors.append(one_line(f"{module}: figures[{name!r}] cannot be drawn: {reason}"))
    return {"figures": figures}, errors


def _draw(module: str, name: str, draw: Any, results: Results) -> dict[str, Any] | None:
    with debug_mode(False):  # as in `figures`
        figure = draw(results)
    if figure is None:
        return None
    if not isinstance(figure, Figure):
        raise ValueError(f"it returns {shown(figure)}; expected a Figure or None")
    content = {
        "module": module,
        "name": f"{slug(module)}-{name}",
        "title": figure.title,
        "notes": figure.notes,
        "variants": figure.variants,
        "data": figure.data,
    }
    try:
        OwnFigure.model_validate(content)
    except ValidationError as error:
        raise ValueError(sealed.why(error)) from None
    return content
