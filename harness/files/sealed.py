"""JSON files with a checksum of what they hold: whatever changes one afterwards is noticed.

A checksum tells damage and edits from what a run wrote; it is no signature, which would keep out
whoever computes it again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from model.values import one_line

from .. import atomic_json
from .types import Model

MAX_BYTES = 64 * 2**20  # of a file; a training at the paper's scale has 16 KiB for each seed
_MAX_DIGITS = 19  # of whole numbers, all of which fit into 64 bits

_Kind = TypeVar("_Kind", bound=Model)


class FileError(OSError):
    """A file cannot be read or written, or is not what it should be; one line names it and says why."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def write_content(path: Path, content: dict[str, Any]) -> None:
    """Writes `content` with its checksum, atomically; raises FileError if it cannot."""
    plain = json.loads(atomic_json.dumps(content))
    try:
        atomic_json.write_json(path, {"checksum": _checksum(plain), **plain})
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}") from None


def read_model(path: Path, kind: type[_Kind]) -> _Kind:
    """The file's content as `kind`; raises FileError if it is not one, or its checksum is wrong."""
    return parse(path, kind, read_content(path))


def read_content(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The file's content, with the checksum that it says; raises FileError."""
    try:
        content = json.loads(
            read_bytes(path, max_bytes),
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_constant,
        )
        if not isinstance(content, dict):
            raise ValueError("it does not hold a JSON object")
        stated = content.pop("checksum", None)
        if stated is None:
            raise ValueError("it has no checksum")
        if stated != _checksum(content):
            raise ValueError("its checksum is not that of its content: it was damaged or edited")
    except RecursionError:
        raise FileError(f"{path} cannot be read: it is nested too deeply") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{path} cannot be read: {error}") from None
    return content


def parse(path: Path, kind: type[_Kind], content: dict[str, Any]) -> _Kind:
    """The content of the file `path` as `kind`; raises FileError if it is not one."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise FileError(f"{path} cannot be read: {why(error)}") from None


def why(error: ValidationError) -> str:
    """The first thing that is wrong, in a line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return one_line(f"{where}: {said}" if where else said)


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file; ValueError if it is none, or has more than `most`."""
    # Opening a pipe that nobody writes to would wait for ever.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most / 2**20:.3g} MiB")
    return content


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(f"{one_line(digits)[:20]}… is too large a number")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _checksum(content: dict[str, Any]) -> str:
    """16 hexadecimal digits of a SHA-256 over the content, in whatever order and layout it stands."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
