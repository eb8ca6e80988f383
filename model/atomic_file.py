"""Writes files atomically: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Writes `text` to `path` atomically, with mode `mode`; raises an OSError that names `path`."""
    write_bytes(path, text.encode("utf-8"), mode=mode)


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Writes `content` to `path` atomically, with mode `mode`; raises an OSError that names `path`."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, mode)  # mkstemp makes it readable only by its owner
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # its folder was removed
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
