"""A file is written whole, under its name, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from model.atomic_file import write_bytes, write_text


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_content_and_mode(tmp_path, mode):
    write_text(tmp_path / "a", "é\n", mode=mode)
    write_bytes(tmp_path / "b", b"\xff\x00", mode=mode)
    assert (tmp_path / "a").read_bytes() == "é\n".encode()
    assert (tmp_path / "b").read_bytes() == b"\xff\x00"
    assert [path.stat().st_mode & 0o777 for path in sorted(tmp_path.iterdir())] == [mode, mode]


def test_by_default_everyone_may_read_it(tmp_path):
    write_text(tmp_path / "a", "x")
    write_bytes(tmp_path / "b", b"x")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_it_is_written_next_to_its_place_and_moved(tmp_path, monkeypatch):
    path, moves = tmp_path / "a", []
    path.write_text("old")

    def replace(temporary, to):
        moves.append((Path(temporary), to))
        assert path.read_text() == "old"
        assert Path(temporary).read_text() == "new"

    monkeypatch.setattr(os, "replace", replace)
    write_text(path, "new")
    ((temporary, to),) = moves
    assert (temporary.parent, to) == (tmp_path, path), "a move between file systems is not atomic"
    assert temporary.name.startswith(".a-")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, error):
    path = tmp_path / "a"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(type(error)) as raised:
        write_text(path, "new")
    if isinstance(error, OSError):
        assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
        assert raised.value.__suppress_context__
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_an_error_names_the_file_also_if_its_folder_was_removed_meanwhile(tmp_path, monkeypatch):
    def fail(temporary, mode):
        os.unlink(temporary)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(OSError, match="Input/output error") as raised:
        write_text(tmp_path / "a", "new")
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, str(tmp_path / "a"))


def test_a_missing_folder_is_not_created(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write_text(tmp_path / "none" / "a", "x")
    assert raised.value.filename == str(tmp_path / "none" / "a")
