"""The availability of Numba, and compilation with it: one process at a time, and announced."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from filelock import FileLock

from ...network import MLP
from ...values import one_line
from .. import honours
from .cached_files import CachedFiles

if TYPE_CHECKING:  # Numba may be missing
    from numba.core.dispatcher import Dispatcher
    from numba.core.event import Event


ACTIVATION_NAMES = ("relu", "sigmoid", "tanh")
_COLUMNS = 65_535  # the largest uint16


@cache
def numba_unavailable() -> str | None:
    """Returns why compiled code cannot run here, in a few words, or None if it can."""
    try:
        from numba import config

        if config.DISABLE_JIT:  # type: ignore[attr-defined]
            return "Numba's compiler is off; unset NUMBA_DISABLE_JIT"
        kernels(MLP())
    except ImportError as error:
        if error.name == "numba":
            return f"Numba is missing ({one_line(error)}); install it with pip install numba"
        return f"Numba cannot be imported ({one_line(error)})"
    except Exception as error:  # a broken installation may raise anything
        return f"Numba cannot be imported ({type(error).__name__}: {one_line(error)})"
    return None


def refuses_size(network: MLP) -> str | None:
    """Returns why the network cannot be compiled, in a few words, or None if it can."""
    if reason := honours.refuses_network(network, ACTIVATION_NAMES):
        return reason
    if not network.hidden:
        return f"it needs at least one hidden layer; the network is {network}"
    if max(network.sizes[:-1]) > _COLUMNS:
        return f"it supports at most {_COLUMNS:,} inputs or units in a layer; the network is {network}"
    return None


def kernels(network: MLP) -> ModuleType:
    """Returns the compiled code for the network: `kernels.py`, executed as a separate module.

    Numba looks it up by name among the imported modules when it loads cached code.
    """
    name = module_name(network)
    if name not in sys.modules:
        spec = spec_from_file_location(name, Path(__file__).with_name("kernels.py"))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        module.NETWORK = network  # type: ignore[attr-defined]
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def module_name(network: MLP) -> str:
    """Returns the name of the module for the network."""
    digest = hashlib.sha256(repr(network).encode()).hexdigest()[:12]
    return f"{__package__}.kernels_{digest}"


def compile_first(
    entry: Dispatcher[Callable[..., object]], name: str, call_on_nothing: Callable[[], object]
) -> None:
    """Makes Numba load or compile `entry`, by calling it on no examples, unless it is loaded.

    One process does so at a time, as several that start together would all compile. Problems with
    Numba's cache are not errors: damaged files are discarded and written again, and if none can be kept,
    every process compiles for itself. That takes 25 s, but the alternative, eager, takes several times
    as long to train and would make the run's times incomparable with all others.
    """
    if entry.signatures:
        return
    try:
        entry.enable_caching()
        files = CachedFiles(entry)
    except Exception as error:  # Numba's settings for its cache may be wrong too
        reason = f"Numba's cache cannot be used ({one_line(error)})"
        if "no locator available" in str(error):
            reason = "Numba has no writable folder for its cache; set NUMBA_CACHE_DIR to one"
        _compile_uncached(entry, name, call_on_nothing, reason)
        return
    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(files.folder / "kernels.lock")
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = f"Numba's cache cannot be locked ({one_line(error)})"
        _compile_uncached(entry, name, call_on_nothing, reason)
        return
    try:
        problem = _load_or_compile(entry, name, call_on_nothing, files)
    finally:
        lock.release()
    if problem is not None:
        _compile_uncached(entry, name, call_on_nothing, problem)


def _load_or_compile(
    entry: Dispatcher[Callable[..., object]],
    name: str,
    call_on_nothing: Callable[[], object],
    files: CachedFiles,
) -> str | None:
    """Loads `entry` from the cached `files`, or compiles it into them; returns why it cannot."""
    try:
        if damage := files.damage():
            _say(f"discarding the numba engine's cached {name}: {damage}")
            files.discard()
    except OSError as error:
        return f"Numba's cache cannot be used ({one_line(error)})"
    try:
        with _announced(
            f"compiling the numba engine's {name} (once per machine, about 20 s)"
        ) as announced:
            call_on_nothing()
    except Exception as error:  # a full disk, or the call's error, which recurs without a cache
        with suppress(OSError):
            files.discard()
        return f"Numba's cache cannot be used ({type(error).__name__}: {one_line(error)})"
    if announced:
        files.keep_checksums()
    return None


def _compile_uncached(
    entry: Dispatcher[Callable[..., object]],
    name: str,
    call_on_nothing: Callable[[], object],
    reason: str,
) -> None:
    # Numba has no public way to disable a function's cache.
    entry._cache.disable()  # type: ignore[attr-defined]
    line = f"compiling the numba engine's {name} for this process only (about 20 s): {reason}"
    with _announced(line) as announced:
        call_on_nothing()
    if not announced:  # it was compiled but could not be written
        _say(f"the numba engine's compiled {name} is not cached: {reason}")


@contextmanager
def _announced(line: str) -> Iterator[list[str]]:
    """Prints `line` when Numba begins to compile; it sends no event when it loads from its cache.

    Yields a list to which the line is then added.
    """
    from numba.core import event

    class Announcement(event.Listener):
        def on_start(self, event: Event) -> None:
            if not printed:
                _say(line)
                printed.append(line)

        def on_end(self, event: Event) -> None:
            pass

    printed: list[str] = []
    with event.install_listener("numba:compile", Announcement()):
        yield printed


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
