"""JSON files with a checksum of their content, so that later changes are detected.

A checksum detects damage and edits. It is not a signature: anyone can compute it again after an edit.
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

MAX_BYTES = 64 * 2**20  # of a file; at the paper's scale, a training has 16 KiB for each seed
_MAX_DIGITS = 19  # of whole numbers; those that the suite writes fit into 64 bits

_Kind = TypeVar("_Kind", bound=Model)


class FileError(OSError):
    """A file cannot be read or written, or is invalid; the message names the file and the cause."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def write_content(path: Path, content: dict[str, Any]) -> None:
    """Writes `content` with its checksum, atomically. Raises FileError if that fails."""
    plain = json.loads(atomic_json.dumps(content))
    try:
        atomic_json.write_json(path, {"checksum": _checksum(plain), **plain})
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}") from None


def read_model(path: Path, kind: type[_Kind]) -> _Kind:
    """Returns the file's content as a `kind`. Raises FileError if that or the checksum is invalid."""
    return parse(path, kind, read_content(path))


def read_content(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Returns the file's content, without its checksum. Raises FileError if that is missing or wrong."""
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
            raise ValueError("its checksum does not match its content: it was damaged or edited")
    except RecursionError:
        raise FileError(f"{path} cannot be read: it is nested too deeply") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise FileError(f"{path} cannot be read: {error}") from None
    return content


def parse(path: Path, kind: type[_Kind], content: dict[str, Any]) -> _Kind:
    """Returns `content`, which was read from `path`, as a `kind`. Raises FileError if it is invalid."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise FileError(f"{path} cannot be read: {why(error)}") from None


def why(error: ValidationError) -> str:
    """Returns the first of the errors, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return one_line(f"{where}: {message}" if where else message)


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Returns the bytes of a regular file. Raises ValueError if it is not one or exceeds `most`."""
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
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
    """Returns 16 hexadecimal digits of a SHA-256 of the content; order and layout do not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
