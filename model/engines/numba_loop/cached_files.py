"""The files in which Numba caches a compiled function, and their checksums.

Numba writes an index and the code to separate files and checks neither. Files that a full disk, a killed
process or a faulty disk has damaged raise an error at best; at worst, the code of another function or an
older version runs. So a file next to them keeps their SHA-256, and files that differ from it are not
loaded. It also keeps the source's digest, since Numba checks the function's own file but no file that it
imports.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...atomic_file import write_text
from ...environment import code_digest, library_settings

if TYPE_CHECKING:  # Numba may be missing
    from numba.core.dispatcher import Dispatcher


_PACKAGE = Path(__file__).parent


class CachedFiles:
    """All files in which Numba caches one function, for any CPU, signature and version of Python."""

    def __init__(self, function: Dispatcher[Callable[..., object]]):
        source = function.py_func
        # As Numba names them, without the line number.
        self._name = f"{Path(inspect.getfile(source)).stem}.{source.__qualname__}"
        self._name = self._name.replace("<", "").replace(">", "")
        assert function.stats.cache_path is not None
        self.folder = Path(function.stats.cache_path)
        self._checksums = self.folder / f"{self._name}.sha256"

    def damage(self) -> str | None:
        """Returns why the files must not be loaded, or None if they may be or there are none.

        Raises OSError if the folder cannot be read.
        """
        files = self._files()
        if not files:
            return None
        try:
            kept = json.loads(self._checksums.read_text(encoding="utf-8"))
            checksums, source, settings = kept["files"], kept["source"], kept["settings"]
            missing = {*checksums} - {file.name for file in files}
        except FileNotFoundError:
            return f"{self._checksums.name} is missing"
        except (OSError, ValueError, RecursionError, TypeError, KeyError):
            return f"{self._checksums.name} is damaged"
        for file in files:
            try:
                if checksums.get(file.name) != _sha256(file):
                    return f"{file.name} has changed since it was written"
            except OSError as error:
                return f"{file.name} cannot be read: {error.strerror}"
        if missing:
            return f"{min(missing)} is missing"
        if source != code_digest([_PACKAGE]):
            return "the source has changed"
        # Numba does not distinguish code that was compiled with other settings, such as no optimisation.
        return None if settings == _settings() else "a NUMBA_ environment variable has changed"

    def keep_checksums(self) -> None:
        """Writes the files' current checksums; files without checksums are never loaded."""
        with suppress(OSError):
            checksums = {file.name: _sha256(file) for file in self._files()}
            kept = {
                "files": checksums,
                "source": code_digest([_PACKAGE]),
                "settings": _settings(),
            }
            write_text(self._checksums, json.dumps(kept, indent=1))

    def discard(self) -> None:
        """Deletes the files; raises OSError if one cannot be deleted, such as a folder with files."""
        for file in (*self._files(), self._checksums):
            if file.is_dir() and not file.is_symlink():
                file.rmdir()
            else:
                file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(
            file
            for file in self.folder.iterdir()
            if file.name.startswith(f"{self._name}-") and file.suffix in (".nbi", ".nbc")
        )


def _settings() -> dict[str, str]:
    return {name: value for name, value in library_settings().items() if name.startswith("NUMBA_")}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
