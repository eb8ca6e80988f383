"""Prints the verdicts on claims in several runs: `python -m harness verdicts FOLDER FOLDER ...`.

For runs of one study on several data sets, machines or versions of PyTorch.
"""

from __future__ import annotations

import argparse

from ..report.load import load_run
from ..report.verdict_table import format_verdicts
from .arguments import to_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="+",
        type=to_path,
        metavar="FOLDER",
        help="the report folders, in the order of the table's columns",
    )


def run(options: argparse.Namespace) -> None:
    print(format_verdicts([load_run(folder) for folder in options.folders]))
