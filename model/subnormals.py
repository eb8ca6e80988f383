"""Subnormal numbers count as 0: on many CPUs, operating on one costs as much as on a hundred others.

Adam's moments of pixels that are rarely lit decay into them, and so do deltas behind a saturated
sigmoid. The setting (flush to zero, denormals are zero) belongs to a thread. A new thread inherits it;
the threads that PyTorch keeps for its operations have to be set separately.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed() -> Iterator[None]:
    """Makes numbers below 1.2e-38 (float64: 2.2e-308) count as 0 in the block, as operands and results.

    Also decorates functions. Applies to this thread, the threads that it starts in the block, and the
    threads that PyTorch uses for this thread's operations, whenever they were started.
    """
    if sys.float_info.min / 2 == 0:  # already set by an outer block
        yield
        return
    _set_in_all_threads(True)
    try:
        yield
    finally:
        _set_in_all_threads(False)


def _set_in_all_threads(on: bool) -> None:
    """Sets it in this thread and in its team of OpenMP threads, which PyTorch uses."""

    def set_in_this_thread(_: object) -> None:
        torch.set_flush_denormal(on)

    set_in_this_thread(None)
    # GCC compiles `#pragma omp parallel` to this function; LLVM's runtime has it too.
    in_parallel = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    threads = torch.get_num_threads()
    if threads > 1 and in_parallel is not None:
        in_parallel(_FUNCTION(set_in_this_thread), None, threads, 0)


_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
