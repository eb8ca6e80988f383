"""The two sides of a comparison as processes, each in its checkout and with its interpreter."""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_WORKER = Path(__file__).with_name("worker.py")
_LAST_LINES = 3  # of what a side printed, where it died without a word
_EXIT_SECONDS = 10


class SideError(RuntimeError):
    """A side cannot train the row; the message says which side, and why, in one line."""

    def __init__(self, side: str, reason: str, kind: Literal["failed", "killed", "lacks it"] = "failed"):
        super().__init__(f"{side}: {reason}")
        self.side = side
        self.reason = reason
        self.kind = kind


@dataclass(frozen=True)
class Checkout:
    """Where a side runs, and with what."""

    name: str
    """`base` or `head`."""
    folder: Path
    python: Path


class Side:
    """A process that trains in a checkout, one request after the other."""

    def __init__(self, checkout: Checkout):
        self.name = checkout.name
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                [checkout.python, "-c", _WORKER.read_text(encoding="utf-8")],
                cwd=checkout.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
            )
        except OSError as error:
            raise SideError(self.name, f"{checkout.python} cannot be run: {error.strerror}") from None

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The reply to a request. Raises SideError where there is none, or an error."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            reply: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            raise self._ended() from None
        if "error" in reply:
            raise SideError(self.name, reply["error"], "lacks it" if reply["lacks"] else "failed")
        return reply

    def close(self) -> None:
        """Ends the process, which may be in the middle of something."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._said):
            with suppress(OSError):  # what was not sent yet
                stream.close()  # type: ignore[union-attr]

    def _ended(self) -> SideError:
        """How it ended, and the last lines that it printed."""
        status = self.process.wait(_EXIT_SECONDS)
        if status < 0:
            return SideError(self.name, f"killed by signal {-status}", "killed")
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()][-_LAST_LINES:]
        return SideError(self.name, f"ended with status {status}: {' | '.join(lines) or 'no word'}")


class Pair:
    """Both sides, started when they are needed; after `close`, anew."""

    def __init__(self, base: Checkout, head: Checkout):
        self._checkouts = (base, head)
        self._sides: tuple[Side, Side] | None = None

    def sides(self) -> tuple[Side, Side]:
        """The base and the head, running."""
        if self._sides is None:
            base = Side(self._checkouts[0])
            self._sides = base, Side(self._checkouts[1])
        return self._sides

    def close(self) -> None:
        """Ends both."""
        for side in self._sides or ():
            side.close()
        self._sides = None
