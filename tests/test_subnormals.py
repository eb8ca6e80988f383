"""No subnormal numbers on a CPU: in PyTorch's threads, in parameters, moments, activations."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from model.data.mnist import Data
from model.dataset import MNIST
from model.engines import eager
from model.engines.numba_loop.layout import Kept
from model.evaluate import evaluate
from model.experiment import Experiment
from model.network import stack_parameters
from model.optimizers import Adam
from model.subnormals import flushed

from .data import EXAMPLES, NETWORK, made_up
from .test_engines import FAST

SMALLEST = torch.finfo(torch.float32).tiny


def subnormals(tensors: list[Tensor]) -> int:
    return sum(((t != 0) & (t.abs() < SMALLEST)).sum().item() for t in tensors)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_of_pytorchs_threads_flush_and_then_stop(threads, count):
    torch.set_num_threads(count)
    small = torch.full((300_000,), SMALLEST)
    assert subnormals([small * 0.5]) == len(small)  # now the threads exist
    with flushed():
        assert subnormals([small * 0.5]) == 0
        assert sys.float_info.min / 2 == 0
        with flushed():
            pass
        assert subnormals([small * 0.5]) == 0  # the outer block goes on
        assert sys.float_info.min / 2 == 0
    assert subnormals([small * 0.5]) == len(small)
    assert sys.float_info.min / 2 != 0


def test_flushing_ends_if_the_block_raises():
    with pytest.raises(KeyError), flushed():
        raise KeyError
    assert sys.float_info.min / 2 != 0


def rarely_lit() -> Data:
    """Returns images with pixels that are lit only in the first one, so their moments then decay."""
    images = made_up().train_images.clone()
    images[0, :100] = 1
    return Data(MNIST, images, made_up().train_labels, made_up().test_images, made_up().test_labels)


def moments(running) -> list[Tensor]:
    """Returns Adam's moments from either CPU engine."""
    if isinstance(running, eager.Engine):
        (optimizer,) = running._optimizers
        return [state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    ((part,),) = running._parts
    (kept,) = (each for each in part.args if isinstance(each, tuple) and isinstance(each[0], Kept))
    return [torch.from_numpy(array) for layer in kept for array in (layer.buffer, layer.square)]


ADAM = Experiment(optimizer=Adam(1e-3), batch_size=1, epochs=1)


def test_adams_moments_become_subnormal_if_not_flushed():
    running = eager.Engine(ADAM, rarely_lit(), (0,))
    eager.Engine.epoch.__wrapped__(running, torch.arange(EXAMPLES)[None], ADAM.constant_rates(EXAMPLES))
    assert subnormals(moments(running)) > 1000


@pytest.mark.parametrize("engine", [eager, *FAST], ids=lambda engine: engine.NAME)
def test_adams_moments_do_not_become_subnormal(engine):
    running = engine.Engine(ADAM, rarely_lit(), (0,))
    running.epoch(torch.arange(EXAMPLES)[None], ADAM.constant_rates(EXAMPLES))
    assert subnormals(moments(running) + running.parameters()) == 0


@pytest.mark.parametrize("replicates", [1, 2])
def test_no_activations_become_subnormal(replicates):
    """In the second layer, sigmoid(-87.5) = 1.0e-38, which weights of 1e38 would turn into logits."""
    parameters = stack_parameters([NETWORK.build(0, seed) for seed in range(replicates)])
    on = (made_up().test_images, made_up().test_labels)
    parameters[3][:] = -87.5
    parameters[4][:, :, 0] = 1e38
    assert evaluate.__wrapped__(NETWORK, parameters, *on).loss != pytest.approx(math.log(10))
    assert evaluate(NETWORK, parameters, *on).loss == pytest.approx(math.log(10))
