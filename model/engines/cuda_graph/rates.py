"""Which CUDA graphs are captured, and which of them an epoch replays; needs no device."""

from __future__ import annotations

# Steps per graph. An epoch of MNIST then takes at most 129 replays (at batch size 1; five at 100),
# and the four graphs together capture 585 steps, some ten thousand operations.
STEPS = (512, 64, 8, 1)


def graphs(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """Returns the graphs to capture, as (steps, batch size); epochs and their parts consist of these."""
    whole, rest = divmod(examples, batch_size)
    shorter_last = [(1, rest)] if rest else []
    return [(steps, batch_size) for steps in STEPS if steps <= whole] + shorter_last


def schedule(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """Returns the graphs to replay, in order, for the next `examples` examples of an epoch."""
    steps, rest = divmod(examples, batch_size)
    replays = []
    for length in STEPS:
        replays += [(length, batch_size)] * (steps // length)
        steps %= length
    return replays + ([(1, rest)] if rest else [])
