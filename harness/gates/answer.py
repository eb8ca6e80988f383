"""What the gates found, said once: in the terminal, in `gate.json`, and to GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import atomic_json

ACCEPT = (
    "If this is meant to be so, accept it: run again without the gates and with "
    "--benchmark-save=accepted. Runs saved before that one no longer count."
)


Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """What a gate says of a row, or of the run where `case` is None."""

    gate: str
    """The option that asked."""
    case: str | None
    verdict: str
    """In a word: slower, fell, underpowered, passed, ..."""
    text: str
    """In a sentence, without the row's name."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    takes: str = ""
    """Where it is underpowered: what could have been seen, or what it takes."""

    @property
    def line(self) -> str:
        return f"{self.case}: {self.text}" if self.case else self.text


@dataclass(frozen=True)
class Answer:
    """What all gates of a run found."""

    failures: list[Finding]
    underpowered: list[Finding]
    """What they could not have seen; it fails the run only where an option asks for that."""
    passed: list[Finding]
    notes: list[str]
    """What was compared with what, and what was left out."""
    strict: bool
    """Whether to fail where a gate is underpowered."""

    @property
    def holds(self) -> bool:
        return not self.failures and not (self.strict and self.underpowered)

    @property
    def title(self) -> str:
        if self.holds:
            return "gate: passed"
        return "gate: failed" if self.failures else "gate: failed, as it could not tell"

    def lines(self) -> Iterator[tuple[str, Literal["red", "yellow", ""]]]:
        """The block that the terminal shows, each line with its colour."""
        for finding in self.failures:
            yield finding.line, "red"
        for text, cases in self._grouped():
            yield f"underpowered: {text}: {cases}", "red" if self.strict else "yellow"
        for note in self.notes:
            yield note, ""
        if any(finding.case or finding.verdict == "slower" for finding in self.failures):
            yield ACCEPT, ""

    def _grouped(self) -> Iterator[tuple[str, str]]:
        """What is underpowered for the same reason, in one line."""
        by_text: dict[str, list[str]] = {}
        for finding in self.underpowered:
            takes = f" ({finding.takes})" if finding.takes else ""
            by_text.setdefault(finding.text, []).append(f"{finding.case or 'the run'}{takes}")
        for text, cases in by_text.items():
            yield text, listed(cases)

    def write(self, folder: Path) -> None:
        """Writes `gate.json`."""
        findings = {
            name: [asdict(finding) for finding in getattr(self, name)]
            for name in ("failures", "underpowered", "passed")
        }
        atomic_json.write(folder / "gate.json", {"holds": self.holds, **findings, "notes": self.notes})

    def annotations(self) -> Iterator[tuple[Level, str, str]]:
        """For GitHub: each failure, and what could not be told."""
        for finding in self.failures:
            yield "error", finding.verdict, finding.line
        for text, cases in self._grouped():
            yield "error" if self.strict else "warning", "underpowered", f"{text}: {cases}"

    def markdown(self) -> str:
        """The same for a job's summary on GitHub."""
        lines = [f"## {self.title[0].upper()}{self.title[1:]}", ""]
        if self.failures:
            lines += ["| row | verdict | |", "| --- | --- | --- |"]
            lines += [
                f"| {_cell(finding.case or 'all')} | {finding.verdict} | {_cell(finding.text)} |"
                for finding in self.failures
            ]
            lines.append("")
        others = [*self.lines()][len(self.failures) :]
        lines += [f"- {_cell(line)}" for line, _ in others]
        return "\n".join(lines) + "\n"


def tell_github(
    markdown: str,
    annotations: Iterable[tuple[Level, str, str]],
    write_line: Callable[[str], None] = print,
) -> None:
    """Where GitHub Actions runs this, adds to the job's summary and writes annotations.

    These are levels, titles and messages.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(markdown)
    for level, title, message in annotations:
        for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):  # as GitHub's docs say
            message = message.replace(character, code)
        write_line(f"::{level} title=Minibatch bench, {title}::{message}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def rows(count: int) -> str:
    """So many rows, in words."""
    return "1 row" if count == 1 else f"{count} rows"


def listed(cases: Iterable[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    names = list(cases)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
