"""The project's commands besides pytest: `python -m harness COMMAND`, or `make COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .paths import CANNOT_BE_READ, REPORTS


def main(arguments: list[str] | None = None) -> int:
    """Runs the command that `arguments` name; returns its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    # What follows "--" is pytest's, where a command has use for it; else argparse takes it as it comes.
    own = given[: given.index("--")] if given[:1] in (["ab"], ["noise"]) and "--" in given else given
    options = _parser().parse_args(own)
    options.pytest_arguments = given[len(own) + 1 :]
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    report = commands.add_parser("report", help="draw the page and the figures of a report folder")
    report.add_argument(
        "folders",
        nargs="*",
        type=Path,
        default=[REPORTS / "latest"],
        metavar="FOLDER",
        help="the report folder, and others to compare it with (default: reports/latest)",
    )
    report.set_defaults(command=_report)

    publish = commands.add_parser("publish", help="keep a run in reports/published")
    publish.add_argument("run", type=Path, metavar="FOLDER", help="the report folder of a finished run")
    publish.add_argument("name", metavar="NAME", help="what to keep it as: epyc-2-cores, say")
    publish.set_defaults(command=_publish)

    speed = commands.add_parser("speed", help="measure every engine's time per step on this machine")
    speed.add_argument("device", nargs="?", default="auto", help="as pytest's --device (default: auto)")
    _add_report_dir(speed)
    speed.set_defaults(command=_speed)

    times = commands.add_parser("times", help="measure whether training times hold under -n")
    times.add_argument(
        "--workers",
        type=_at_least(1),
        default=2,
        metavar="N",
        help="workers to compare with none (default: 2)",
    )
    times.add_argument(
        "--rounds",
        type=_at_least(1),
        default=3,
        metavar="N",
        help="runs of each kind, in turns (default: 3)",
    )
    _add_report_dir(times)
    times.set_defaults(command=_times)

    ab = commands.add_parser(
        "ab",
        help="compare a revision with the working tree, in turns",
        usage="python -m harness ab [BASE] [options] [-- pytest's arguments]",
    )
    ab.add_argument("base", nargs="?", metavar="BASE", help="the revision to compare with")
    ab.add_argument(
        "--base-python",
        type=Path,
        metavar="PATH",
        help="an interpreter for the base (default: this one; where the locks differ, the base's own)",
    )
    ab.add_argument(
        "--percent",
        type=_above_0,
        default=10.0,
        help="the slowdown to find (default: 10)",
    )
    ab.add_argument(
        "--points",
        type=_above_0,
        default=1.0,
        help="the fall in test accuracy to find, in percentage points (default: 1)",
    )
    ab.set_defaults(command=_ab)

    noise = commands.add_parser(
        "noise",
        help="measure how noisy this machine is, and which slowdowns show on it",
        usage="python -m harness noise [--runs N] [-- pytest's arguments]",
    )
    noise.add_argument(
        "--runs",
        type=_at_least(2),
        default=6,
        metavar="N",
        help="runs of the rows, as many as will be saved ones, and one more (default: 6)",
    )
    noise.set_defaults(command=_noise)

    calibrate = commands.add_parser(
        "calibrate", help="how often the gates are wrong, and right, resampled from saved runs"
    )
    calibrate.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="saved runs of unchanged code"
    )
    calibrate.set_defaults(command=_calibrate)

    gpu = commands.add_parser("gpu", help="run everything that needs a GPU, step by step")
    gpu.add_argument(
        "--seconds",
        type=_at_least(1),
        metavar="N",
        help="be done by then; called again, it goes on with what is left (default: no limit)",
    )
    gpu.add_argument("--again", action="store_true", help="run steps again that are done")
    gpu.set_defaults(command=_gpu)

    prune = commands.add_parser("prune", help="delete the oldest report folders in reports/")
    prune.add_argument("keep", type=_at_least(1), metavar="KEEP", help="how many of the newest to keep")
    prune.set_defaults(command=_prune)
    return parser


def _add_report_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="the report folder to write to (default: reports/latest, or a new one if there is none)",
    )


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return whole_number


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1000")
    return value


def _report(options: argparse.Namespace) -> int:
    try:
        from .report.build import build
    except ImportError as error:
        return _refuse(f"The report needs {error.name}: `make report` installs it.")
    try:
        page, left_out = build(options.folders)
    except ValueError as error:
        return _refuse(str(error))
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    print(f"Written to {page} and {page.parent / 'figures'}/.")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from .report import publish

    return _run(publish.main, options.run, options.name)


def _speed(options: argparse.Namespace) -> int:
    from .hardware import engine_speed

    return _run(engine_speed.main, options.device, options.report_dir)


def _times(options: argparse.Namespace) -> int:
    from .hardware import worker_overhead

    return _run(worker_overhead.main, options.workers, options.rounds, options.report_dir)


def _ab(options: argparse.Namespace) -> int:
    from .ab import command

    return _run(
        command.main,
        options.base,
        options.base_python,
        options.percent,
        options.points,
        options.pytest_arguments,
    )


def _noise(options: argparse.Namespace) -> int:
    from . import noise

    return _run(noise.main, options.runs, options.pytest_arguments)


def _calibrate(options: argparse.Namespace) -> int:
    from .gates import calibration

    return _run(calibration.main, options.files)


def _gpu(options: argparse.Namespace) -> int:
    from .hardware import gpu_check

    return _run(gpu_check.main, options.seconds, options.again)


def _prune(options: argparse.Namespace) -> int:
    from .results import prune

    return _run(prune.main, options.keep)


def _run(command: Callable[..., int | None], *arguments: object) -> int:
    """Calls `command` for its exit status.

    Errors of what it was given, and of files, explain themselves in one line.
    """
    try:
        return command(*arguments) or 0
    except (OSError, ValueError) as error:
        return _refuse(str(error))


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return CANNOT_BE_READ


if __name__ == "__main__":
    sys.exit(main())
