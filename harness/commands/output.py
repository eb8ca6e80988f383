"""Standard output and error of a command, whose failures do not change how the command ends."""

from __future__ import annotations

import contextlib
import io
import os
from typing import IO, Any


class Output(io.TextIOBase):
    """Standard output or error, to which printing never raises an error.

    Characters that its encoding lacks, as in a path that is not UTF-8, are escaped. If the reader has
    gone (`| head -1`), the rest is discarded and the command's exit status is unaffected.
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
        """Flushes, and returns why output was lost, if it was lost other than by a reader that left."""
        self.flush()
        if self._failed is None or isinstance(self._failed, BrokenPipeError):
            return None
        return self._failed.strerror or str(self._failed)

    def _fail(self, error: OSError) -> None:
        self._failed = error
        assert self._stream is not None
        # Python flushes the buffer once more when it exits.
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
            raise io.UnsupportedOperation
        return self._stream.fileno()
