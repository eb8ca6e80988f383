"""What the gates found, said once: in the terminal, in `gate.json`, and to GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import atomic_json
from ..compare.github import Level
from ..wording import count_rows, first_few

ACCEPT = (
    "If the change is intended, accept it: run again without the gates and with "
    "--benchmark-save=accepted. For the rows of that run, runs saved earlier no longer count."
)
_MOST_LINES = 5  # of what failed, in the report of the gate as a test


Colour = Literal["red", "yellow", "green", ""]


@dataclass(frozen=True)
class Finding:
    """What a gate says of a row, or of the run where `case` is None."""

    gate: str
    """The option that asked."""
    case: str | None
    verdict: str
    """In a word: slower, learns worse, missing, not compared, underpowered, not slower, ..."""
    text: str
    """In a sentence, without the row's name."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    takes: str = ""
    """Where it is underpowered: what could have been seen, or what it takes."""

    @property
    def line(self) -> str:
        return f"{self.case}: {self.text}" if self.case else self.text


@dataclass(frozen=True)
class GateResult:
    """What all gates of a run found."""

    failures: list[Finding]
    underpowered: list[Finding]
    """What they could not have seen; it fails the run only where an option asks for that."""
    passed: list[Finding]
    notes: list[str]
    """What was compared with what, and what was left out."""
    strict: bool
    """Whether to fail where a gate is underpowered."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Where saved runs ran with other software: this run's version, and theirs, by name."""

    @property
    def holds(self) -> bool:
        return not self.failures and not (self.strict and self.underpowered)

    @property
    def inconclusive(self) -> bool:
        """Whether nothing failed, but some rows could not be decided: this run is no baseline yet."""
        return self.holds and bool(self.underpowered)

    @property
    def title(self) -> str:
        if self.holds:
            return "gate: inconclusive" if self.inconclusive else "gate: passed"
        return "gate: failed" if self.failures else "gate: failed (inconclusive)"

    @property
    def colour(self) -> Colour:
        """Of the title."""
        return ("yellow" if self.inconclusive else "green") if self.holds else "red"

    def require_decided(self, gate: str, compared: int, undecided: int, against: str) -> None:
        """Adds a failure if `gate` compared rows, and could decide none of them."""
        if 0 < compared <= undecided:
            what = f"{count_rows(compared)} compared with {against}"
            text = f"no row could be decided: {what}, all inconclusive"
            self.failures.append(Finding(gate, None, "inconclusive", text))

    def why_failed(self) -> str:
        """The lines that say what failed: the first of them, and how many more there are."""
        failed = [text for text, colour in self.lines() if colour == "red"]
        rest = [f"and {len(failed) - _MOST_LINES} more"] if len(failed) > _MOST_LINES else []
        return "\n".join([*failed[:_MOST_LINES], *rest])

    def lines(self) -> Iterator[tuple[str, Colour]]:
        """The block that the terminal shows, each line with its colour."""
        for line in dict.fromkeys(finding.line for finding in self.failures):  # of several gates
            yield line, "red"
        for text, cases in self._grouped():
            yield f"inconclusive: {text}: {cases}", "red" if self.strict else "yellow"
        for note in dict.fromkeys(self.notes):
            yield note, ""
        if any(finding.case or finding.verdict == "slower" for finding in self.failures):
            yield ACCEPT, ""

    def _grouped(self) -> Iterator[tuple[str, str]]:
        """What could not be decided for the same reason, in one line."""
        by_text: dict[str, list[str]] = {}
        for finding in self.underpowered:
            takes = f" ({finding.takes})" if finding.takes else ""
            by_text.setdefault(finding.text, []).append(f"{finding.case or 'the run'}{takes}")
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
        """For GitHub: each failure, and what could not be decided."""
        yield from dict.fromkeys(("error", finding.verdict, finding.line) for finding in self.failures)
        for text, cases in self._grouped():
            yield "error" if self.strict else "warning", "inconclusive", f"{text}: {cases}"

    def markdown(self) -> str:
        """The same for a job's summary on GitHub."""
        lines = [f"## {self.title[0].upper()}{self.title[1:]}", ""]
        if self.failures:
            lines += ["| row | verdict | |", "| --- | --- | --- |"]
            lines += dict.fromkeys(
                f"| {_cell(finding.case or 'all')} | {finding.verdict} | {_cell(finding.text)} |"
                for finding in self.failures
            )
            lines.append("")
        failed = {finding.line for finding in self.failures}
        others = [(line, colour) for line, colour in self.lines() if line not in failed]
        lines += [f"- {_cell(line)}" for line, _ in others]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
