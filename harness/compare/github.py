"""Annotations and job summaries for GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

Level = Literal["error", "warning"]


def tell_github(
    markdown: str,
    annotations: Iterable[tuple[Level, str, str]],
    write_line: Callable[[str], None] = print,
) -> None:
    """Under GitHub Actions, appends `markdown` to the job's summary and writes the annotations.

    An annotation is a level, a title and a message.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(markdown)
    for level, title, message in annotations:
        properties = _escaped(f"Minibatch bench, {title}", _IN_PROPERTIES)
        write_line(f"::{level} title={properties}::{_escaped(message, _IN_MESSAGES)}")


# As GitHub's own @actions/core escapes them; a comma in a property would start the next property.
_IN_MESSAGES = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTIES = {**_IN_MESSAGES, **str.maketrans({":": "%3A", ",": "%2C"})}


def _escaped(text: str, codes: Mapping[int, str]) -> str:
    return text.translate(codes)
