"""Translates optimizers, as PyTorch computes them, into the numbers that `kernels` applies to rows."""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import accumulate
from typing import Any, cast

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from ...optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .layout import Deferred, Kept, Network, Rule, Steps, zeros

_DEFERRAL_ERROR = 2e-5  # the largest relative error of a deferred update that is accepted
_LEAST_EPS = 1e-30  # from which eps * A / B, in `deferred`, is surely a normal float32


def rule_of(optimizer: Optimizer) -> Rule:
    """Returns the optimizer's rule, which is the same in every step."""
    given = _fields(optimizer)
    memory, fresh = 0.0, 0.0
    match optimizer:
        case Adam(betas=(_, memory)) | RMSprop(alpha=memory):
            fresh = 1 - memory
        case Adagrad():
            memory, fresh = 1.0, 1.0
    return Rule(
        direct=isinstance(optimizer, SGD) and not optimizer.moves_all,
        sparse=not optimizer.moves_all,
        quiet=given["weight_decay"] == 0,
        adam=isinstance(optimizer, Adam),
        divides=isinstance(optimizer, RMSprop | Adagrad),
        centered=given.get("centered", False),
        nesterov=given.get("nesterov", False),
        memory=float32(memory),
        fresh=float32(fresh),
        eps=float32(given.get("eps", 0)),
        momentum=float32(given.get("momentum", 0)),
    )


def steps_of(optimizer: Optimizer, before: int, rates: NDArray[np.float64]) -> Steps:
    """Returns its factors for the steps after the first `before`, at the learning rates (steps,)."""
    ones = np.ones_like(rates)
    number = before + np.cumsum(ones)
    scale, gain, correction, stride = ones, ones, ones, -rates
    match optimizer:
        case SGD(momentum=0):
            scale, stride = -rates, ones
        case SGD(dampening=dampening):
            gain = np.where(number == 1, 1, 1 - dampening)
        case Adam(betas=(beta1, beta2)):
            gain = (1 - beta1) * ones
            correction = 1 / np.sqrt(1 - beta2**number)
            stride = -rates / (1 - beta1**number)
        case Adagrad(lr_decay=lr_decay):
            stride = -rates / (1 + (number - 1) * lr_decay)
    weight_decay = _fields(optimizer)["weight_decay"]
    if isinstance(optimizer, AdamW):
        decay, shrink = 0 * ones, 1 - weight_decay * rates
    else:
        decay, shrink = weight_decay * scale, ones
    with np.errstate(over="ignore"):  # infinite in PyTorch too
        return Steps(
            *(each.astype(float32) for each in (scale, decay, shrink, gain, correction, stride))
        )


def deferred(optimizer: Optimizer | None, before: int, rates: NDArray[np.float64]) -> Deferred:
    """Returns what rows need to make up for deferred steps of Adam, after the first `before`.

    If a row has had no gradient since an update that left the moments m and v, the i-th step since then
    adds to a weight

        stride_i * beta1**i * m / (sqrt(beta2**i * v) * correction_i + eps)

    Where eps is negligible, the steps add m / sqrt(v) * A in total, where A is the sum of
    stride_i / correction_i * (beta1 / sqrt(beta2))**i. Where all but eps is negligible, they add
    m / eps * B, where B is the sum of stride_i * beta1**i. The kernel adds

        m * A / (sqrt(v) + eps * A / B)

    which is exact in both cases. In between, its relative error is below 1.5e-5 with the default betas,
    since sqrt(beta2**i) * correction_i hardly changes before beta1**i has decayed. A and B are
    differences between sums over all steps that are left, so that a row needs no loop over its steps.

    The correction changes fast at first, so the first 1 / (1 - beta2) steps are not deferred. No step is
    if the optimizer has a weight decay, or betas for which the error would be larger.
    """
    steps = len(rates)
    wait = _steps_before_deferral(optimizer)
    if wait is None or not steps:
        return Deferred(steps, 0.0, *np.zeros((5, 0)))
    assert isinstance(optimizer, Adam)
    beta1, beta2 = optimizer.betas
    ratio, powers = beta1 / math.sqrt(beta2), np.arange(steps + 1)
    number = before + 1 + np.arange(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        stride = -rates / (1 - beta1**number)
        without_eps = _remaining(stride * np.sqrt(1 - beta2**number), ratio)
        eps_alone = _remaining(stride, beta1)
        return Deferred(
            min(steps, max(0, wait - before)),
            optimizer.eps,
            without_eps,
            eps_alone,
            np.power(ratio, powers, dtype=np.float64),
            np.power(beta1, powers, dtype=np.float64),
            np.power(beta2, powers, dtype=np.float64),
        )


def _steps_before_deferral(optimizer: Optimizer | None) -> int | None:
    """Returns the number of steps after which some may be deferred; None if none ever may.

    In `deferred`, the relative error is at most a quarter of the variance of the logarithm of
    sqrt(beta2**i) * correction_i, which changes by `change` per step. The weights of the steps, and with
    them i, are distributed geometrically, with the standard deviation `deviation`.
    """
    if not isinstance(optimizer, Adam) or optimizer.weight_decay != 0 or optimizer.eps < _LEAST_EPS:
        return None
    beta1, beta2 = optimizer.betas
    if not 0 < beta1 < math.sqrt(beta2) < 1:
        return None
    wait = math.ceil(1 / (1 - beta2))
    change = (1 - beta2) / 2 * (1 + beta2**wait / (1 - beta2**wait))
    ratio = beta1 / math.sqrt(beta2)
    deviation = math.sqrt(ratio) / (1 - ratio)
    return wait if (change * deviation) ** 2 / 4 <= _DEFERRAL_ERROR else None


def _remaining(factors: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Returns for 0 to all steps the sum over the later ones of ratio**i times the i-th factor."""
    sums = accumulate(factors[::-1].tolist(), lambda rest, factor: ratio * (factor + rest), initial=0.0)
    return np.array(list(sums))[::-1].copy()


def kept_at_first(optimizer: Optimizer, network: Network) -> tuple[Kept, ...]:
    """Returns its state for each layer before the first step."""
    square = optimizer.initial_accumulator_value if isinstance(optimizer, Adagrad) else 0
    layers = []
    for weights in network:
        state = (zeros(*weights.shape) for _ in range(4))
        kept = Kept(*state, *(np.zeros(len(weights), np.uint32) for _ in range(2)))
        kept.square.fill(square)
        layers.append(kept)
    return tuple(layers)


def _fields(optimizer: Optimizer) -> dict[str, Any]:
    return {each.name: getattr(optimizer, each.name) for each in fields(cast(Any, optimizer))}
