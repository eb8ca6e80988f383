"""Subnormal numbers count as 0: on many CPUs, each one costs as much as a hundred others.

Adam's moments of pixels that are rarely lit decay into them, and so do deltas behind a saturated
sigmoid. The setting (flush to zero, denormals are zero) belongs to a thread. A thread that is started
inherits it, and those that PyTorch keeps for its operations are told.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed() -> Iterator[None]:
    """In the block, numbers below 1.2e-38 (float64: 2.2e-308) are 0, as operands and as results.

    Decorates functions, too. It holds in this thread, in those that it starts in the block, and in
    PyTorch's threads for this one's operations, whenever they were started.
    """
    if sys.float_info.min / 2 == 0:  # an outer block has done it
        yield
        return
    _set_in_all_threads(True)
    try:
        yield
    finally:
        _set_in_all_threads(False)


def _set_in_all_threads(on: bool) -> None:
    """In this thread and its team of OpenMP threads, which PyTorch keeps for it."""

    def set_in_this_thread(_: object) -> None:
        torch.set_flush_denormal(on)

    set_in_this_thread(None)
    # What GCC compiles `#pragma omp parallel` to; LLVM's runtime has it, too.
    in_parallel = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    threads = torch.get_num_threads()
    if threads > 1 and in_parallel is not None:
        in_parallel(_FUNCTION(set_in_this_thread), None, threads, 0)


_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
