"""Steps of Adam that rows without a gradient miss, and make up for when they are next read."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from model.data.mnist import Data
from model.engines import eager
from model.engines.numba_loop import engine as numba_loop
from model.engines.numba_loop.rules import deferred
from model.experiment import Experiment
from model.optimizers import SGD, Adam, AdamW

from .data import first

RATE = 0.001
ADAM = Adam(RATE)
WAIT = 1000  # 1 / (1 - beta2) with the default betas

schedules = pytest.mark.parametrize(
    "rates",
    [np.full(400, RATE), np.linspace(RATE, 0, 400), RATE * (1 + np.sin(np.arange(400)))],
    ids=["constant", "linear", "waves"],
)


def step_by_step(rates, before, since, until, root, eps=1e-8):
    """Returns what the steps from `since` to `until` add to a weight with m = 1 and v = root**2."""
    total, m, v = 0.0, 1.0, root**2
    for step in range(since, until):
        number = before + step + 1
        m, v = 0.9 * m, 0.999 * v
        size = math.sqrt(v / (1 - 0.999**number)) + eps
        total -= rates[step] / (1 - 0.9**number) * m / size
    return total


def at_once(rates, before, since, until, root, eps=1e-8):
    found, missed = deferred(ADAM, before, rates), until - since
    a = found.without_eps[since] - found.ratio[missed] * found.without_eps[until]
    b = found.eps_alone[since] - found.beta1[missed] * found.eps_alone[until]
    return a / (root + eps * a / b)


@schedules
@pytest.mark.parametrize("before", [WAIT, 50 * WAIT])
@pytest.mark.parametrize("since", [0, 7, 300])
@pytest.mark.parametrize("missed", [1, 2, 10, 99])
@pytest.mark.parametrize(
    ("root", "error"), [(1.0, 1e-7), (1e-3, 1e-6), (1e-7, 1.5e-5), (1e-8, 1.5e-5), (1e-15, 1e-6)]
)
def test_all_at_once_is_step_by_step(rates, before, since, missed, root, error):
    """It is exact where eps is negligible or all there is, and right to the bound in between."""
    expected = step_by_step(rates, before, since, since + missed, root)
    assert at_once(rates, before, since, since + missed, root) == pytest.approx(expected, rel=error)


def test_a_rate_of_zero_moves_nothing():
    found = deferred(ADAM, WAIT, np.zeros(10))
    assert not found.without_eps.any()
    assert not found.eps_alone.any()


@pytest.mark.parametrize(
    ("before", "steps", "first_deferred"),
    [
        (0, 999, 999),
        (0, 1000, 1000),
        (0, 1001, 1000),
        (999, 10, 1),
        (1000, 10, 0),
        (1001, 10, 0),
        (10**6, 10, 0),
    ],
)
def test_the_first_steps_are_never_deferred(before, steps, first_deferred):
    found = deferred(ADAM, before, np.full(steps, RATE))
    assert found.first == first_deferred
    assert {len(each) for each in found[2:]} == {steps + 1}


@pytest.mark.parametrize(
    ("optimizer", "defers"),
    [
        (Adam(10), True),
        (Adam(RATE, betas=(0.8, 0.999)), True),
        (Adam(RATE, betas=(0.9, 0.9999)), True),
        (AdamW(RATE, weight_decay=0), True),
        (Adam(RATE, betas=(0.9, 0.99)), False),
        (Adam(RATE, betas=(0.99, 0.999)), False),
        (Adam(RATE, betas=(0.99, 0.9)), False),
        (Adam(RATE, betas=(0, 0.999)), False),
        (Adam(RATE, betas=(0.9, 0)), False),
        (Adam(RATE, weight_decay=1e-4), False),
        (Adam(RATE, eps=1e-37), False),
        (AdamW(RATE), False),
        (SGD(RATE), False),
        (None, False),
    ],
    ids=lambda value: getattr(value, "label", str(value)),
)
def test_only_adam_without_decay_defers(optimizer, defers):
    found = deferred(optimizer, 10**6, np.full(5, RATE))
    assert (found.first, len(found.ratio)) == ((0, 6) if defers else (5, 0))


@pytest.mark.parametrize(("batch_size", "defers"), [(1, True), (63, True), (64, False), (300, False)])
def test_batches_that_several_threads_may_share_defer_nothing(batch_size, defers):
    engine = numba_loop.Engine(
        Experiment(optimizer=ADAM, batch_size=batch_size, epochs=1), first(100), (0,)
    )
    assert (len(engine._factors(np.full(5, RATE))[1].ratio) > 0) == defers


def rare() -> Data:
    """Returns 1,020 examples: pixel 300 is lit only in two, which come in steps 1,100 and 1,160 again.

    Pixel 5 is never lit.
    """
    few = first(1020)
    images = few.train_images.clone()
    images[:, [5, 300]] = 0
    images[[80, 140], 300] = 1
    return Data(few.dataset, images, few.train_labels, few.test_images, few.test_labels)


def weights(engine, experiment, data, calls, seeds=(0,)):
    """Returns the first layer's weights (replicates, inputs, units) after calls of so many steps."""
    running, at = engine.Engine(experiment, data, seeds), 0
    batch, found = experiment.batch_size, []
    for steps in calls:
        order = torch.arange(at, at + steps * batch)[None].expand(len(seeds), -1)
        running.epoch(order % len(data.train_images), np.full(steps, experiment.learning_rate))
        found.append(running.parameters()[0].double())
        at += steps * batch
    return found


@pytest.mark.parametrize("optimizer", [ADAM, Adam(1e-4, betas=(0.8, 0.999), eps=1e-5)])
def test_a_row_that_is_rarely_lit_moves_as_in_eager(optimizer):
    """It is seen before the forward pass of the example that lights it again, and at each call's end."""
    experiment = Experiment(optimizer=optimizer, batch_size=1, epochs=1)
    data, calls = rare(), (1100, 1, 30, 29, 1, 139)
    ours = weights(numba_loop, experiment, data, calls)
    theirs = weights(eager, experiment, data, calls)
    rows = [(each[0][0, 300], each[1][0, 300]) for each in zip(ours, theirs, strict=True)]
    for before, after in pairwise(rows):
        mine, moved = (now - then for now, then in zip(after, before, strict=True))
        assert moved.abs().max() > optimizer.learning_rate / 100, "it moves in each call"
        assert ((mine - moved).abs() <= 1e-3 * moved.abs() + 1e-7).double().mean() > 0.95
    in_one = weights(numba_loop, experiment, data, (1300,))[-1][0, 300]
    assert (in_one - rows[-1][1]).abs().median() < 1e-6
    assert torch.equal(ours[-1][0, 5], ours[0][0, 5])


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_training_with_deferred_steps_is_eagers(batch_size):
    experiment = Experiment(optimizer=Adam(1e-4), batch_size=batch_size, epochs=1)
    data = first(600)
    (ours,), (theirs,) = (weights(each, experiment, data, (1400,)) for each in (numba_loop, eager))
    error, moved = (ours - theirs).abs(), (theirs - weights(eager, experiment, data, (1,))[0]).abs()
    assert (error <= 1e-3 * moved + 1e-5).float().mean() > 0.95


def test_replicates_that_defer_steps_do_not_depend_on_others():
    experiment = Experiment(optimizer=ADAM, batch_size=1, epochs=1)
    torch.set_num_threads(2)
    (together,), (again,) = (
        weights(numba_loop, experiment, first(600), (1400,), (3, 4)) for _ in range(2)
    )
    (alone,) = weights(numba_loop, experiment, first(600), (1400,), (4,))
    torch.set_num_threads(1)
    assert torch.equal(together, again)
    assert torch.equal(together[1], alone[0])
