"""The compiled evaluation compared with PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

import numpy as np
import pytest
import torch

import model.evaluate
from model.engines.numba_loop import compilation, evaluation
from model.engines.numba_loop.arrays import paired
from model.evaluate import _tally, evaluate
from model.network import stack_parameters

from .data import NETWORK, build_network, made_up

pytestmark = pytest.mark.skipif(
    compilation.numba_unavailable() is not None, reason="Numba cannot run here"
)

IMAGES, LABELS = made_up().train_images, made_up().train_labels


def networks(seeds=(0,), **changes: float) -> list[torch.Tensor]:
    """Returns stacked networks that predict every class, with some first entries changed to a value."""
    parameters = [10 * p for p in stack_parameters([build_network("default", s) for s in seeds])]
    for index, value in changes.items():
        parameters[int(index.removeprefix("p"))][:, :1] = value
    return parameters


@pytest.mark.parametrize("chunk", [1025, 1024, 1023, 100, 3, 2, 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_it_agrees_with_pytorch(monkeypatch, threads, chunk):
    monkeypatch.setattr(evaluation, "_CHUNK", chunk)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    network = [p[0] for p in networks()]
    loss, hits, predictions = evaluation.tally(NETWORK, network, IMAGES, LABELS)
    expected_loss, expected_hits, expected_predictions = _tally(NETWORK, network, IMAGES, LABELS)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert len(hits.nonzero()) > 1
    assert hits.tolist() == expected_hits.tolist()
    assert predictions.tolist() == expected_predictions.tolist()


def _dense(pairs, inputs):
    """Returns the images of `Pairs`, in their order: (pairs, 2, inputs)."""
    found = np.zeros((len(pairs.images), 2, inputs), np.float32)
    for pair in range(len(pairs.images)):
        mine = slice(pairs.starts[pair], pairs.starts[pair + 1])
        assert (np.diff(pairs.columns[mine].astype(int)) > 0).all(), "a sum keeps the order of inputs"
        found[pair][:, pairs.columns[mine]] = pairs.values[mine].T
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 1023, 1024])
def test_every_image_is_in_one_pair(count):
    images = IMAGES[:count]
    pairs = paired(images)
    assert len(pairs.images) == (count + 1) // 2
    in_pairs = pairs.images.reshape(-1)
    if count % 2:
        assert in_pairs[-1] == in_pairs[-2], "the last image is its own partner"
        in_pairs = in_pairs[:-1]
    assert sorted(in_pairs) == [*range(count)]
    assert (_dense(pairs, images.shape[1]) == images.numpy()[pairs.images]).all()


def test_a_pair_has_no_input_that_is_0_in_both():
    pairs = paired(IMAGES)
    assert (pairs.values != 0).any(axis=1).all()
    assert (pairs.values == 0).any(), "images differ"


@pytest.mark.parametrize("inputs", [3, 40])
def test_pairs_are_alike(inputs):
    """Of images that are each one of four patterns, in random order, all pairs are equal."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(4, inputs, generator=generator).relu() + torch.eye(4, inputs)
    kinds = torch.arange(4).repeat(16)[torch.randperm(64, generator=generator)]
    pairs = paired(patterns[kinds])
    assert (kinds.numpy()[pairs.images[:, 0]] == kinds.numpy()[pairs.images[:, 1]]).all()


def test_an_images_loss_does_not_depend_on_its_partner(monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK", 1)  # so that no losses are added up in float32
    network = [p[0] for p in networks()]

    def loss(images, labels):
        return evaluation.tally(NETWORK, network, images, labels)[0].item()

    alone = [loss(IMAGES[i : i + 1], LABELS[i : i + 1]) for i in range(9)]
    assert len({*alone}) == 9
    for some in ([0, 1], [1, 2, 0], [8, 4], [3, 5, 6, 7, 0]):
        assert loss(IMAGES[some], LABELS[some]) == pytest.approx(sum(alone[i] for i in some), rel=1e-15)


def test_blank_images_are_evaluated():
    network, blank = [p[0] for p in networks()], torch.zeros_like(IMAGES[:3])
    loss, hits, predictions = evaluation.tally(NETWORK, network, blank, LABELS[:3])
    expected, *counts = _tally(NETWORK, network, blank, LABELS[:3])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert [hits.tolist(), predictions.tolist()] == [each.tolist() for each in counts]


@pytest.fixture
def untried() -> Iterator[None]:
    """Forgets, before and after, whether the compiled evaluation is right."""
    model.evaluate._compiled_holds.cache_clear()
    yield
    model.evaluate._compiled_holds.cache_clear()


def raising(*_):
    raise RuntimeError("illegal instruction")


def off(_, network, images, labels):
    """Returns a loss that is off by slightly more than rounding."""
    return (_tally(NETWORK, network, images, labels)[0] * (1 + 1.1e-5), None, None)


def blind(_, network, images, labels):
    return _tally(NETWORK, network, torch.zeros_like(images), labels)


def wrong_about_zeros(_, network, images, labels):
    return _tally(NETWORK, network, images.where(images != 0, 1), labels)


WRONG = "its loss is *, PyTorch's is *"


@pytest.mark.parametrize(
    ("tally", "reason"),
    [
        (raising, "it raised RuntimeError: illegal instruction"),
        (off, WRONG),
        (blind, WRONG),
        (wrong_about_zeros, WRONG),
    ],
)
def test_if_it_is_wrong_pytorch_evaluates(untried, monkeypatch, capsys, tally, reason):
    expected = evaluate(NETWORK, networks(), IMAGES, LABELS).loss
    model.evaluate._compiled_holds.cache_clear()
    monkeypatch.setattr(model.evaluate, "compiled_tally", tally)
    for _ in range(2):
        assert evaluate(NETWORK, networks(), IMAGES, LABELS).loss == pytest.approx(expected, rel=1e-6)
    (line,) = capsys.readouterr().err.splitlines()
    assert fnmatch(line, f"the compiled evaluation is not used, PyTorch evaluates: {reason}")


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("p1", "p5") for value in (float("nan"), 3e38, -3e38)),
        *({name: float("inf")} for name in ("p0", "p4")),
    ],
    ids=str,
)
def test_values_that_overflow_or_are_not_finite_are_evaluated_as_by_pytorch(changes):
    """An infinite weight of a pixel that is never lit makes PyTorch's logits NaN."""
    parameters = networks((0, 1), **changes)
    found = evaluate(NETWORK, parameters, IMAGES, LABELS)
    for replicate in range(2):
        loss, hits, predictions = _tally(NETWORK, [p[replicate] for p in parameters], IMAGES, LABELS)
        assert found.loss[replicate] == pytest.approx(loss.item() / len(IMAGES), rel=1e-6, nan_ok=True)
        assert found.predictions[replicate].tolist() == predictions.tolist()
        assert found.accuracy[replicate] == hits.sum().item() / len(IMAGES)


@pytest.fixture
def compiled(untried, monkeypatch) -> list[torch.Tensor]:
    """Makes the compiled evaluation off by rounding; returns a list of the images it evaluates."""
    asked = []

    def tally(_, network, images, labels):
        asked.append(images)
        loss, *counts = _tally(NETWORK, network, images, labels)
        return (loss * (1 + 0.9e-5), *counts)

    monkeypatch.setattr(model.evaluate, "compiled_tally", tally)
    return asked


def test_it_evaluates_if_all_parameters_are_finite(compiled):
    evaluate(NETWORK, networks((0, 1)), IMAGES, LABELS)
    assert [len(images) for images in compiled] == [50, len(IMAGES), len(IMAGES)]
    evaluate(NETWORK, networks(p0=float("inf")), IMAGES, LABELS)
    assert len(compiled) == 3


def test_pytorch_evaluates_if_it_cannot_run(compiled, monkeypatch):
    monkeypatch.setattr(model.evaluate, "numba_unavailable", lambda: "Numba is missing")
    assert evaluate(NETWORK, networks(), IMAGES, LABELS).accuracy[0] > 0
    assert compiled == []


def test_a_class_without_images_has_no_accuracy():
    some = LABELS < 9
    found = evaluate(NETWORK, networks(), IMAGES[some], LABELS[some])
    assert found.class_accuracy.shape == found.predictions.shape == (1, 10)
    assert [bool(nan) for nan in np.isnan(found.class_accuracy[0])] == [False] * 9 + [True]


def test_sums_are_in_double_precision_and_counts_are_integers():
    loss, hits, predictions = _tally(NETWORK, [p[0] for p in networks()], IMAGES, LABELS)
    assert (loss.dtype, hits.dtype, predictions.dtype) == (torch.float64, torch.int64, torch.int64)
