"""The exercises' stories: what each found and why, told by its own function from its results."""

from __future__ import annotations

from collections.abc import Mapping

from model.values import one_line, printable

from ..exercise import Exercise, Results

_MOST = 1000  # characters


def told(exercises: Mapping[str, tuple[Exercise, Results]]) -> tuple[dict[str, str], list[str]]:
    """Returns the stories by module, and a line for each that could not be told.

    `exercises` are the exercises with their results, by module.
    """
    stories, errors = {}, []
    for module, (exercise, results) in exercises.items():
        if exercise.story is None:
            continue
        try:
            stories[module] = _checked(exercise.story(results))
        except Exception as error:  # from an exercise's code: only its story is lost
            errors.append(one_line(f"{module}: story cannot be told: {type(error).__name__}: {error}"))
    return stories, errors


def _checked(story: object) -> str:
    printable("it", story)
    assert isinstance(story, str)
    if len(story) > _MOST:
        raise ValueError(f"it has {len(story)} characters; expected at most {_MOST}")
    return story
