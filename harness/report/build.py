"""Draws the report of a run, its page and figures, into the run's folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import vl_convert

from ..ownership import first_without
from ..paths import PAGE
from .comparison import compare
from .figures import Figure, figures_of, speed_figures
from .load import ReportError, load
from .page import render
from .replacement import replace_all, stage


def build(folders: Sequence[Path]) -> tuple[Path, list[str]]:
    """Draws the report of the first folder, compared with the others; returns page and omissions.

    Writes `report.html` and `figures/*.svg` into the first folder. Raises ReportError where a
    folder cannot be read or the report cannot be written.
    """
    run, *others = map(load, folders)
    exercises = {each.module: figures_of(run, each) for each in run.summary.exercises}
    engines = speed_figures(run)
    page = render(run, exercises, engines, [compare(run, other) for other in others])
    figures = [figure for of_one in (*exercises.values(), engines) for figure in of_one]
    try:
        _write(run.folder, figures, page)
    except OSError as error:
        raise ReportError(f"{run.folder} cannot be written: {error.strerror or error}") from None
    return run.folder / PAGE, [line for each in (run, *others) for line in each.left_out]


def _write(folder: Path, figures: Sequence[Figure], page: str) -> None:
    """Writes the figures as SVG, and the page, in place of those of an earlier report: all or none."""
    earlier = folder / "figures"
    if earlier.is_symlink() or (earlier.exists() and not earlier.is_dir()):
        raise ReportError(f"{earlier} is no folder of this suite; move it away")
    if earlier.exists() and (found := first_without(".svg", earlier)):
        raise ReportError(f"{found} is no figure of this suite; move it away")
    if (folder / PAGE).is_dir():
        raise ReportError(f"{folder} cannot be written: {folder / PAGE} is a folder; move it away")
    new = Path(tempfile.mkdtemp(dir=folder, prefix=".figures-"))
    staged = None
    try:
        os.chmod(new, 0o755)  # mkdtemp's folders are readable by their owner alone
        for figure in figures:
            try:
                svg = vl_convert.vegalite_to_svg(figure.standalone())
            except ValueError as error:
                raise ReportError(f"{figure.name} cannot be drawn: {str(error)[:200]}") from None
            (new / f"{figure.name}.svg").write_text(svg, encoding="utf-8")
        staged = stage(folder / PAGE, page)
        replace_all([(new, earlier), (staged, folder / PAGE)])
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if staged is not None:
            staged.unlink(missing_ok=True)
