"""The result of all gates, for the terminal, `gate.json`, and GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import atomic_json
from ..compare.github import Level
from ..wording import counted, first_few

ACCEPT = (
    "If the change is intended, accept it as the new baseline: run again without the gate options and "
    "with --benchmark-save=accepted. Earlier saved runs are then ignored for the rows of that run."
)
_MOST_LINES = 5  # failures listed when the gate is reported as a failed test

Colour = Literal["red", "yellow", "green", ""]


@dataclass(frozen=True)
class Finding:
    """A gate's finding about a row, or about the run if `case` is None."""

    gate: str
    """The gate's option."""
    case: str | None
    verdict: str
    """One of: slower, learns worse, missing, not compared, underpowered, not slower, ..."""
    text: str
    """The explanation, without the row's name."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    takes: str = ""
    """If it is underpowered: what would have been detected, or what detecting it needs."""

    @property
    def line(self) -> str:
        return f"{self.case}: {self.text}" if self.case else self.text


@dataclass(frozen=True)
class GateResult:
    """The findings of all gates of a run."""

    failures: list[Finding]
    underpowered: list[Finding]
    """The inconclusive rows; they fail the run only if it is `strict`."""
    passed: list[Finding]
    notes: list[str]
    """Which runs were compared, and what was left out."""
    strict: bool
    """Whether inconclusive rows fail the run."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """By name, the software whose version differs from the saved runs': this run's, and theirs."""

    @property
    def holds(self) -> bool:
        return not self.failures and not (self.strict and self.underpowered)

    @property
    def inconclusive(self) -> bool:
        """Whether nothing failed but some rows are inconclusive, so this run is not yet a baseline."""
        return self.holds and bool(self.underpowered)

    @property
    def title(self) -> str:
        if self.holds:
            return "gate: inconclusive" if self.inconclusive else "gate: passed"
        return "gate: failed" if self.failures else "gate: failed (inconclusive)"

    @property
    def colour(self) -> Colour:
        """The title's colour."""
        return ("yellow" if self.inconclusive else "green") if self.holds else "red"

    def require_decided(self, gate: str, compared: int, undecided: int, against: str) -> None:
        """Adds a failure if `gate` compared rows but could not decide any of them."""
        if 0 < compared <= undecided:
            what = f"{counted(compared, 'row')} compared with {against}"
            text = f"no row could be decided: {what}, all inconclusive"
            self.failures.append(Finding(gate, None, "inconclusive", text))

    def why_failed(self) -> str:
        """Returns the first lines that say what failed, and how many more there are."""
        failed = [text for text, colour in self.lines() if colour == "red"]
        rest = [f"and {len(failed) - _MOST_LINES} more"] if len(failed) > _MOST_LINES else []
        return "\n".join([*failed[:_MOST_LINES], *rest])

    def lines(self) -> Iterator[tuple[str, Colour]]:
        """Yields the lines of the terminal's block, each with its colour."""
        # Several gates may report the same failure.
        for line in dict.fromkeys(finding.line for finding in self.failures):
            yield line, "red"
        for text, cases in self._grouped():
            yield f"inconclusive: {text}: {cases}", "red" if self.strict else "yellow"
        for note in dict.fromkeys(self.notes):
            yield note, ""
        if any(finding.case or finding.verdict == "slower" for finding in self.failures):
            yield ACCEPT, ""

    def _grouped(self) -> Iterator[tuple[str, str]]:
        """Yields each reason for which rows are inconclusive, with these rows."""
        by_text: dict[str, list[str]] = {}
        for finding in self.underpowered:
            takes = f" ({finding.takes})" if finding.takes else ""
            name = finding.case or "all rows together"
            by_text.setdefault(finding.text, []).append(f"{name}{takes}")
        for text, cases in by_text.items():
            yield text, first_few(cases)

    def write(self, folder: Path) -> None:
        """Writes `gate.json`."""
        findings = {
            name: [asdict(finding) for finding in getattr(self, name)]
            for name in ("failures", "underpowered", "passed")
        }
        content = {
            "holds": self.holds,
            "inconclusive": self.inconclusive,
            **findings,
            "notes": [*dict.fromkeys(self.notes)],
            "versions": self.versions,
        }
        atomic_json.write_json(folder / "gate.json", content)

    def annotations(self) -> Iterator[tuple[Level, str, str]]:
        """Yields GitHub's annotations: a level, title and message for each failure or reason."""
        yield from dict.fromkeys(("error", finding.verdict, finding.line) for finding in self.failures)
        for text, cases in self._grouped():
            yield "error" if self.strict else "warning", "inconclusive", f"{text}: {cases}"

    def markdown(self) -> str:
        """Returns the block as Markdown, for GitHub's job summary."""
        lines = [f"## {self.title[0].upper()}{self.title[1:]}", ""]
        if self.failures:
            lines += ["| row | verdict | details |", "| --- | --- | --- |"]
            lines += dict.fromkeys(
                f"| {_cell(finding.case or 'all rows')} | {finding.verdict} | {_cell(finding.text)} |"
                for finding in self.failures
            )
            lines.append("")
        failed = {finding.line for finding in self.failures}
        others = [(line, colour) for line, colour in self.lines() if line not in failed]
        lines += [f"- {_cell(line)}" for line, _ in others]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
