"""Experiments, orders, the network and its training by the reference engine."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from model import stopwatch
from model.data.presentation_order import epoch_order
from model.dataset import KMNIST
from model.engines import ENGINES, EngineError, choose_engine, eager
from model.evaluate import evaluate
from model.experiment import OUTCOMES, Experiment, classify_outcome
from model.network import stack_parameters
from model.observers import STREAM, Observer
from model.optimizers import SGD
from model.train import _distance, _outcomes, train

from .data import NETWORK, PARAMETERS, build_network, made_up, made_up_training

CPU = torch.device("cpu")
DATA = made_up()


def experiment(**changed):
    return Experiment(**{"optimizer": SGD(0.1), "batch_size": 100, "epochs": 1, **changed})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "rmsprop"),
        ("optimizer", SGD),
        ("order", "sorted"),
        ("dataset", "cifar10"),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("epochs", -1),
        ("batch_size", True),
        ("batch_size", "1"),
        ("order", ["shuffled"]),
        ("init", True),
        ("init", [0]),
        ("init", "xavier"),
        ("init", math.nan),
    ],
)
def test_an_invalid_experiment_is_refused_naming_the_field(field, value):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{field} is {value!r}; expected ')}"):
        experiment(**{field: value})


def test_shuffled_orders_are_different_permutations():
    labels = DATA.train_labels.numpy()
    orders = [tuple(epoch_order("shuffled", labels, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(len(labels))) for order in orders)
    assert orders[3] == tuple(epoch_order("shuffled", labels, 1, 1))


def test_the_stream_by_class_is_sorted_and_drawn_once_per_seed():
    labels = DATA.train_labels.numpy()
    first, again, other = (
        epoch_order("by_class", labels, seed, epoch) for seed, epoch in ((0, 0), (0, 7), (1, 0))
    )
    assert (np.diff(labels[first]) >= 0).all()
    assert (first == again).all()
    assert sorted(first) == list(range(len(labels)))
    assert (first != other).any()
    assert (np.diff(first[labels[first] == 0]) < 0).any(), "the order within a class is drawn too"


def test_orders_never_change():
    """Published accuracies depend on them."""
    labels = np.array([3, 1, 3, 1, 0, 3, 1, 0, 3, 1] * 30)
    drawn = np.random.default_rng((5, 0)).permutation(300)
    assert epoch_order("by_class", labels, 5, 2).tolist() == sorted(drawn, key=lambda i: labels[i])
    drawn = np.random.default_rng((5, 2)).permutation(300)
    assert epoch_order("shuffled", labels, 5, 2).tolist() == drawn.tolist()


def test_default_initialisation_is_pytorchs_and_restores_its_generator():
    torch.manual_seed(3)
    expected = nn.Linear(784, 300).weight
    state = torch.random.get_rng_state()
    assert torch.equal(build_network("default", 3)[0].weight, expected)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_constant_initialisation_sets_every_weight_and_bias():
    for parameter in build_network(0.01, 0).parameters():
        assert (parameter == torch.tensor(0.01)).all()


def test_stacked_parameters_give_the_networks_outputs():
    networks = [build_network("default", seed) for seed in (0, 1)]
    stacked = stack_parameters(networks)
    assert [tuple(p.shape) for p in stacked] == [
        (2, 784, 300),
        (2, 300),
        (2, 300, 100),
        (2, 100),
        (2, 100, 10),
        (2, 10),
    ]
    for replicate, network in enumerate(networks):
        expected = network(DATA.test_images)
        got = NETWORK.forward([p[replicate] for p in stacked], DATA.test_images)
        torch.testing.assert_close(got, expected)


def test_evaluation_agrees_with_pytorch():
    networks = [build_network("default", seed) for seed in (0, 1)]
    result = evaluate(NETWORK, stack_parameters(networks), DATA.train_images, DATA.train_labels)
    for replicate, network in enumerate(networks):
        logits = network(DATA.train_images)
        loss = nn.functional.cross_entropy(logits, DATA.train_labels).item()
        assert result.loss[replicate] == pytest.approx(loss, rel=1e-5)
        hits = (logits.argmax(1) == DATA.train_labels).sum().item()
        assert result.accuracy[replicate] == hits / len(DATA.train_labels)
        assert result.predictions[replicate].sum() == len(DATA.train_labels)


def test_the_whole_set_as_one_batch_is_gradient_descent():
    """The gradients are written out by hand, in float64."""
    got = eager_parameters(experiment(batch_size=60000, optimizer=SGD(0.5)), epochs=3)
    w1, b1, w2, b2, w3, b3 = (p[0].double() for p in stack_parameters([build_network("default", 0)]))
    x, y = DATA.train_images.double(), nn.functional.one_hot(DATA.train_labels, 10).double()
    for _ in range(3):
        z1 = x @ w1 + b1
        h1 = z1.clamp(min=0)
        h2 = 1 / (1 + torch.exp(-(h1 @ w2 + b2)))
        p = torch.softmax(h2 @ w3 + b3, dim=1)
        d3 = (p - y) / len(x)
        d2 = d3 @ w3.T * h2 * (1 - h2)
        d1 = d2 @ w2.T * (z1 > 0)
        w1, b1 = w1 - 0.5 * x.T @ d1, b1 - 0.5 * d1.sum(0)
        w2, b2 = w2 - 0.5 * h1.T @ d2, b2 - 0.5 * d2.sum(0)
        w3, b3 = w3 - 0.5 * h2.T @ d3, b3 - 0.5 * d3.sum(0)
    for ours, by_hand in zip(got, (w1, b1, w2, b2, w3, b3), strict=True):
        assert (ours[0] - by_hand).norm() <= 1e-6 * by_hand.norm()


def eager_parameters(experiment, epochs, seeds=(0,)):
    engine = eager.Engine(experiment, DATA, seeds)
    labels = DATA.train_labels.numpy()
    for epoch in range(epochs):
        orders = np.stack([epoch_order(experiment.order, labels, seed, epoch) for seed in seeds])
        engine.epoch(torch.from_numpy(orders), experiment.constant_rates(len(labels)))
    return engine.parameters()


def test_accuracy_per_class_agrees_with_counting():
    network = build_network("default", 0)
    result = evaluate(NETWORK, stack_parameters([network]), DATA.test_images, DATA.test_labels)
    predicted = network(DATA.test_images).argmax(1)
    for digit in range(10):
        own = predicted[DATA.test_labels == digit]
        assert result.class_accuracy[0, digit] == pytest.approx((own == digit).double().mean().item())


def test_a_sorted_stream_is_evaluated_in_the_middle_and_at_the_end_of_every_class():
    settings = experiment(order="by_class", batch_size=10, epochs=2)
    result = train(settings, DATA, seeds=(0, 1), engine="eager", observers=[STREAM])
    examples, accuracy = (result.observed[f"stream_{name}"] for name in ("examples", "class_accuracy"))
    ends = np.cumsum(np.bincount(DATA.train_labels))
    assert examples.shape == (21, 2)
    assert (examples[2::2, 0] // 10 == ends // 10).all()
    assert examples[-1].tolist() == [1025, 1025]
    assert accuracy.shape == (21, 10, 2)
    shares = torch.bincount(DATA.test_labels).numpy() / len(DATA.test_labels)
    for checkpoint, epoch in ((0, 1), (-1, 2)):
        assert shares @ accuracy[checkpoint] == pytest.approx(result.test_accuracy[epoch])
    # Evaluating changes nothing.
    parameters = eager_parameters(settings, epochs=2, seeds=(0, 1))
    at_end = evaluate(NETWORK, parameters, DATA.test_images, DATA.test_labels)
    assert (at_end.loss == result.test_loss[-1]).all()
    assert train(experiment(epochs=2), DATA, observers=[STREAM]).observed == {}


@pytest.mark.parametrize(
    ("counts", "size", "checkpoints"),
    [
        ((3, 4, 5), 1, [0, 1, 3, 5, 7, 9, 12]),
        ((4, 4), 1, [0, 2, 4, 6, 8]),
        ((40, 45), 10, [0, 20, 40, 60, 85]),
    ],
)
def test_middles_and_ends_of_classes_are_rounded_down_to_batches(counts, size, checkpoints):
    labels = np.repeat(np.arange(len(counts)), counts)
    pauses = STREAM.pauses(experiment(order="by_class", batch_size=size), labels)
    assert sorted({0, *pauses, sum(counts)}) == checkpoints
    assert not STREAM.pauses(experiment(batch_size=size), labels)


def test_distances_and_outcomes_are_per_replicate():
    before, after = torch.ones(2, 3), torch.tensor([[1.0, 1.0, 1.0], [4.0, 5.0, 1.0]])
    assert _distance([before] * 2, [after, before]).tolist() == [[0, 5], [0, 0]]
    seen = SimpleNamespace(
        loss=np.array([1.0, 1.0, np.inf]), accuracy=np.full(3, 0.95), predictions=np.ones((3, 10))
    )
    fine = SimpleNamespace(loss=np.ones(3))
    parameters = [torch.ones(3, 2), torch.ones(3, 2, 2)]
    assert _outcomes(experiment(), parameters, fine, seen) == ("learned", "learned", "diverged")
    parameters[1][0, 1, 1] = float("nan")
    assert _outcomes(experiment(), parameters, fine, seen) == ("diverged", "learned", "diverged")


def test_the_clock_counts_only_training(monkeypatch):
    """On a fake clock, every part of a training takes a different time."""
    now = 0.0

    def taking(seconds, real):
        def run(*args, **kwargs):
            nonlocal now
            now += seconds
            return real(*args, **kwargs)

        return run

    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr("model.train.evaluate", taking(1000, evaluate))
    monkeypatch.setattr("model.train.epoch_order", taking(1000, epoch_order))
    monkeypatch.setattr(eager.Engine, "__init__", taking(5, eager.Engine.__init__))
    monkeypatch.setattr(eager.Engine, "epoch", taking(1, eager.Engine.epoch))
    settings = experiment(order="by_class", epochs=2)
    seen = Observer(taking(1000, STREAM.observe), taking(1000, STREAM.pauses))
    after = taking(1000, lambda *_: None)
    result = train(settings, DATA, engine="eager", observers=[seen], after_epoch=after)
    parts = len(result.observed["stream_examples"]) - 1  # of the last epoch
    assert parts > 1
    assert result.prepare_seconds == 5
    assert result.epoch_seconds.tolist() == [0, 1, 1 + parts]


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_on_cuda_the_clock_is_read_after_a_synchronise(monkeypatch, kind):
    happened = []

    def read():
        happened.append("read")
        return float(len(happened))

    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=read))
    monkeypatch.setattr(torch.cuda, "synchronize", happened.append)
    device = torch.device(kind)
    watch = stopwatch.Stopwatch(device)
    for _ in range(2):
        with watch.running():
            happened.append("epoch")
    before = [device] if kind == "cuda" else []
    assert happened == [*before, "read", "epoch", *before, "read"] * 2
    assert watch.seconds == 2 * (2 + len(before))


def test_time_to_accuracy_uses_the_first_epoch_that_reaches_it():
    curves = np.array([[0.1, 0.1], [0.92, 0.5], [0.85, 0.9], [0.95, 0.89]])
    training = made_up_training(
        experiment(epochs=3),
        (0, 1),
        steps=33,
        test_accuracy=curves,
        epoch_seconds=np.array([0, 0.5, 1.5, 2.5]),
    )
    assert training.time_to_accuracy(0.9) == {
        "epochs": [1, 2],
        "steps": [11, 22],
        "seconds": [0.5, 1.5],
    }
    assert training.time_to_accuracy(0.95)["epochs"] == [3, None]
    assert training.time_to_accuracy(0.1)["steps"] == [0, 0]


def test_training_keeps_its_curves():
    result = train(experiment(epochs=8, batch_size=32, optimizer=SGD(0.5)), DATA, seeds=(0, 1))
    assert result.steps == 8 * math.ceil(1025 / 32)
    for curve in (result.train_loss, result.train_accuracy, result.test_loss, result.test_accuracy):
        assert curve.shape == (9, 2)
    assert (np.diff(result.epoch_seconds) > 0).all()
    assert result.epoch_seconds[0] == 0
    assert result.seconds == result.epoch_seconds[-1]
    assert result.train_loss[0] == pytest.approx(math.log(10), rel=0.05)
    assert (result.test_accuracy[-1] > 0.9).all()
    assert result.outcomes == ("learned", "learned")
    epochs = [int(np.flatnonzero(curve >= 0.9)[0]) for curve in result.test_accuracy.T]
    assert result.time_to_accuracy(0.9) == {
        "epochs": epochs,
        "steps": [33 * epoch for epoch in epochs],
        "seconds": [result.epoch_seconds[epoch] for epoch in epochs],
    }
    assert result.time_to_accuracy(1.01)["seconds"] == [None, None]


def test_after_epoch_receives_the_evaluations_that_the_training_keeps():
    received = []
    settings = experiment(epochs=3, optimizer=SGD(0.5), batch_size=32)
    result = train(settings, DATA, after_epoch=lambda *given: received.append(given))
    assert result.seeds == (0,)
    assert [epoch for epoch, *_ in received] == [1, 2, 3]
    for epoch, on_train, on_test in received:
        for kept, of in (("train", on_train), ("test", on_test)):
            assert (of.loss == getattr(result, f"{kept}_loss")[epoch]).all()
            assert (of.accuracy == getattr(result, f"{kept}_accuracy")[epoch]).all()
    assert (result.predictions[:, 0] == received[-1][2].predictions[0]).all()
    assert not np.array_equal(received[-1][2].predictions, received[-2][2].predictions)


def test_an_initial_network_is_evaluated_once(monkeypatch):
    """Rows with the same initialisation, seed and data share it; no others do."""
    sets, data = [], replace(DATA)

    def counted(network, parameters, images, labels):
        sets.append(len(images))
        return evaluate(network, parameters, images, labels)

    monkeypatch.setattr("model.train.evaluate", counted)
    first = train(experiment(epochs=1), data, seeds=(0, 1))
    assert len(sets) == 2 * 2 + 2
    again = train(experiment(epochs=1, optimizer=SGD(0.3)), data, seeds=(1, 2, 0))
    assert len(sets) == 6 + 2 + 2, "seed 2 is new"
    assert first.test_loss[0].tolist() == again.test_loss[0, [2, 0]].tolist()
    assert first.train_accuracy[0].tolist() == again.train_accuracy[0, [2, 0]].tolist()
    others = (experiment(epochs=1, init=0.1), data), (experiment(epochs=1), replace(DATA))
    for number, (settings, on) in enumerate(others, start=1):
        train(settings, on, seeds=(0,))
        assert len(sets) == 10 + 4 * number


@pytest.mark.parametrize("infinite", [1, 3, 4, 5], ids=["training", "before", "training, last", "last"])
def test_an_infinite_loss_at_the_end_means_diverged(monkeypatch, infinite):
    """The sets are evaluated in turns, before and after each of two epochs."""
    order = []

    def spoilt(network, parameters, images, labels):
        of_training = len(images) == len(DATA.train_images)
        found = evaluate(NETWORK, parameters, images, labels)
        order.append("training" if of_training else "test")
        loss = found.loss * np.inf if len(order) == infinite + 1 else found.loss
        return replace(found, loss=loss)

    monkeypatch.setattr("model.train.evaluate", spoilt)
    result = train(experiment(epochs=2), replace(DATA), engine="eager")
    assert order == ["training", "test", "test", "training", "test", "training"]
    assert (result.outcome == "diverged") == (infinite in (4, 5))


def test_results_depend_only_on_the_seed():
    settings = experiment(epochs=2)
    first, again = (train(settings, DATA, seeds=(0, 1)) for _ in range(2))
    alone = train(settings, DATA, seeds=(1,))
    assert (first.test_loss == again.test_loss).all()
    assert (first.test_loss[:, 1] == alone.test_loss[:, 0]).all()
    assert (first.test_loss[:, 0] != first.test_loss[:, 1]).all()


def test_divergence_is_an_outcome():
    result = train(experiment(optimizer=SGD(1e38), batch_size=1000, epochs=2), DATA)
    assert result.outcome == "diverged"
    assert not np.isfinite(result.test_loss[-1]).any()
    assert 0 <= result.final_test_accuracy <= 1


def test_zero_initialisation_gives_a_constant_network():
    result = train(experiment(init=0, batch_size=2000, epochs=2), DATA)
    assert result.outcome == "constant"
    assert dict(zip(PARAMETERS, result.distance_from_initialisation[:, 0] > 0, strict=True)) == {
        "weight1": False,
        "bias1": False,
        "weight2": False,
        "bias2": True,  # from the second step on, through weight3
        "weight3": True,
        "bias3": True,
    }


@pytest.mark.parametrize(
    ("finite", "predicted", "accuracy", "outcome"),
    [
        (False, 10, 0.99, "diverged"),
        (True, 1, 0.1135, "constant"),
        (True, 1, 0.95, "constant"),
        (True, 2, 0.096, "chance"),
        (True, 10, 0.12, "chance"),
        (True, 10, 0.1201, "partial"),
        (True, 10, 0.8999, "partial"),
        (True, 10, 0.9, "learned"),
    ],
)
def test_outcomes(finite, predicted, accuracy, outcome):
    found = classify_outcome(
        finite=finite,
        classes=10,
        classes_predicted=predicted,
        test_accuracy=accuracy,
        learned_from=0.9,
    )
    assert found == outcome


def test_the_outcome_is_the_most_frequent_and_in_a_tie_the_worst():
    def of(*outcomes):
        assert set(outcomes) <= set(OUTCOMES)
        seeds = tuple(range(len(outcomes)))
        return made_up_training(experiment(), seeds, outcomes=outcomes).outcome

    assert of("learned", "learned", "diverged") == "learned"
    assert of("learned", "constant") == "constant"


def test_engines_are_chosen_by_name():
    assert choose_engine("eager", experiment(), CPU) is eager
    assert choose_engine("auto", experiment(), CPU) in ENGINES
    with pytest.raises(EngineError, match=r"no engine is called 'steam'; expected one of auto, .*eager"):
        choose_engine("steam", experiment(), CPU)


def test_data_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match="the data are mnist; expected the experiment's kmnist"):
        train(experiment(dataset=KMNIST), DATA)
