"""The peers that engines are compared with take the same steps as eager, if they are installed."""

from __future__ import annotations

import pytest
import torch

from harness.engine_speeds import peers
from model.engines import eager
from model.engines.proof import distance
from model.experiment import Experiment
from model.optimizers import SGD

from .data import NAMED, made_up

ORDER = torch.arange(1000)[None]


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.03), ("adam", 1e-4)])
def test_jax_takes_the_same_steps_as_eager(optimizer, rate):
    pytest.importorskip("jax")
    experiment = Experiment(optimizer=NAMED[optimizer](rate), batch_size=50, epochs=1)
    reference, jax = (each(experiment, made_up(), (0,)) for each in (eager.Engine, peers.Jax))
    for half in (ORDER[:, :500], ORDER[:, 500:]):
        reference.epoch(half, experiment.constant_rates(500))
        jax.epoch(half, experiment.constant_rates(500))
    assert distance(jax.parameters(), reference.parameters()) < 1e-5


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.03), ("adam", 1e-4)])
def test_torch_compile_takes_the_same_steps_as_eager(monkeypatch, optimizer, rate):
    """The function is not compiled here, since that takes a minute."""
    monkeypatch.setattr(torch, "compile", lambda function: function)
    experiment = Experiment(optimizer=NAMED[optimizer](rate), batch_size=50, epochs=1)
    reference, peer = (each(experiment, made_up(), (0,)) for each in (eager.Engine, peers.TorchCompile))
    reference.epoch(ORDER, experiment.constant_rates(1000))
    peer.epoch(ORDER, experiment.constant_rates(1000))
    assert distance(peer.parameters(), reference.parameters()) == 0


def test_a_peer_that_cannot_run_is_left_out_and_reported(monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no compiler\nmore of it")

    fine = peers.Peer("fine", eager.HONOURS, eager.Engine)
    monkeypatch.setattr(peers, "PEERS", (peers.Peer("broken", eager.HONOURS, broken), fine))
    experiment = Experiment(optimizer=SGD(0.1), batch_size=50, epochs=1)
    assert [peer for peer, _ in peers.ready(experiment, made_up(), ORDER)] == [fine]
    assert capsys.readouterr().err == "broken is left out: no compiler\n"
