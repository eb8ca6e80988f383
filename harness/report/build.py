"""Draws the report of a run, a page and figures, in the run's folder."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import vl_convert

from model.values import one_line

from ..ownership import first_without
from ..paths import PAGE
from .changes import compare_runs
from .figures import Figure, figures_of, speed_figures
from .load import ReportError, Run, load_run
from .page import render_page
from .replacement import replace_all, stage


def build(folders: Sequence[Path]) -> tuple[Path, list[str]]:
    """Draws the report of the first folder, compared with the others.

    Writes `report.html` and `figures/*.svg` to the first folder. Returns the path of the page and a line
    for everything that was left out. Raises ReportError if a folder cannot be read or written.
    """
    run, *others = map(load_run, folders)
    with ThreadPoolExecutor(1) as beside:  # it takes two seconds, and the figures do not need it
        library = beside.submit(vl_convert.javascript_bundle)  # type: ignore[call-arg]  # a snippet is optional
        return _build(run, others, library)


def _build(run: Run, others: Sequence[Run], library: Future[str]) -> tuple[Path, list[str]]:
    exercises = {each.module: figures_of(run, each) for each in run.summary.exercises}
    engines = speed_figures(run)
    every = [*chain.from_iterable(exercises.values()), *engines]
    pictures = {figure.name: _picture(figure, run.left_out) for figure in every}
    # A figure that cannot be drawn here cannot be drawn on the page either.
    drawn = {
        module: [figure for figure in figures if pictures[figure.name]]
        for module, figures in exercises.items()
    }
    svgs = {figure.name: _svg(_untitled(figure)) for figure in every if pictures[figure.name]}
    comparisons = [compare_runs(run, other) for other in others]
    page = render_page(run, drawn, engines, comparisons, svgs, library.result())
    try:
        _write(run.folder, {name: svg for name, svg in pictures.items() if svg}, page)
    except OSError as error:
        raise ReportError(f"{run.folder} cannot be written: {error.strerror or error}") from None
    return run.folder / PAGE, [line for each in (run, *others) for line in each.left_out]


def _picture(figure: Figure, left_out: list[str]) -> str | None:
    """Returns the figure as SVG; if it cannot be drawn, adds a line to `left_out` and returns None."""
    try:
        return _svg(figure.standalone())
    except ValueError as error:
        left_out.append(one_line(f"the figure {figure.name} cannot be drawn: {str(error)[:200]}"))
        return None


def _untitled(figure: Figure) -> dict[str, Any]:
    """Returns the spec without title and notes, which the page shows as text."""
    return {name: part for name, part in figure.standalone().items() if name != "title"}


def _svg(spec: dict[str, Any]) -> str:
    # An address in a figure is never fetched.
    return _renumbered(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))


def _renumbered(svg: str) -> str:
    """Numbers the ids of a figure from 1, so that the same data give the same bytes.

    The library continues counting from one figure of a process to the next.
    """
    numbers: dict[str, int] = {}
    for found in re.findall(r'<[^<>]* id="([a-z]+_?\d+)"', svg):
        numbers.setdefault(found, len(numbers) + 1)

    def renumbered(tag: re.Match[str]) -> str:
        return re.sub(
            r'(id="|url\(#|href="#)([a-z]+_?)(\d+)(?=[")])',
            lambda part: f"{part[1]}{part[2]}{numbers.get(part[2] + part[3], part[3])}",
            tag[0],
        )

    return re.sub(r"<[^<>]*>", renumbered, svg)


def _write(folder: Path, pictures: Mapping[str, str], page: str) -> None:
    """Replaces the figures and the page of an earlier report, either all of them or none."""
    earlier = folder / "figures"
    if earlier.is_symlink() or (earlier.exists() and not earlier.is_dir()):
        raise ReportError(f"{earlier} is not a folder of this suite; move it away")
    if earlier.exists() and (found := first_without(".svg", earlier)):
        raise ReportError(f"{found} is not a figure of this suite; move it away")
    if (folder / PAGE).is_dir():
        raise ReportError(f"{folder} cannot be written: {folder / PAGE} is a folder; move it away")
    new = Path(tempfile.mkdtemp(dir=folder, prefix=".figures-"))
    staged = None
    try:
        os.chmod(new, 0o755)  # mkdtemp's folders are readable only by their owner
        for name, svg in pictures.items():
            (new / f"{name}.svg").write_text(svg, encoding="utf-8")
        staged = stage(folder / PAGE, page)
        replace_all([(new, earlier), (staged, folder / PAGE)])
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if staged is not None:
            staged.unlink(missing_ok=True)
