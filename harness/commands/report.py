"""Draws the page and the figures of a report folder: `make report`, or `python -m harness report`."""

from __future__ import annotations

import argparse
import sys

from ..paths import REPORTS
from .arguments import to_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="*",
        type=to_path,
        default=[REPORTS / "latest"],
        metavar="FOLDER",
        help="the report folder, and others to compare it with (default: reports/latest)",
    )


def run(options: argparse.Namespace) -> None:
    # Packages such as Altair, which training does not need, may be missing.
    try:
        from ..report.build import build
    except ImportError as error:
        raise ValueError(f"{error.name} is not installed; `make report` installs it") from None
    page, left_out = build(options.folders)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    print(f"Written to {page} and {page.parent / 'figures'}/.")
