"""The passages of the README and of docs/ that quote published runs.

A passage stands between `<!-- KIND: NAME -->` (or `<!-- KIND MODULE: NAME -->` for one exercise) and
`<!-- end -->`; `rewrite` renders it from the files of the published run NAME.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from model.values import one_line

from ..paths import ROOT
from .quotes import OF_A_RUN, OF_AN_EXERCISE

_END = "<!-- end -->"
CHAOS = "chaos"  # docs/failures.md's table of faults, which tests/chaos/table.py writes
_COMMENT = re.compile(r"<!--(?P<text>.*?)-->", re.DOTALL)
_MARK = re.compile(r" (?P<kind>[a-z]+)(?: (?P<module>test_\w+))?: (?P<name>\w[\w.-]*) ")
# Matches any kind, so that an unknown one is reported.
_LIKE_A_MARK = re.compile(r"\s*[\w-]+\s*(?:\d+|test_\w+)?\s*:\s*\S+\s*")


class PassageError(ValueError):
    """A document's passages cannot be rendered; the message gives the line number and the reason."""


@dataclass(frozen=True)
class Passage:
    """A passage of a text: its position, and the fields of its opening mark."""

    kind: str
    module: str | None
    """The name of the exercise's module, without its suffix."""
    name: str
    line: int
    start: int
    """Where the text between the marks begins."""
    end: int

    def __str__(self) -> str:
        module = "" if self.module is None else f" {self.module}"
        return f"{self.kind}{module}: {self.name}" if self.name else self.kind


def find(text: str) -> list[Passage]:
    """Returns the passages of `text`. Raises PassageError if a mark is invalid or unpaired."""
    passages: list[Passage] = []
    opened: Passage | None = None
    last = 0
    for comment in _COMMENT.finditer(text):
        line = text.count("\n", 0, comment.start()) + 1
        written = one_line(comment[0])
        if comment[0] == _END:
            if opened is None:
                raise PassageError(f"line {line}: {_END} has no opening mark before it")
            passages.append(replace(opened, end=comment.start()))
            opened = None
        elif (mark := _mark(comment["text"], line, written)) is not None:
            if opened is not None:
                raise PassageError(
                    f"line {opened.line}: the passage '{opened}' has no {_END} "
                    f"before the next mark, on line {line}"
                )
            opened = replace(mark, start=comment.end())
        last = comment.end()
    if opened is not None:
        raise PassageError(f"line {opened.line}: the passage '{opened}' has no {_END}")
    if (unclosed := text.find("<!--", last)) >= 0:
        line = text.count("\n", 0, unclosed) + 1
        raise PassageError(f"line {line}: a comment begins with <!-- but does not end with -->")
    return passages


def _mark(text: str, line: int, written: str) -> Passage | None:
    """Returns the passage that a comment opens, or None if it is an ordinary comment."""
    if text == f" {CHAOS} ":
        return Passage(CHAOS, None, "", line, 0, 0)
    found = _MARK.fullmatch(text)
    if found is None:
        words = re.findall(r"[^\s:]+", text.lower()) or [""]
        known = words[0] in (CHAOS, "end", *OF_A_RUN, *OF_AN_EXERCISE)
        # An ordinary comment may begin with such a word.
        if not (known and len(words) <= 3) and not _LIKE_A_MARK.fullmatch(text):
            return None
        raise PassageError(
            f"line {line}: {written} is not a valid mark; expected <!-- KIND: NAME -->, "
            f"<!-- KIND MODULE: NAME --> or {_END}"
        )
    kind, module = found["kind"], found["module"]
    if kind not in (*OF_A_RUN, *OF_AN_EXERCISE):
        raise PassageError(
            f"line {line}: {written} has the kind {kind!r}; "
            f"expected {', '.join([*OF_A_RUN, *OF_AN_EXERCISE])}"
        )
    if kind in OF_AN_EXERCISE and module is None:
        raise PassageError(
            f"line {line}: {written} lacks an exercise's module; expected <!-- {kind} test_...: NAME -->"
        )
    if kind in OF_A_RUN and module is not None:
        raise PassageError(f"line {line}: {written} has a module; expected <!-- {kind}: NAME -->")
    return Passage(kind, module, found["name"], line, 0, 0)


def rewrite(text: str, folder_of: Callable[[str], Path]) -> str:
    """Returns `text` with its passages rendered from the published runs.

    `folder_of` returns the folder of the published run with a given name.
    Raises PassageError if a mark is invalid, or a run lacks what a passage quotes.
    """
    new_line = "\r\n" if "\r\n" in text else "\n"
    parts, after = [], 0
    for passage in find(text):
        if passage.kind == CHAOS:
            continue
        try:
            body = _body(passage, folder_of)
        except (LookupError, OSError, ValueError, ArithmeticError) as error:
            why = f"cannot be rendered: {type(error).__name__}: {error}"
            if type(error) is LookupError:  # raised by `_body`
                why = str(error)
            raise PassageError(f"line {passage.line}: the passage '{passage}' {one_line(why)}") from None
        parts += [text[after : passage.start], f"\n\n{body}\n\n".replace("\n", new_line)]
        after = passage.end
    return "".join([*parts, text[after:]])


def _body(passage: Passage, folder_of: Callable[[str], Path]) -> str:
    """Returns the text between the marks. Raises LookupError with the end of a sentence: "needs ..."."""
    folder = folder_of(passage.name)
    if not folder.is_dir():
        raise LookupError(f"names {passage.name}, but no published run has that name")
    if passage.module is None:
        body = OF_A_RUN[passage.kind](folder)
    else:
        body = OF_AN_EXERCISE[passage.kind](folder, passage.module)
    if "<!--" in body:
        raise LookupError(f"would quote a comment from {passage.name}, which could be taken for a mark")
    return body


def rewrite_document(document: Path, folder_of: Callable[[str], Path]) -> str:
    """Returns the text of a document with its passages rendered.

    Raises PassageError, whose message begins with the document's name.
    """
    name = document.relative_to(ROOT) if document.is_relative_to(ROOT) else document
    try:
        text = document.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PassageError(f"{name} cannot be read: {error}") from None
    try:
        return rewrite(text, folder_of)
    except PassageError as error:
        raise PassageError(f"{name}, {error}") from None
