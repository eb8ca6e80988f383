"""Draws the pages of all published runs as a web site: `make site`, or `python -m harness site`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..paths import BENCH, ROOT
from ..study import CONFTEST, load_study
from .arguments import to_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=to_path, metavar="FOLDER", help="the folder to write to, new or empty"
    )
    parser.add_argument(
        "studies",
        nargs="*",
        type=to_path,
        default=[],  # otherwise argparse says that it is required
        metavar="STUDY",
        help="the studies' folders (default: bench, and those in examples)",
    )


def run(options: argparse.Namespace) -> None:
    from ..report.site import build_site

    folder: Path = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; expected a new or empty folder")
    examples = sorted(path.parent for path in (ROOT / "examples").glob(f"*/{CONFTEST}"))
    studies = [load_study(path) for path in options.studies or [BENCH, *examples]]
    folder.mkdir(parents=True, exist_ok=True)
    for page in build_site(studies, folder):
        print(page)
