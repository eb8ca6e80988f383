"""Which CUDA graphs are captured, and which of them an epoch replays: plain arithmetic."""

from __future__ import annotations

# Steps of the graphs. With these an epoch of MNIST takes at most 129 replays (at batch size 1; at
# 100, five), while all four together are 585 steps to capture, and some ten thousand operations.
STEPS = (512, 64, 8, 1)


def graphs(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """The graphs, as (steps, examples a batch), that epochs and parts of them are made of."""
    whole, rest = divmod(examples, batch_size)
    shorter_last = [(1, rest)] if rest else []
    return [(steps, batch_size) for steps in STEPS if steps <= whole] + shorter_last


def schedule(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """The graphs to replay, in turn, for the next so many examples of an epoch."""
    steps, rest = divmod(examples, batch_size)
    replays = []
    for length in STEPS:
        replays += [(length, batch_size)] * (steps // length)
        steps %= length
    return replays + ([(1, rest)] if rest else [])
