"""Numba's cache, damaged, of other settings, not writable; small functions stand in for kernels."""

from __future__ import annotations

import errno
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from model.engines.numba_loop import cached_files, compilation
from model.engines.numba_loop.compilation import compile_first

pytestmark = pytest.mark.skipif(
    compilation.numba_unavailable() is not None, reason="Numba cannot run here"
)

SMALL = """
import numba

@numba.njit
def plus(number):
    return number + {}

@numba.njit
def times(number):
    return number * {}
"""

COMPILING = "compiling the numba engine's sum (once per machine, about 20 s)"
ALONE = "compiling the numba engine's sum for this process alone (about 20 s): "


class Small:
    """A module of two functions, each use of which is as in another process."""

    def __init__(self, folder: Path, capsys):
        self.cache = folder / "__pycache__"
        self._source = folder / "small.py"
        self._capsys = capsys
        self.write(1)

    def write(self, number: int) -> None:
        self._source.write_text(SMALL.format(number, number))

    def functions(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("small", self._source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def said(self, name="plus") -> list[str]:
        """Compiles or loads `plus`, which must then be right; returns what is said about it."""
        function = getattr(self.functions(), name)
        compile_first(function, "sum", lambda: function(0))
        assert function(10) == (11 if name == "plus" else 10)
        return self._capsys.readouterr().err.splitlines()

    def file(self, suffix: str, name="plus") -> Path:
        (file,) = (each for each in self.cache.iterdir() if each.match(f"small.{name}*{suffix}"))
        return file


@pytest.fixture
def small(tmp_path, monkeypatch, capsys) -> Small:
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    return Small(tmp_path, capsys)


def test_it_is_compiled_once_and_loaded_thereafter(small):
    assert small.said() == [COMPILING]
    assert small.said() == []
    small.write(1)
    assert small.said() == []
    assert small.said("times") == [COMPILING]
    assert small.said() == small.said("times") == []


def truncated(file, other):
    file.write_bytes(file.read_bytes()[:100])


def empty(file, other):
    file.write_bytes(b"")


def zeros(file, other):
    file.write_bytes(bytes(file.stat().st_size))


def garbage(file, other):
    file.write_bytes(os.urandom(5000))


def anothers(file, other):
    file.write_bytes(other.read_bytes())


def flipped(file, other):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def a_folder(file, other):
    file.unlink()
    file.mkdir()


def a_link_to_nowhere(file, other):
    file.unlink()
    file.symlink_to("nowhere")


def gone(file, other):
    file.unlink()


DAMAGES = [truncated, empty, zeros, garbage, anothers, flipped, a_folder, a_link_to_nowhere, gone]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc", ".sha256"])
def test_what_is_damaged_is_discarded_and_compiled_again(small, suffix):
    small.said("times")
    small.said()
    for damage in DAMAGES:
        if (suffix, damage) == (".sha256", flipped):
            continue  # it may be in a space
        damage(small.file(suffix), small.file(suffix, "times"))
        said, compiling = small.said()
        assert said.startswith("discarding the numba engine's cached sum: small."), damage
        assert compiling == COMPILING
        assert small.said() == small.said("times") == [], damage


def test_what_is_damaged_and_stays_is_not_used(small):
    """As in a folder that is read-only by now."""
    small.said()
    a_folder(small.file(".nbc"), None)
    (small.file(".nbc") / "file").touch()
    for _ in range(2):
        discarding, alone = small.said()
        assert discarding.startswith("discarding the numba engine's cached sum: small.plus")
        assert alone.startswith(f"{ALONE}Numba's cache cannot be used ([Errno {errno.ENOTEMPTY}]")


def test_an_older_sources_code_is_not_run(small):
    """Numba writes the index first: a process that dies then leaves the older code under a new index."""
    small.write(2)
    function = small.functions().plus
    compile_first(function, "sum", lambda: function(0))
    older = small.file(".nbc").read_bytes()
    small.write(1)
    small.said()
    small.file(".nbc").write_bytes(older)
    assert small.said()[1:] == [COMPILING]


def test_other_settings_of_numba_have_their_own_code(small, monkeypatch):
    small.said()
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert small.said()[1:] == [COMPILING]
    monkeypatch.delenv("NUMBA_OPT")
    assert small.said()[1:] == [COMPILING]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert small.said() == [], "no compiler's"


def test_code_of_another_source_is_not_run(small, monkeypatch):
    """Of a file that the function's own imports, which Numba does not look at."""
    small.said()
    monkeypatch.setattr(cached_files, "code_digest", lambda _: "another")
    discarding, compiling = small.said()
    assert discarding.endswith("the source has changed")
    assert compiling == COMPILING
    assert small.said() == []


def test_a_full_disk_keeps_nothing_and_fails_nothing(small, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    compiling, kept = small.said()
    assert compiling == COMPILING
    assert kept.startswith("the numba engine's compiled sum is not kept: Numba's cache cannot")
    monkeypatch.undo()
    assert small.said() == [COMPILING]


def test_without_a_writable_folder_each_process_compiles(small, monkeypatch):
    monkeypatch.setattr(
        "numba.core.caching._CacheLocator.ensure_cache_path", lambda _: os.mkdir("/proc/x")
    )
    (line,) = small.said()
    assert line == f"{ALONE}Numba has no writable folder for its cache; set NUMBA_CACHE_DIR to one"
    assert not small.cache.exists()


def test_where_nothing_can_be_locked_each_process_compiles(small):
    (small.cache / "kernels.lock").mkdir(parents=True)
    (line,) = small.said()
    assert line.startswith(f"{ALONE}Numba's cache cannot be locked (")
