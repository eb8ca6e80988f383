"""Translates optimizers, as PyTorch computes them, into the numbers that `kernels` applies to rows."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from ...optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .layout import Kept, Network, Rule, Steps, zeros


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


def kept_at_first(optimizer: Optimizer, network: Network) -> tuple[Kept, ...]:
    """Returns its state for each layer before the first step."""
    square = optimizer.initial_accumulator_value if isinstance(optimizer, Adagrad) else 0
    layers = []
    for weights in network:
        kept = Kept(*(zeros(*weights.shape) for _ in Kept._fields))
        kept.square.fill(square)
        layers.append(kept)
    return tuple(layers)


def _fields(optimizer: Optimizer) -> dict[str, Any]:
    return {each.name: getattr(optimizer, each.name) for each in fields(cast(Any, optimizer))}
