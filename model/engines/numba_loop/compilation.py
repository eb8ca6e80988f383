"""Whether Numba is there, and its compilation: by one process at a time, and announced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ...network import SIZES

if TYPE_CHECKING:  # Numba may be missing
    from numba.core.dispatcher import Dispatcher
    from numba.core.event import Event


def unavailable() -> str | None:
    """Why nothing compiled can run here, in a few words, or None if it can."""
    try:
        from . import kernels
    except ImportError as error:
        return f"Numba is missing ({error})"
    except RuntimeError as error:
        return f"Numba has no writable folder for its cache ({error}); set NUMBA_CACHE_DIR to one"
    compiled = (kernels.PIXELS, kernels.HIDDEN1, kernels.HIDDEN2, kernels.CLASSES)
    return None if compiled == SIZES else f"it is written for a network of {compiled}"


def compile_first(
    entry: Dispatcher[Callable[..., object]], name: str, call_on_nothing: Callable[[], object]
) -> None:
    """Makes Numba load or compile `entry`, by a call on no examples, unless it is loaded.

    One process at a time: several that start at once would all compile, and Numba writes its
    cache's index before the code, so one could load code that an older source left there.
    """
    if entry.signatures:
        return

    from numba.core import event

    class Announcement(event.Listener):
        """Announces a compilation; Numba sends no event when it loads from its cache."""

        announced = False

        def on_start(self, event: Event) -> None:
            if not self.announced:
                print(
                    f"compiling the numba engine's {name} (once per machine, about 10 s)",
                    file=sys.stderr,
                    flush=True,
                )
            self.announced = True

        def on_end(self, event: Event) -> None:
            pass

    assert entry.stats.cache_path is not None  # it is compiled with `cache=True`
    cache = Path(entry.stats.cache_path)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "kernels.lock"), event.install_listener("numba:compile", Announcement()):
        call_on_nothing()
