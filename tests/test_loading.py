"""Data sets in the form for training: by their names, from files, and your own, from memory."""

import struct

import numpy as np
import pytest
import torch

from model.data import mnist
from model.data.download import FILES, files
from model.dataset import EMNIST_LETTERS, MNIST, Dataset

CPU = torch.device("cpu")


@pytest.fixture
def asked(monkeypatch):
    """The data sets whose files were asked for; they are in the folder of that name."""
    asked = []

    def ensure_downloaded(name, root):
        asked.append(name)
        return root / name

    monkeypatch.setattr(mnist, "ensure_downloaded", ensure_downloaded)
    return asked


def put(folder, name, labels):
    """Writes the files of a data set: image i of 28 by 28 has the pixel i in its first place."""
    folder = folder / name
    folder.mkdir()
    for file in files(name):
        if "images" in file:
            images = np.zeros((len(labels), 28, 28), np.uint8)
            images[:, 0, 0] = np.arange(len(labels))
            content = struct.pack(">4i", 2051, *images.shape) + images.tobytes()
        else:
            content = struct.pack(">2i", 2049, len(labels)) + bytes(labels)
        (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("dataset", "labels"), [(MNIST, [2, 0, 1, 9]), (EMNIST_LETTERS, [3, 1, 2, 26])], ids=str
)
def test_labels_are_counted_from_0(tmp_path, asked, dataset, labels):
    put(tmp_path, dataset.name, labels)
    data = mnist.load(dataset, tmp_path, CPU)
    expected = [label - min(labels) for label in labels]
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == (expected, expected)
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert data.train_images.shape == data.test_images.shape == (4, 784)
    assert (data.train_images[:, 0] * 255).tolist() == pytest.approx([0, 1, 2, 3])
    assert data.dataset is dataset
    assert mnist.load(dataset, tmp_path, CPU) is data
    assert asked == [dataset.name]


def test_an_own_data_set_needs_no_file(tmp_path, asked):
    inputs, labels = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([1, 0, 1, 0])
    own = Dataset.of("own", lambda: (inputs, labels, inputs[:2], labels[:2]))
    mnist.prepare(own, tmp_path)
    data = mnist.load(own, tmp_path, CPU)
    assert torch.equal(data.train_images, torch.from_numpy(inputs))
    assert torch.equal(data.test_images, torch.from_numpy(inputs[:2]))
    assert (data.train_labels.tolist(), data.test_labels.tolist()) == ([1, 0, 1, 0], [1, 0])
    assert asked == []


def test_files_are_prepared_by_name(tmp_path, asked):
    mnist.prepare(MNIST, tmp_path)
    mnist.prepare(EMNIST_LETTERS, tmp_path)
    assert asked == ["mnist", "emnist-letters"]
    assert files("mnist") == [*FILES]


class Unreadable:
    """Such as a tensor on a GPU."""

    def __array__(self, *_, **__):
        raise TypeError("can't convert\nthis")


@pytest.mark.parametrize(("place", "name"), [(0, "training inputs"), (3, "test labels")])
def test_what_cannot_be_made_an_array_is_named(place, name):
    arrays = [np.zeros((2, 3)), np.array([0, 1]), np.zeros((2, 3)), np.array([0, 1])]
    arrays[place] = Unreadable()
    line = f"^the {name} cannot be made an array: can't convert this$"
    with pytest.raises(ValueError, match=line) as error:
        Dataset.of("own", lambda: arrays)
    assert error.value.__suppress_context__
