"""The tables and claims of a session in the summary of GitHub's job."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from ..compare.github import tell_github
from ..session_settings import SETTINGS

_MOST = 1024 * 1024  # bytes; GitHub refuses a longer summary of a step


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Appends `summary.md` under GitHub Actions, after the gates' result, as far as GitHub has room."""
    yield
    path = terminalreporter.config.stash[SETTINGS].report_dir / "summary.md"
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target or not path.is_file():
        return
    try:
        tell_github(_fitting(path.read_text(encoding="utf-8"), Path(target)), ())
    except OSError as error:
        terminalreporter.write_line(f"GitHub's job summary cannot be written: {error}", red=True)


def _fitting(text: str, target: Path) -> str:
    """Returns the text, cut after a paragraph if it does not fit into the summary."""
    left = _MOST - (target.stat().st_size if target.exists() else 0) - 200
    if len(text.encode()) <= left:
        return text + "\n"
    paragraphs: list[str] = []
    for paragraph in text.split("\n\n"):
        left -= len(paragraph.encode()) + 2
        if left < 0:
            break
        paragraphs.append(paragraph)
    return "\n\n".join([*paragraphs, "The rest is in summary.md of the report folder.", ""])
