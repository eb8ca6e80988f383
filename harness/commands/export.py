"""Writes a report in the format of a service: `python -m harness export FOLDER --format NAME`."""

from __future__ import annotations

import argparse
import sys

from ..atomic_json import write_text
from ..export.services import FORMATS
from ..report.load import load_run
from .arguments import to_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=to_path, metavar="FOLDER", help="the report folder")
    parser.add_argument("--format", required=True, choices=[*FORMATS], help="the service's format")
    parser.add_argument(
        "--output", type=to_path, metavar="FILE", help="the file to write (default: standard output)"
    )


def run(options: argparse.Namespace) -> None:
    report = load_run(options.folder)
    for line in report.left_out:
        print(f"left out: {line}", file=sys.stderr)
    if not report.curves:
        raise ValueError(f"{options.folder} has no row with a readable record; nothing was exported")
    text = FORMATS[options.format](report)
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(options.output, text)
