"""Numba's cache if damaged, of other settings or not writable, with small functions for kernels."""

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
ALONE = "compiling the numba engine's sum for this process only (about 20 s): "


class Small:
    """A module of two functions, which is imported anew for every use, as in a new process."""

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

    def lines(self, name="plus") -> list[str]:
        """Compiles or loads a function, checks its result, and returns the lines printed."""
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


def test_it_is_compiled_once_and_then_loaded(small):
    assert small.lines() == [COMPILING]
    assert small.lines() == []
    small.write(1)
    assert small.lines() == []
    assert small.lines("times") == [COMPILING]
    assert small.lines() == small.lines("times") == []


def truncated(file, other):
    file.write_bytes(file.read_bytes()[:100])


def empty(file, other):
    file.write_bytes(b"")


def zeros(file, other):
    file.write_bytes(bytes(file.stat().st_size))


def garbage(file, other):
    file.write_bytes(os.urandom(5000))


def of_another_function(file, other):
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


def missing(file, other):
    file.unlink()


DAMAGES = [
    truncated,
    empty,
    zeros,
    garbage,
    of_another_function,
    flipped,
    a_folder,
    a_link_to_nowhere,
    missing,
]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc", ".sha256"])
def test_a_damaged_file_is_discarded_and_the_function_compiled_again(small, suffix):
    small.lines("times")
    small.lines()
    for damage in DAMAGES:
        if (suffix, damage) == (".sha256", flipped):
            continue  # it may be in a space
        damage(small.file(suffix), small.file(suffix, "times"))
        discarding, compiling = small.lines()
        assert discarding.startswith("discarding the numba engine's cached sum: small."), damage
        assert compiling == COMPILING
        assert small.lines() == small.lines("times") == [], damage


def test_a_damaged_file_that_cannot_be_deleted_is_not_used(small):
    """An example is a folder that has become read-only."""
    small.lines()
    a_folder(small.file(".nbc"), None)
    (small.file(".nbc") / "file").touch()
    for _ in range(2):
        discarding, alone = small.lines()
        assert discarding.startswith("discarding the numba engine's cached sum: small.plus")
        assert alone.startswith(f"{ALONE}Numba's cache cannot be used ([Errno {errno.ENOTEMPTY}]")


def test_code_of_an_older_source_is_not_run(small):
    """Numba writes the index first: a process that dies then leaves older code with a new index."""
    small.write(2)
    function = small.functions().plus
    compile_first(function, "sum", lambda: function(0))
    older = small.file(".nbc").read_bytes()
    small.write(1)
    small.lines()
    small.file(".nbc").write_bytes(older)
    assert small.lines()[1:] == [COMPILING]


def test_other_settings_of_numba_need_other_code(small, monkeypatch):
    small.lines()
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert small.lines()[1:] == [COMPILING]
    monkeypatch.delenv("NUMBA_OPT")
    assert small.lines()[1:] == [COMPILING]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert small.lines() == [], "it does not affect the compiler"


def test_code_of_another_source_is_not_run(small, monkeypatch):
    """Numba does not check the files that the function's file imports, which are in the same folder."""
    small.lines()
    engine, digest = [Path(cached_files.__file__).parent], cached_files.code_digest
    monkeypatch.setattr(
        cached_files, "code_digest", lambda paths: "another" if paths == engine else digest(paths)
    )
    discarding, compiling = small.lines()
    assert discarding.endswith("the source has changed")
    assert compiling == COMPILING
    assert small.lines() == []


def test_on_a_full_disk_nothing_is_cached_and_nothing_fails(small, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    compiling, kept = small.lines()
    assert compiling == COMPILING
    assert kept.startswith("the numba engine's compiled sum is not cached: Numba's cache cannot")
    monkeypatch.undo()
    assert small.lines() == [COMPILING]


def test_without_a_writable_folder_each_process_compiles(small, monkeypatch):
    monkeypatch.setattr(
        "numba.core.caching._CacheLocator.ensure_cache_path", lambda _: os.mkdir("/proc/x")
    )
    (line,) = small.lines()
    assert line == f"{ALONE}Numba has no writable folder for its cache; set NUMBA_CACHE_DIR to one"
    assert not small.cache.exists()


def test_without_a_lock_each_process_compiles(small):
    (small.cache / "kernels.lock").mkdir(parents=True)
    (line,) = small.lines()
    assert line.startswith(f"{ALONE}Numba's cache cannot be locked (")
