"""Reads IDX files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Returns the array in an IDX file of unsigned bytes, uint8 of the shape that its header gives.

    torchvision has a reader too, but importing it takes a second in every process. Raises ValueError if
    the file is not of this format.
    """
    content = path.read_bytes()
    try:
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        if zero != 0 or kind != _UNSIGNED_BYTE:
            raise ValueError
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (struct.error, ValueError):
        raise ValueError(f"{path} cannot be read: it is not an IDX file of unsigned bytes") from None
