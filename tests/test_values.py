"""Networks, schedules and data sets as values: checked when they are made, and honoured or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from harness.engine_speeds import peers, roofline
from model.data.mnist import Data, load
from model.dataset import DATASETS, EMNIST_LETTERS, FASHION_MNIST, MNIST, Dataset
from model.engines import ENGINES, cannot_run, eager
from model.engines.proof import distance
from model.evaluate import evaluate
from model.experiment import Experiment
from model.network import ACTIVATIONS, MLP, stack_parameters
from model.optimizers import SGD, Adam
from model.schedule import Schedule, ScheduleError
from model.subnormals import flushed
from model.train import train

from .conftest import ROOT
from .data import made_up

CPU = torch.device("cpu")
LR = torch.optim.lr_scheduler


def experiment(**changed) -> Experiment:
    return Experiment(**{"optimizer": SGD(0.1), "batch_size": 50, "epochs": 1, **changed})


def halved(step):
    """Returns the factor of the rate, as a `lr_lambda`."""
    return 0.5**step


class Backwards(LR.LRScheduler):
    """A custom scheduler, whose rate becomes negative."""

    def get_lr(self):
        return [0.1 - self.last_epoch for _ in self.base_lrs]


@dataclass(frozen=True)
class Normed(MLP):
    """A network with a field that nothing supports."""

    norm: bool = False


def moons():
    """Returns two classes of 2 x 3 inputs, which have to be flattened."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 2
    inputs = rng.normal(labels[:, None, None] * 2 - 1, 0.3, (300, 2, 3))
    return inputs, labels, inputs[:100].astype(np.float32), labels[:100].astype(np.uint8)


MOONS = Dataset.of("moons", moons)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(300), "sizes is 300; expected inputs, hidden units, classes, like (784,"),
        (lambda: MLP((784,)), "sizes is (784,); expected inputs, hidden units, classes, like (784,"),
        (lambda: MLP((784, 0, 10), ("relu",)), "sizes[1] is 0; expected a whole number from 1"),
        (lambda: MLP((784, 2.5, 10), ("relu",)), "sizes[1] is 2.5; expected a whole number from 1"),
        (lambda: MLP((784, 30, 10)), "activations is ('relu', 'sigmoid'); expected one for each hidden"),
        (lambda: MLP((784, 30, 10), "relu"), "activations is 'relu'; expected one for each hidden"),
        (lambda: MLP((784, 30, 10), ("swish",)), "activations has 'swish'; expected one of relu, sigmo"),
        (lambda: MLP((784, 30, 10), ([],)), "activations has []; expected one of relu, sigmo"),
        (lambda: experiment(network="mlp"), "network is 'mlp'; expected an MLP"),
        (
            lambda: experiment(network=MLP((700, 30, 10), ("relu",))),
            "network has 700 inputs; expected 784 for mnist",
        ),
        (
            lambda: experiment(dataset=EMNIST_LETTERS, network=MLP()),
            "network has 10 classes; expected 26 for emnist-letters",
        ),
        (lambda: experiment(schedule="cosine"), "schedule is 'cosine'; expected None or a Schedule"),
        (
            lambda: Schedule(int),
            "scheduler is <class 'int'>; expected a subclass of torch.optim",
        ),
        (lambda: Schedule("cosine"), "scheduler is 'cosine'; expected a class of torch.optim.lr_sched"),
        (lambda: Schedule(LR.StepLR, every="batch"), "every is 'batch'; expected one of epoch, step"),
        (lambda: Schedule(LR.StepLR, {"optimizer": 1}), "options has 'optimizer'; expected names of"),
        (
            lambda: Schedule(LR.LambdaLR, {"lr_lambda": lambda step: 1}),
            "options['lr_lambda'] is <function ",
        ),
        (
            lambda: experiment(schedule=Schedule(LR.StepLR)),
            "StepLR, every epoch cannot be made: StepLR.__init__() missing 1 required positional",
        ),
        (
            lambda: experiment(schedule=Schedule(LR.ReduceLROnPlateau)),
            "ReduceLROnPlateau, every epoch cannot advance: ReduceLROnPlateau.step() missing 1 required",
        ),
        (
            lambda: experiment(
                optimizer=SGD(0.1, momentum=0.9),
                schedule=Schedule(LR.OneCycleLR, {"max_lr": 1, "total_steps": 10}),
            ),
            "OneCycleLR, max lr 1, total steps 10, every epoch changes momentum; expected only the",
        ),
        (
            lambda: experiment(schedule=Schedule(Backwards)),
            "Backwards, every epoch changes the learning rate from 0.1 to -0.9; expected a finite",
        ),
        (lambda: Dataset("MNIST"), "name is 'MNIST'; expected up to 40 of a to z"),
        (
            lambda: Dataset("x", targets=(0.5, 0.4)),
            "targets is (0.5, 0.4); expected whole percents in ascending order",
        ),
        (lambda: Dataset("x", targets=(0.905,)), "targets is (0.905,); expected whole percents"),
        (lambda: Dataset("x", targets=()), "targets is (); expected test accuracies, like (0.9, 0.95)"),
        (
            lambda: Dataset("x", targets=(90,)),
            "targets is 90; expected a finite number above 0 and below",
        ),
        (lambda: Dataset("x", classes=0), "classes is 0; expected a whole number from 1"),
        (lambda: Dataset.of("mnist", moons), "name is 'mnist', which is a built-in data set; choose"),
        (lambda: Dataset.of("x", lambda: 7), "the data set is 7; expected four arrays: training inputs"),
        (lambda: own(inputs=[1, 2]), "the training inputs have shape (2,), the labels (2,); expected"),
        (lambda: own(inputs=[[1]]), "the training inputs have shape (1, 1), the labels (2,); exp"),
        (
            lambda: own(inputs=[["a"], ["b"]]),
            "the training inputs are <U1 of shape (2, 1); expected some",
        ),
        (lambda: own(inputs=[[1], [float("nan")]]), "the inputs are not all finite in float32"),
        (
            lambda: own(inputs=[[1, 2], [3, 4]]),
            "the training inputs have shape (2, 2), the test inputs (2, 1)",
        ),
        (lambda: own(labels=[0.0, 1.0]), "the training labels are float64 of shape (2,); expected"),
        (
            lambda: own(labels=[0, 2]),
            "the test labels are [0, 1]; expected all of 0 to classes",
        ),
        (lambda: own(test_labels=[1, 2]), "the test labels are [1, 2]; expected all of 0 to classes"),
        (lambda: own(test_labels=[0, 0]), "the test labels are [0]; expected all of 0 to classes"),
    ],
)
def test_an_invalid_value_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        make()
    assert str(refused.value).startswith(message)


def own(inputs=((1,), (2,)), labels=(0, 1), test_labels=(0, 1)) -> Dataset:
    return Dataset.of("x", lambda: (inputs, list(labels), [[1], [2]], list(test_labels)))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"network": MLP((784, 20, 30, 10), ["tanh", "gelu"])},
        {"schedule": Schedule(LR.StepLR, {"step_size": 2}, every="step")},
        {"schedule": Schedule(LR.LambdaLR, {"lr_lambda": halved})},
        {"schedule": Schedule(LR.MultiStepLR, {"milestones": [1, 3]})},
        {"dataset": FASHION_MNIST},
        {"dataset": EMNIST_LETTERS},
        {"dataset": MOONS},
    ],
    ids=str,
)
def test_an_experiment_is_read_back_as_it_was_written(changed):
    case = experiment(**changed)
    assert Experiment.from_dict(json.loads(json.dumps(case.to_dict()))) == case
    assert hash(case) == hash(replace(case))


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("network", "mlp", "network is 'mlp'; expected activations and sizes"),
        (
            "network",
            {"sizes": [784, 10]},
            "network is {'sizes': [784, 10]}; expected activat",
        ),
        ("network", {"sizes": [784, 10], "activations": None}, "activations is None; expected one for"),
        ("schedule", "cosine", "schedule is 'cosine'; expected scheduler, options and every"),
        (
            "dataset",
            None,
            "dataset is None; expected a name, or classes, digest, examples, inp",
        ),
        ("dataset", {**MOONS.to_dict(), "digest": None}, "dataset is {'name': 'moons'"),
        ("dataset", {**MOONS.to_dict(), "classes": "two"}, "classes is 'two'; expected a whole number"),
    ],
)
def test_an_invalid_written_experiment_is_refused(place, content, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        Experiment.from_dict({**experiment().to_dict(), place: content})
    assert str(refused.value).startswith(message)


def test_the_default_network_has_the_data_sets_inputs_and_classes():
    assert experiment().network == MLP()
    assert experiment(dataset=EMNIST_LETTERS).network.sizes == (784, 300, 100, 26)
    assert experiment(dataset=MOONS).network.sizes == (6, 300, 100, 2)
    assert str(MLP()) == "784-300-100-10 with relu, sigmoid"
    assert MLP().parameter_count == 266_610


@flushed()
def by_pytorch(network: MLP, data: Data, rates=(0.1,) * 6, optimizer=torch.optim.SGD):
    """Trains with a minimal loop, on batches of 50."""
    layers = network.build("default", 0)
    stepping = optimizer(layers.parameters(), lr=0.1)
    for step, rate in enumerate(rates):
        stepping.param_groups[0]["lr"] = rate
        batch = slice(50 * step, 50 * step + 50)
        stepping.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            layers(data.train_images[batch]), data.train_labels[batch]
        )
        loss.backward()
        stepping.step()
    return stack_parameters([layers])


def trained(engine, case: Experiment, data: Data, rates=(0.1,) * 6):
    running = engine.Engine(case, data, (0,))
    running.epoch(torch.arange(50 * len(rates))[None], np.array(rates))
    return running.parameters()


NETWORKS = [
    MLP((784, 10), ()),
    MLP((784, 40, 10), ("tanh",)),
    MLP((784, 33, 20, 17, 10), ("sigmoid", "relu", "tanh")),
    *(MLP((784, 30, 10), (name,)) for name in ACTIVATIONS),
]


@pytest.fixture
def uncompiled(monkeypatch):
    """Evaluates with PyTorch: compiling for another network takes half a minute."""
    monkeypatch.setattr("model.evaluate._compiled_holds", lambda network: False)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_eager_trains_every_network_and_other_engines_train_or_refuse_it(uncompiled, network):
    case, expected = experiment(network=network), by_pytorch(network, made_up())
    assert [tuple(p.shape[1:]) for p in expected[::2]] == [*pairwise(network.sizes)]
    assert distance(trained(eager, case, made_up()), expected) == 0
    for engine in ENGINES:
        if (reason := engine.HONOURS.refuses(case)) is not None:
            assert reason.endswith(f"not {network.activations[0]}")
    found = evaluate(network, expected, made_up().test_images, made_up().test_labels)
    logits = network.forward([p[0] for p in expected], made_up().test_images)
    assert found.accuracy[0] == (logits.argmax(1) == made_up().test_labels).double().mean()


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (experiment(network=Normed(norm=True)), "it supports the network class MLP, not Normed"),
        (experiment(network=Normed()), "it supports the network class MLP, not Normed"),
    ],
)
def test_an_unknown_class_of_network_is_refused_by_everything(case, reason):
    for each in (*ENGINES, *peers.PEERS):
        assert each.HONOURS.refuses(case) == reason
    assert roofline.minimum_work(case, made_up(), torch.arange(50)) is None


@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.001)])
def test_engines_use_the_rate_of_every_step(optimizer):
    """Adam's rates are lower: at 0.1, it amplifies differences in rounding beyond the bound."""
    rates = [optimizer.learning_rate * times for times in (1, 0.5, 2, 0, 0.01, 3)]
    made = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[optimizer.name]
    case = experiment(optimizer=optimizer, schedule=Schedule(LR.ConstantLR))
    expected = by_pytorch(MLP(), made_up(), rates, made)
    taken = 0
    for engine in ENGINES:
        if cannot_run(engine, case, CPU) is None:
            assert distance(trained(engine, case, made_up(), rates), expected, share=0.95) < 1e-5
            taken += 1
    assert taken >= 1  # numba may be missing
    assert distance(expected, by_pytorch(MLP(), made_up(), rates[:1] * 6, made)) > 1e-3


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        (LR.StepLR, {"step_size": 3, "gamma": 0.5}),
        (LR.CosineAnnealingLR, {"T_max": 4}),
        (LR.LambdaLR, {"lr_lambda": halved}),
        (LR.OneCycleLR, {"max_lr": 1, "total_steps": 20, "cycle_momentum": False}),
    ],
)
def test_rates_are_those_of_pytorchs_scheduler(scheduler, options, every):
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    stepping, expected = scheduler(optimizer, **options), []
    for step in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if every == "step" or step % 3 == 2:
            stepping.step()
    rates = experiment(schedule=Schedule(scheduler, options, every=every), batch_size=40).rates(100)
    assert np.concatenate([*islice(rates, 4)]).tolist() == expected


def test_a_training_follows_its_schedule():
    still = experiment(epochs=3, schedule=Schedule(LR.LambdaLR, {"lr_lambda": halted}))
    found = train(still, made_up(), engine="eager")
    assert found.test_loss[2, 0] != found.test_loss[1, 0]
    assert found.test_loss[3, 0] == found.test_loss[2, 0]
    assert found.experiment == still


def halted(epoch):
    return float(epoch < 2)


def test_training_on_your_own_data_set(uncompiled, tmp_path):
    assert (MOONS.inputs, MOONS.classes, MOONS.examples) == (6, 2, 300)
    data = load(MOONS, tmp_path, CPU)
    assert (data.train_images.shape, data.train_images.dtype) == ((300, 6), torch.float32)
    case = experiment(dataset=MOONS, network=MLP((6, 16, 2), ("tanh",)), batch_size=10, epochs=3)
    found = train(case, data)
    assert found.outcome == "learned"
    assert found.predictions.shape == (2, 1)
    with pytest.raises(ValueError, match="the data are moons; expected the experiment's mnist"):
        train(experiment(), data)


def test_your_own_data_set_is_identified_by_its_content():
    assert Dataset.of("moons", moons) == MOONS
    other = Dataset.of("moons", lambda: (*moons()[:1], 1 - moons()[1], *moons()[2:]))
    assert other != MOONS
    with pytest.raises(ValueError, match="data set moons was not made in this process"):
        replace(MOONS, digest="0" * 64).arrays()


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=str)
def test_the_data_set_decides_which_accuracy_counts_as_learned(dataset):
    assert MNIST.learned_from == 0.9
    case = experiment(dataset=dataset, batch_size=10)
    data = replace(made_up(), dataset=dataset)
    if dataset.classes == 10:
        found = train(case, data, engine="eager")
        least = dataset.learned_from
        assert found.outcome == ("learned" if found.final_test_accuracy >= least else "partial")


def test_a_schedule_is_tried_for_all_epochs():
    one_cycle = Schedule(LR.OneCycleLR, {"max_lr": 1, "total_steps": 3, "cycle_momentum": False})
    assert experiment(epochs=4, schedule=one_cycle).schedule == one_cycle
    with pytest.raises(ScheduleError, match=r"every epoch cannot advance: Tried to step 4 times"):
        experiment(epochs=6, schedule=one_cycle)


def test_a_schedule_that_ends_during_a_training_is_reported_in_one_line(suite):
    """A schedule by step is not tried for all steps beforehand."""
    schedule = "Schedule(OneCycleLR, {'max_lr': 1, 'total_steps': 9, 'cycle_momentum': False}, 'step')"
    module = suite.path / "bench" / "test_1_fake.py"
    module.write_text(
        "from torch.optim.lr_scheduler import OneCycleLR\nfrom model.schedule import Schedule\n"
        + module.read_text().replace('"batch_size": 10', f'"batch_size": 10, "schedule": {schedule}')
        + "\nimport harness.plugin.fixtures\n"
        "from model.train import train\nfrom tests.data import made_up\n"
        "harness.plugin.fixtures.load = lambda *_: made_up()\n"
        "harness.plugin.fixtures.train_model = train\n"
    )
    result = suite.run("-k", "test_1 and 0.25")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["OneCycleLR, * every step cannot advance: Tried to step * times*"])
    assert "Traceback" not in result.stdout.str()


def test_a_report_is_read_without_pytorch_and_without_the_class_of_its_schedule():
    written = {**experiment().to_dict(), "schedule": {"scheduler": "mine.Warm", "options": {}}}
    written["schedule"]["every"] = "step"
    code = (
        "import json, sys\nfrom model.experiment import Experiment\n"
        "print(Experiment.from_dict(json.load(sys.stdin)).schedule, 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(written), cwd=ROOT, capture_output=True, text=True
    )
    assert ran.stdout == "Warm, every step False\n", ran.stderr


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match=r"dataset is x; expected one of mnist, .*, or Dataset.of"):
        experiment(dataset=Dataset("x"))
    with pytest.raises(ValueError, match="dataset is mnist; expected one of"):
        experiment(dataset=Dataset("mnist", examples=100))
