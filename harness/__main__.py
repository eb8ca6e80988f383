"""The project's commands besides pytest: `python -m harness COMMAND`, or `make COMMAND`."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

from .files.sealed import one_line
from .paths import BENCH, REFUSED, REPORTS, expanded
from .processes import as_ctrl_c

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Runs the command that `arguments` name; returns its exit status.

    Bad input is refused in one line with status 2. Ctrl-C, SIGTERM and a terminal that closes end it
    in one line with status 130.
    """
    out, error = _Output(sys.stdout), _Output(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            with as_ctrl_c():
                status = _main(arguments)
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            status = _INTERRUPTED
        finally:
            failed = out.close_line()
        if failed and status == 0:
            status = _refuse(f"the output cannot be written: {failed}")
    return status


def _main(arguments: list[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    # What follows "--" is pytest's, where a command has use for it; else argparse takes it as it comes.
    own = given[: given.index("--")] if given[:1] in (["ab"], ["noise"]) and "--" in given else given
    options = _parser().parse_args(own)
    options.pytest_arguments = given[len(own) + 1 :]
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


class _Output(io.TextIOBase):
    """Standard output or error, of which nothing that is printed ends the command.

    What its encoding lacks is escaped, as a path that is not UTF-8. Where nobody reads any more
    (`| head -1`) the rest goes nowhere, and the command ends with the status that it would have had.
    """

    def __init__(self, stream: IO[str] | None):
        self._stream = stream
        self._failed: OSError | None = None

    def write(self, text: str) -> int:
        if self._stream is not None and self._failed is None:
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            try:
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and self._failed is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def close_line(self) -> str | None:
        """Flushes; returns why what was printed was lost, if it was and somebody wanted to read it."""
        self.flush()
        if self._failed is None or isinstance(self._failed, BrokenPipeError):
            return None
        return self._failed.strerror or str(self._failed)

    def _fail(self, error: OSError) -> None:
        self._failed = error
        assert self._stream is not None
        # What is buffered is flushed once more when Python exits.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line; `--help` has the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"{self.prog}: {one_line(message)} (--help says more)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    report = commands.add_parser("report", help="draw the page and the figures of a report folder")
    report.add_argument(
        "folders",
        nargs="*",
        type=_path,
        default=[REPORTS / "latest"],
        metavar="FOLDER",
        help="the report folder, and others to compare it with (default: reports/latest)",
    )
    report.set_defaults(command=_report)

    publish = commands.add_parser("publish", help="keep a run among the published ones of its study")
    publish.add_argument("run", type=_path, metavar="FOLDER", help="the report folder of a finished run")
    publish.add_argument("name", metavar="NAME", help="what to keep it as: epyc-2-cores, say")
    _add_study(publish)
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
        type=_number(0.1, 1000),
        default=10.0,
        help="the slowdown to find, in percent (default: 10)",
    )
    ab.add_argument(
        "--points",
        type=_number(0.01, 100),
        default=1.0,
        help="the drop in test accuracy to find, in percentage points (default: 1)",
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
        "files", nargs="+", type=_path, metavar="FILE", help="saved runs of unchanged code"
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

    prune = commands.add_parser("prune", help="delete the oldest report folders of a study")
    prune.add_argument("keep", type=_at_least(1), metavar="KEEP", help="how many of the newest to keep")
    _add_study(prune)
    prune.set_defaults(command=_prune)
    return parser


def _add_report_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-dir",
        type=_path,
        default=None,
        metavar="DIR",
        help="the report folder to write to (default: reports/latest, or a new one if there is none)",
    )


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--study",
        type=_path,
        default=BENCH,
        metavar="DIR",
        help="the folder of the study (default: bench)",
    )


def _path(text: str) -> Path:
    """A path, with `~` as the home folder."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no path")
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or len(text) > 6 or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to 999999")
        return int(text)

    return whole_number


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return number


def _report(options: argparse.Namespace) -> int:
    try:
        from .report.build import build
    except ImportError as error:
        return _refuse(f"The report needs {error.name}: `make report` installs it.")

    def draw() -> None:
        page, left_out = build(options.folders)
        for line in left_out:
            print(f"left out: {line}", file=sys.stderr)
        print(f"Written to {page} and {page.parent / 'figures'}/.")

    return _run(draw)


def _publish(options: argparse.Namespace) -> int:
    from .report import publish
    from .study import load

    return _run(lambda: publish.main(options.run, options.name, load(options.study)))


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
    from .study import load

    return _run(lambda: prune.main(options.keep, load(options.study).reports))


def _run(command: Callable[..., int | None], *arguments: object) -> int:
    """Calls `command` for its exit status.

    Errors of what it was given, and of files, explain themselves in one line.
    """
    try:
        return command(*arguments) or 0
    except (OSError, ValueError) as error:
        return _refuse(str(error))


def _refuse(reason: str) -> int:
    """Prints the reason in one line, without what a terminal would obey."""
    print(one_line(reason), file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
