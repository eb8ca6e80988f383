"""Evaluation by the engine's forward pass, on all cores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ...network import MLP
from .arrays import padded_network, paired
from .compilation import compile_first, kernels
from .layout import PairWorkspace

# Images per call, whose losses are summed in float32; the same as in PyTorch's evaluation.
_CHUNK = 1000


def tally(
    network: MLP, parameters: list[Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns one replicate's summed cross-entropy (float64), and its hits and predictions by class.

    All parameters must be finite: a product of 0 and an infinity would be skipped. The results do not
    depend on the number of threads.
    """
    evaluation, pairs = kernels(network).evaluate_pairs, paired(images)
    at_once = max(1, _CHUNK // 2)
    starts = range(0, len(pairs.images), at_once)
    losses = torch.zeros(len(images))
    hits, predictions = torch.zeros(2, len(starts), network.classes, dtype=torch.int64)
    stacked = [parameter[None] for parameter in parameters]
    shared = (pairs, labels.numpy(), padded_network(network, stacked))

    def evaluate(chunk: int, start: int, end: int) -> None:
        counts = (hits[chunk].numpy(), predictions[chunk].numpy())
        evaluation(*shared, PairWorkspace.zeros(network), start, end, losses.numpy(), *counts)

    compile_first(evaluation, "evaluation", lambda: evaluate(0, 0, 0))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        done = [
            pool.submit(evaluate, chunk, start, min(start + at_once, len(pairs.images)))
            for chunk, start in enumerate(starts)
        ]
    for each in done:
        each.result()
    # In float32 by chunks, as in PyTorch's evaluation.
    chunks = [chunk.double().sum().float() for chunk in losses.split(_CHUNK)]
    return torch.stack(chunks).double().sum(), hits.sum(dim=0), predictions.sum(dim=0)
