"""What the measurement of speed measures engines against."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.hardware import engine_speed
from harness.hardware.roofline import dense_flops
from model.engines import eager
from model.experiment import Experiment

from .data import EXAMPLES, made_up


def counted(batch_size: int) -> int:
    """The operations of the matrix products in one step of eager's, as PyTorch counts them."""
    case = Experiment(learning_rate=0.1, batch_size=batch_size, epochs=1)
    with FlopCounterMode(display=False) as counter:
        eager.Engine(case, made_up(), (0,)).epoch(torch.arange(batch_size)[None])
    return counter.get_total_flops()


def test_a_steps_matrix_products_are_counted_as_pytorch_does():
    for batch_size in (1, 100, 1000):
        assert dense_flops(batch_size) == counted(batch_size)


def test_the_share_of_the_peak_is_of_the_examples_that_a_step_has(monkeypatch):
    """A batch larger than the training set is all of it, and no more."""
    monkeypatch.setattr(engine_speed, "ENGINES", (eager,))
    monkeypatch.setattr(engine_speed, "peak", lambda device: 1e9)
    monkeypatch.setattr(engine_speed, "roofline_bound", lambda work, device: (1.0, "operations"))
    case = Experiment(learning_rate=0.1, batch_size=60000, epochs=1)
    (row,) = engine_speed.measure(case, made_up(), replicates=1)
    assert row["share_of_peak"] * row["us_per_step"] == pytest.approx(counted(EXAMPLES) / 1e9 * 1e6)
    assert "of peak" in engine_speed.render([row])
