"""`figures.json`: the figures that a study's exercises drew themselves, written as a session ends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from .types import Model, Text

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class OwnFigure(Model):
    """A figure; see `harness.report.figures.figure.Figure`."""

    module: Text
    """The module of its exercise, as in node ids."""
    name: Name
    title: Text
    notes: Text
    variants: Annotated[dict[Text, dict[str, JsonValue]], Field(min_length=1, max_length=20)]
    data: dict[Text, list[dict[str, JsonValue]]]


class OwnFigures(Model):
    """`figures.json`."""

    figures: Annotated[list[OwnFigure], Field(max_length=1000)]
