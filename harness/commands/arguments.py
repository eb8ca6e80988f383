"""Types of arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..paths import BENCH, expanded


def add_report_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-dir",
        type=to_path,
        metavar="DIR",
        help="the report folder to write to (default: reports/latest, or a new folder if there is none)",
    )


def add_new_report_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-dir",
        type=to_path,
        metavar="DIR",
        help="the folder to write to (default: a new one in the study's reports)",
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--study", type=to_path, default=BENCH, metavar="DIR", help="the study's folder (default: bench)"
    )


def to_path(text: str) -> Path:
    """Converts an argument to a path, with `~` as the home folder."""
    if not text:
        raise argparse.ArgumentTypeError("got ''; expected a path")
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def at_least(least: int) -> Callable[[str], int]:
    """Returns a type of argument: a whole number from `least` to 999999."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or len(text) > 6 or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"got {text!r}; expected a whole number from {least} to 999999"
            )
        return int(text)

    return whole_number


def between(least: float, most: float) -> Callable[[str], float]:
    """Returns a type of argument: a number from `least` to `most`."""

    def real_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"got {text!r}; expected a number from {least:g} to {most:g}"
            )
        return value

    return real_number
