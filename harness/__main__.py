"""The project's commands other than pytest: `python -m harness COMMAND`, or `make COMMAND`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from importlib import import_module
from typing import NoReturn

from model.values import one_line

from .commands.output import Output
from .paths import REFUSED
from .processes import as_ctrl_c

_INTERRUPTED = 130

# Each is a module of `commands`, imported only when it runs, since some import PyTorch.
_COMMANDS = {
    "report": "draw the page and the figures of a report folder",
    "merge": "make one report of the reports of several shards or machines",
    "verdicts": "print the verdicts on claims in several runs, such as on several data sets",
    "decide": "decide the claims of a report again, from its records",
    "export": "write the results of a report folder in the format of a service",
    "history": "draw the history of many runs, and find the steps in it",
    "publish": "keep a run among the published runs of its study, and quote it in the docs",
    "site": "draw the pages of all published runs, with an index, to be served",
    "prune": "delete the oldest report folders of a study",
    "ab": "compare how fast and how well a revision and the working tree train, taking turns",
    "bisect": "find the commit since which a row is slower or learns worse",
    "noise": "measure how noisy this machine is, and which slowdowns can be detected on it",
    "calibrate": "measure the gates' rates of false alarms and detections on saved runs",
    "replays": "measure how often a history has false steps, and how soon true ones are found",
    "speed": "measure every engine's time per step on this machine",
    "times": "measure whether pytest -n changes training times",
    "gpu": "run everything that needs a GPU, step by step",
}
_WITH_PYTEST_ARGUMENTS = ("ab", "bisect", "merge", "noise")  # these take them after a "--"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command that `arguments` name and returns its exit status.

    Bad input is refused in one line, with status 2. If Ctrl-C, SIGTERM or a closing terminal interrupts
    the command, it ends with one line and status 130.
    """
    out, error = Output(sys.stdout), Output(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            with as_ctrl_c():
                status = _main(sys.argv[1:] if arguments is None else arguments)
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            status = _INTERRUPTED
        finally:
            failed = out.close_line()
        if failed and status == 0:
            status = _refuse(f"the output cannot be written: {failed}")
    return status


def _main(given: list[str]) -> int:
    own = (
        given[: given.index("--")]
        if given[:1] in ([name] for name in _WITH_PYTEST_ARGUMENTS) and "--" in given
        else given
    )
    parser = _Parser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, what in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if given[:1] == [name]:
            module = import_module(f".commands.{name}", __package__)
            module.add_arguments(command)
    options = parser.parse_args(own)
    options.pytest_arguments = given[len(own) + 1 :]
    # The messages of these errors are complete: they need no traceback.
    try:
        return module.run(options) or 0
    except (OSError, ValueError) as error:
        return _refuse(str(error))


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"{self.prog}: {one_line(message)} (see --help)\n")


def _refuse(reason: str) -> int:
    """Prints the reason in one line, with control characters escaped."""
    print(one_line(reason), file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
