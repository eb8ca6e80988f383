"""A folder of web pages: those of studies' published runs, and an index. It needs no server's help."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from ..files.summary import Summary
from ..paths import PAGE
from ..study import StudyFolder
from .build import build
from .load import load_run
from .seed_counts import seeds_each
from .tables import found_verdicts

_TEMPLATES = Path(__file__).parent / "template"


def build_site(studies: Sequence[StudyFolder], folder: Path) -> list[Path]:
    """Draws the pages of the studies' published runs in `folder`, and returns all pages, index first.

    A study's pages are in a folder named after its own. The published runs stay as they are. Raises
    ReportError if one cannot be read, and ValueError if there is none or two studies have one name.
    """
    if len({study.path.name for study in studies}) < len(studies):
        raise ValueError("two studies have folders of the same name; expected different ones")
    pages: list[Path] = []
    shown: list[dict[str, Any]] = []
    for study in studies:
        runs = [path.parent for path in sorted(study.published.glob("*/summary.json"))]
        links = []
        for run in runs:
            page = folder / study.path.name / f"{run.name}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            _draw(run, page)
            pages.append(page)
            summary = load_run(run).summary
            link = page.relative_to(folder).as_posix()
            links.append({"name": run.name, "link": link, "words": _in_words(summary)})
        if links:
            shown.append({"title": study.study.title, "about": study.study.about, "runs": links})
    if not pages:
        raise ValueError(f"{', '.join(str(study.path) for study in studies)}: no published run")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    index = folder / "index.html"
    index.write_text(
        environment.get_template("site.html").render(studies=shown, style=style), encoding="utf-8"
    )
    return [index, *pages]


def _draw(run: Path, page: Path) -> None:
    """Draws the page of a run, in a copy of its folder."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, run.name)
        shutil.copytree(run, copy)
        build([copy])
        shutil.move(copy / PAGE, page)


def _in_words(summary: Summary) -> str:
    parts = [
        f"scale {summary.scale}",
        seeds_each(summary.cases),
        f"on {summary.machine.device_name}, {summary.created[:10]}",
    ]
    if summary.claims:
        parts.append(found_verdicts(summary.claims))
    return ", ".join(parts)
