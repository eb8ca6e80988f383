"""The two sides of a comparison: processes, each with its own checkout and interpreter."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from model.values import one_line

from ..processes import environment, reason

_WORKER = Path(__file__).with_name("payload.py")
_EXIT_SECONDS = 10


class SideError(RuntimeError):
    """A side cannot train the row; the message names the side and the reason, in one line."""

    def __init__(self, side: str, reason: str, kind: Literal["failed", "killed", "lacks it"] = "failed"):
        super().__init__(one_line(f"{side}: {reason}"))
        self.side = side
        self.reason = one_line(reason)
        self.kind = kind


@dataclass(frozen=True)
class Checkout:
    """The checkout and the interpreter of a side."""

    name: str
    """`base` or `head`."""
    folder: Path
    python: Path


class Side:
    """A process that trains in a checkout, one request after another."""

    def __init__(self, checkout: Checkout):
        self.name = checkout.name
        self._output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                [checkout.python, "-c", _WORKER.read_text(encoding="utf-8")],
                cwd=checkout.folder,
                env=environment(imports=checkout.folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._output,
                text=True,
            )
        except OSError as error:
            self._output.close()
            raise SideError(self.name, f"{checkout.python} cannot be run: {error.strerror}") from None

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Returns the reply to a request. Raises SideError if there is none, or if it is an error."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except (OSError, ValueError):  # ValueError: its output is not text
            line = ""
        try:
            reply: dict[str, Any] = dict(json.loads(line))
        except (ValueError, TypeError):
            raise self._ended(line) from None
        if "error" in reply:
            raise SideError(self.name, reply["error"], "lacks it" if reply["lacks"] else "failed")
        return reply

    def close(self) -> None:
        """Kills the process."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._output):
            with suppress(OSError):  # raised if a request was not sent yet
                stream.close()  # type: ignore[union-attr]

    def _ended(self, line: str) -> SideError:
        """Returns an error that says how and why it ended, or that its reply `line` is invalid."""
        try:
            status = self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            what = f"invalid reply {line.strip()!r}" if line.strip() else "no reply"
            return SideError(self.name, f"{what}, so it was killed")
        self._output.seek(0)
        output = self._output.read()
        if status < 0:
            return SideError(self.name, f"killed by signal {-status}", "killed")
        why = f": {reason(output, status=status)}" if output.strip() else ""
        return SideError(self.name, f"ended with status {status}{why}")


class Pair:
    """Both sides, started when they are first needed and again after `close`."""

    def __init__(self, base: Checkout, head: Checkout):
        self._checkouts = (base, head)
        self._sides: list[Side] = []

    def sides(self) -> tuple[Side, Side]:
        """Returns the base and the head, running."""
        while len(self._sides) < 2:
            self._sides.append(Side(self._checkouts[len(self._sides)]))
        base, head = self._sides
        return base, head

    def close(self) -> None:
        """Ends both."""
        while self._sides:
            self._sides.pop().close()
