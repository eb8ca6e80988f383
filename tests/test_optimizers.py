"""Optimizers as values: checked when they are made, and honoured by an engine or refused by name."""

from __future__ import annotations

import inspect
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.engine_speeds import peers, roofline
from harness.exercise import Exercise, Published, Row
from model.dataset import KMNIST
from model.engines import ENGINES, EngineError, cannot_run, choose_engine, eager, prove_engines
from model.engines.proof import distance
from model.experiment import Experiment
from model.network import stack_parameters
from model.optimizers import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, Torch, from_dict
from model.subnormals import flushed

from .data import build_network, made_up

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ROOT = Path(__file__).parent.parent
ORDER = torch.arange(200)[None]

# For every field of every optimizer, a value that is not the default.
CHANGED = {
    SGD: {"momentum": 0.9, "dampening": 0.5, "nesterov": True, "weight_decay": 0.1},
    Adam: {"betas": (0.5, 0.6), "eps": 0.1, "weight_decay": 0.1},
    AdamW: {"betas": (0.5, 0.6), "eps": 0.1, "weight_decay": 0.5},
    RMSprop: {"alpha": 0.5, "eps": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.1},
    Adagrad: {"lr_decay": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 0.1},
}
# The settings without which a field has no effect.
WITH = {"nesterov": {"momentum": 0.9}, "dampening": {"momentum": 0.9}}
# RMSprop's first steps are ten times as long.
RATES = {**dict.fromkeys(CHANGED, 0.01), RMSprop: 0.001}
ONE_OF_EACH = [
    *(kind(RATES[kind]) for kind in CHANGED),
    *(
        kind(RATES[kind], **{name: value, **WITH.get(name, {})})
        for kind, changed in CHANGED.items()
        for name, value in changed.items()
    ),
]
FAST = [engine for engine in ENGINES if engine is not eager]
each_value = pytest.mark.parametrize("value", ONE_OF_EACH, ids=lambda value: value.label)


@dataclass(frozen=True)
class Patient(SGD):
    """An optimizer with a field that nothing supports."""

    patience: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Smoothed(Experiment):
    """An experiment with a setting that nothing supports."""

    smoothing: float = 0.0


class Sign(torch.optim.Optimizer):
    """A custom optimizer, whose steps have a constant size."""

    def __init__(self, params, lr, scale=1.0):
        super().__init__(params, {"lr": lr, "scale": scale})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * group["scale"] * p.grad.sign()


def experiment(optimizer: Optimizer, **changed) -> Experiment:
    return Experiment(**{"optimizer": optimizer, "batch_size": 50, "epochs": 1, **changed})


@flushed()
def by_pytorch(make, order=ORDER[0], batch_size=50, init="default") -> list[torch.Tensor]:
    """Trains with a minimal loop and the optimizer `make(parameters)`."""
    network, data = build_network(init, 0), made_up()
    optimizer = make(network.parameters())
    for batch in order.split(batch_size):
        optimizer.zero_grad()
        logits = network(data.train_images[batch])
        torch.nn.functional.cross_entropy(logits, data.train_labels[batch]).backward()
        optimizer.step()
    return stack_parameters([network])


def trained(engine, case: Experiment) -> list[torch.Tensor]:
    running = engine.Engine(case, made_up(), (0,))
    running.epoch(ORDER, case.constant_rates(len(ORDER[0])))
    return running.parameters()


def as_pytorch(value: Optimizer):
    """Returns a function that makes PyTorch's optimizer without `build`."""
    options = {each.name: getattr(value, each.name) for each in fields(value)}
    options["lr"] = options.pop("learning_rate")
    return lambda parameters: getattr(torch.optim, type(value).__name__)(parameters, **options)


@cache
def plain(kind) -> list[torch.Tensor]:
    """Trains with the optimizer's default settings."""
    return by_pytorch(as_pytorch(kind(RATES[kind])))


def test_every_field_of_every_optimizer_is_tried():
    assert {*CHANGED, Torch} == {*OPTIMIZERS.values()}
    for kind, changed in CHANGED.items():
        assert ["learning_rate", *changed] == [each.name for each in fields(kind)]


@each_value
def test_every_engine_honours_every_field_or_refuses_it_by_name(value):
    case = experiment(value)
    expected, label = by_pytorch(as_pytorch(value)), value.label
    if label != value.name:
        assert distance(expected, plain(type(value))) > 1e-4, "the field matters here"
    assert eager.refuses(case, CPU) is None
    assert distance(trained(eager, case), expected) == 0
    for engine in FAST:
        reason = engine.HONOURS.refuses(case)
        if engine.refuses(case, CPU) is None:
            if cannot_run(engine, case, CPU) is None:
                assert distance(trained(engine, case), expected, share=0.95) < 1e-5
        elif reason is not None:
            assert reason.startswith(("it supports ", "it does not support "))
            assert reason.endswith((f"not {value.name}", f"the optimizer is {label}"))


def test_the_optimizers_that_fast_engines_and_jax_honour():
    """Cluster honours plain SGD, JAX also Adam, cuda-graph what PyTorch can capture, numba all."""
    jax, compiled = peers.PEERS
    for each in (*ENGINES, jax):
        refused = [value for value in ONE_OF_EACH if each.HONOURS.refuses(experiment(value))]
        known = {
            "eager": ONE_OF_EACH,
            "numba": ONE_OF_EACH,
            "cluster": [SGD(0.01)],
            "cuda-graph": [
                value
                for value in ONE_OF_EACH
                if not (isinstance(value, Adagrad) or (isinstance(value, SGD) and value.dampening))
            ],
        }.get(each.NAME, [SGD(0.01), Adam(0.01)])
        assert refused == [value for value in ONE_OF_EACH if value not in known]
    assert compiled.HONOURS == replace(eager.HONOURS, without={"schedule"})


def test_a_refusal_names_the_field():
    def reason(name, value):
        (engine,) = (engine for engine in ENGINES if engine.NAME == name)
        return engine.HONOURS.refuses(experiment(value))

    message = "it does not support momentum; the optimizer is SGD with momentum 0.9"
    assert reason("cluster", SGD(1, momentum=0.9)) == message
    assert reason("cluster", RMSprop(1)) == "it supports SGD, not RMSprop"
    nadam = Torch(torch.optim.NAdam, 1)
    assert reason("numba", nadam) == "it supports SGD, Adam, AdamW, RMSprop and Adagrad, not NAdam"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (experiment(Patient(0.1, patience=1)), "not Patient"),
        (experiment(Patient(0.1)), "not Patient"),
        (
            Smoothed(optimizer=SGD(0.1), batch_size=50, epochs=1, smoothing=0.5),
            "it does not support smoothing; the experiment has 0.5",
        ),
    ],
)
def test_unknown_optimizers_and_settings_are_refused_by_everything(case, reason, capsys):
    """All engines including eager, peers, and the roofline bound refuse them."""
    for each in (*ENGINES, *peers.PEERS):
        assert reason in each.HONOURS.refuses(case)
    with pytest.raises(EngineError, match=f"^engine eager cannot run this experiment: .*{reason}$"):
        choose_engine("auto", case, CPU)
    prove_engines(case, made_up())
    assert list(peers.ready(case, made_up(), ORDER)) == []
    assert f"torch.compile is left out: {eager.HONOURS.refuses(case)}" in capsys.readouterr().err
    assert roofline.minimum_work(case, made_up(), ORDER[0]) is None


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({"batch_size": 20}, {"batch_size": 20}),
        ({"init": 0.1}, {"init": 0.1}),
        # The caller applies these: it passes the data, and each epoch's order and rates.
        ({"epochs": 2, "order": "by_class", "dataset": KMNIST}, {}),
    ],
)
def test_every_setting_of_an_experiment_is_honoured(changed, how):
    case = experiment(SGD(0.03), **changed)
    tried = {"optimizer", "batch_size", "init", "epochs", "order", "dataset", "network", "schedule"}
    assert tried == {each.name for each in fields(Experiment)}
    for engine in ENGINES:
        if cannot_run(engine, case, CPU) is None:
            assert distance(trained(engine, case), by_pytorch(as_pytorch(SGD(0.03)), **how)) < 1e-5


@pytest.mark.parametrize(
    "value",
    [
        Torch(torch.optim.NAdam, 0.01, {"momentum_decay": 0.1, "betas": [0.8, 0.9]}),
        Torch(Sign, 0.001, {"scale": 0.5}),
    ],
    ids=lambda value: value.name,
)
def test_any_other_class_trains_as_in_pytorch(value):
    made = Sign if value.name == "Sign" else torch.optim.NAdam
    expected = by_pytorch(lambda p: made(p, lr=value.learning_rate, **dict(value.options)))
    assert distance(trained(eager, experiment(value)), expected) == 0
    assert choose_engine("auto", experiment(value), CPU) is eager


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0), "learning_rate is 0; expected a finite number above 0"),
        (lambda: SGD(math.nan), "learning_rate is nan; expected a finite number above 0"),
        (lambda: SGD(10**400), "learning_rate is 1000"),
        (lambda: SGD(True), "learning_rate is True; expected a finite number above 0"),
        (lambda: SGD("0.1"), "learning_rate is '0.1'; expected a finite number above 0"),
        (lambda: SGD(np.array(0.1)), "learning_rate is array(0.1); expected a finite number above 0"),
        (lambda: SGD(0.1, momentum=-1), "momentum is -1; expected a finite number from 0"),
        (lambda: SGD(0.1, momentum=math.inf), "momentum is inf; expected a finite number from 0"),
        (lambda: SGD(0.1, nesterov=1), "nesterov is 1; expected True or False"),
        (
            lambda: SGD(0.1, nesterov=True),
            "nesterov is True with momentum 0 and dampening 0; expected a momentum above 0 and no",
        ),
        (lambda: SGD(0.1, momentum=0.9, dampening=0.1, nesterov=True), "nesterov is True with momentum"),
        (lambda: Adam(0.1, betas=0.9), "betas is 0.9; expected two numbers from 0 and below"),
        (lambda: Adam(0.1, betas=(0.9, 1)), "betas[1] is 1; expected a finite number from 0 and be"),
        (
            lambda: Torch("NAdam", 0.1),
            "optimizer_class is 'NAdam'; expected a subclass of torch.optim.O",
        ),
        (
            lambda: Torch(int, 0.1),
            "optimizer_class is <class 'int'>; expected a subclass of torch.optim",
        ),
        (
            lambda: Torch(torch.optim.NAdam, 0.1, {"momentum": 0.9}),
            "NAdam with momentum 0.9 at rate 0.1 cannot train a layer of weights and biases: NAdam",
        ),
        (
            lambda: Torch(torch.optim.LBFGS, 0.1),
            "LBFGS at rate 0.1 cannot train a layer of weights and b",
        ),
        (
            lambda: Torch(torch.optim.NAdam, 0.1, {"lr": 1}),
            "options has 'lr'; expected names of options",
        ),
        (
            lambda: Torch(torch.optim.NAdam, 0.1, {"eps": "\x1b[31m"}),
            "options['eps'] is '\\x1b[31m'; expected a finite number, True, False, None, a printable",
        ),
        (lambda: Torch(torch.optim.NAdam, 0.1, {"\x1b": 1}), "options has '\\x1b'; expected names of"),
        (lambda: Torch(torch.optim.NAdam, 0.1, 7), "options is 7; expected a mapping from"),
        (
            lambda: Torch(torch.optim.NAdam, 0.1, {"eps": math.nan}),
            "options['eps'] is nan; expected a fi",
        ),
        (
            lambda: Torch(torch.optim.NAdam, 0.1, {"foreach": lambda: 1}),
            "options['foreach'] is <function",
        ),
    ],
)
def test_an_invalid_value_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        make()
    assert str(refused.value).startswith(message)


def test_a_class_defined_in_a_function_is_refused():
    class Local(torch.optim.SGD):
        pass

    with pytest.raises(ValueError, match="defined in a function; expected one at a module's top level"):
        Torch(Local, 0.1)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_numpy_scalars_become_python_numbers(kind):
    value = SGD(kind(0.5), momentum=kind(0.25), nesterov=np.bool(True))
    assert value == SGD(0.5, momentum=0.25, nesterov=True)
    types = {each.name: type(getattr(value, each.name)) for each in fields(value)}
    assert {name for name, each in types.items() if each is not float} == {"nesterov"}
    assert types["nesterov"] is bool
    case = experiment(value, batch_size=np.int64(100), epochs=np.uint8(2), init=np.float32(0.5))
    assert (type(case.batch_size), type(case.epochs), type(case.init)) == (int, int, float)
    assert type(SGD(np.int64(1)).learning_rate) is float


@pytest.mark.parametrize(
    "value",
    [*ONE_OF_EACH, Torch(torch.optim.NAdam, 0.1, {"betas": (0.8, 0.9)}), Torch(Sign, 1)],
    ids=lambda value: value.label,
)
def test_a_value_is_read_back_as_it_was_written(value):
    written = json.loads(json.dumps(value.to_dict()))
    assert from_dict(written) == value
    assert hash(from_dict(written)) == hash(value)
    assert replace(value, learning_rate=7) == value.with_rate(7)
    case = experiment(value)
    assert Experiment.from_dict(json.loads(json.dumps(case.to_dict()))) == case


def test_the_written_form_is_flat_and_short():
    assert SGD(0.1).to_dict() == {"class": "SGD", "learning_rate": 0.1}
    assert AdamW(1, betas=(0.8, 0.9)).to_dict() == {
        "class": "AdamW",
        "learning_rate": 1.0,
        "betas": [0.8, 0.9],
    }
    assert Torch(torch.optim.NAdam, 1, {"eps": 0.1}).to_dict() == {
        "class": "Torch",
        "optimizer_class": "torch.optim.NAdam",
        "learning_rate": 1.0,
        "options": {"eps": 0.1},
    }
    assert Torch(Sign, 1).optimizer_class == f"{__name__}.Sign"


def test_an_optimizer_is_read_without_pytorch_and_without_its_class():
    code = (
        "import sys; from model.optimizers import SGD, from_dict; SGD(0.1)\n"
        "value = from_dict({'class': 'Torch', 'optimizer_class': 'not_here.Lion', 'learning_rate': 1})\n"
        "assert value.label == 'Lion' and 'torch' not in sys.modules\n"
        "try: value.build([])\n"
        "except ValueError as error: assert 'class not_here.Lion cannot be found' in str(error)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (SGD(0.1), "SGD"),
        (SGD(0.1, momentum=0.9), "SGD with momentum 0.9"),
        (SGD(0.1, momentum=0.9, nesterov=True), "SGD with momentum 0.9 and nesterov"),
        (
            SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            "SGD with momentum 0.9, nesterov and weight decay 0.0001",
        ),
        (Adam(0.1, betas=[0.8, 0.9]), "Adam with betas (0.8, 0.9)"),
        (
            Torch(torch.optim.NAdam, 0.1, {"decoupled_weight_decay": True}),
            "NAdam with decoupled weight decay",
        ),
    ],
)
def test_labels_show_settings_that_differ_from_the_defaults(value, label):
    assert value.label == label
    assert str(value) == f"{label} at rate 0.1"


@pytest.mark.parametrize("kind", CHANGED)
def test_defaults_are_pytorchs(kind):
    known = inspect.signature(getattr(torch.optim, kind.__name__)).parameters
    for each in fields(kind)[1:]:
        assert getattr(kind(1), each.name) == known[each.name].default


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, each.name)
        for kind in CHANGED
        for each in fields(kind)
        if each.type == "float" and each.name not in ("learning_rate", "dampening")
    ],
)
def test_a_setting_may_be_0_and_no_less(kind, name):
    assert getattr(kind(0.1, **{name: 0}), name) == 0
    with pytest.raises(ValueError, match=f"^{name} is -1e-09; expected a finite number from 0$"):
        kind(0.1, **{name: -1e-9})


@pytest.mark.parametrize("make", [*CHANGED, partial(Torch, "torch.optim.NAdam")])
def test_a_learning_rate_is_above_0(make):
    assert make(1e-9).learning_rate == 1e-9
    for rate in (0, -1e-9):
        with pytest.raises(
            ValueError, match=r"^learning_rate is \S+; expected a finite number above 0$"
        ):
            make(rate)


def test_decay_rates_are_two_numbers_from_0_and_below_1():
    assert Adam(0.1, betas=[0, 0.9]).betas == (0, 0.9)
    assert Adam(0.1, betas=(1 - 1e-9, 0)).betas == (1 - 1e-9, 0)
    for betas, named in (
        ((-1e-9, 0.9), "betas[0] is -1e-09"),
        ((0.9, -1e-9), "betas[1] is -1e-09"),
        ((1, 0.9), "betas[0] is 1"),
        ((0.9,), "betas is (0.9,)"),
        ((0.9, 0.9, 0.9), "betas is (0.9, 0.9, 0.9)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(named)}; expected"):
            Adam(0.1, betas=betas)


def test_dampening_may_be_negative_but_not_with_nesterov():
    assert SGD(0.1, momentum=0.9, dampening=-0.5).dampening == -0.5
    with pytest.raises(ValueError, match=r"momentum 0\.9 and dampening -0\.5;"):
        SGD(0.1, momentum=0.9, dampening=-0.5, nesterov=True)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        (SGD(7), 0.03),
        (SGD(7, momentum=0.9), 0.003),
        (SGD(7, momentum=0.99), 0.0003),
        (SGD(7, momentum=0.999), 0.0003),
        (SGD(7, momentum=2), 0.0003),
        (Adam(7), 0.0001),
        (RMSprop(7, momentum=0.9), 0.0001),
    ],
    ids=str,
)
def test_a_proof_takes_steps_of_one_length(optimizer, rate):
    """With momentum m, a step has in the end 1 / (1 - m) times its length; up to 100 times counts."""
    assert optimizer.proof_rate == pytest.approx(rate)


def test_what_a_proof_allows():
    """A single unit that is on in one engine only may matter more if steps divide by the gradient."""
    assert SGD(1).tolerance == {0.95: 1e-5, 1.0: 1e-3}
    for each in (Adam(1), RMSprop(1), Adagrad(1), Torch("torch.optim.NAdam", 1)):
        assert each.tolerance == {0.95: 1e-5, 1.0: 1e-2}


@pytest.mark.parametrize(
    ("optimizer", "moves"),
    [
        (SGD(1), False),
        (SGD(1, momentum=0.1), True),
        (SGD(1, weight_decay=0.1), True),
        (Adagrad(1), False),
        (Adagrad(1, weight_decay=0.1), True),
        (Adam(1), True),
        (RMSprop(1), True),
    ],
    ids=str,
)
def test_parameters_without_a_gradient_move_by_state_or_decay(optimizer, moves):
    """After a step with a gradient, one without: the parameter or its state changes, as in PyTorch."""
    parameter = torch.ones(1, requires_grad=True)
    made = optimizer.with_rate(0.1).build([parameter])
    state = []
    for gradient in (1.0, 0.0):
        parameter.grad = torch.full((1,), gradient)
        made.step()
        kept = made.state[parameter].items()
        state.append([parameter.item(), *(float(value) for name, value in kept if name != "step")])
    assert optimizer.moves_all == moves == (state[0] != state[1])


@pytest.mark.parametrize("optimizer", [SGD(0.5), Torch(torch.optim.NAdam, 0.5)], ids=str)
def test_how_pytorch_computes_is_passed_on(optimizer):
    made = optimizer.build([torch.zeros(1, requires_grad=True)], foreach=True)
    assert (made.defaults["lr"], made.defaults["foreach"]) == (0.5, True)


class Particular(torch.optim.SGD):
    """It takes only what a layer has: a matrix and a vector, both of which are trained."""

    def step(self, closure=None):
        (group,) = self.param_groups
        if [(each.ndim, each.requires_grad) for each in group["params"]] != [(2, True), (1, True)]:
            raise RuntimeError("not a layer")
        super().step()


def test_a_class_is_tried_on_a_layer():
    assert Torch(Particular, 0.1).name == "Particular"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "optimizer is None; expected a class and its settings"),
        ("SGD", "optimizer is 'SGD'; expected a class and its settings"),
        ({"learning_rate": 1}, "optimizer is {'learning_rate': 1}; expected a class and its settings"),
        ({"class": 7, "learning_rate": 1}, "optimizer is {'class': 7, 'learning_rate': 1}; expected a"),
        ({"class": "Sgd"}, "no optimizer is called 'Sgd'; expected one of SGD, Adam, AdamW, RMSprop, A"),
        (
            {"class": "Adam", "learning_rate": 1, "momentum": 0.9},
            "Adam has no setting 'momentum'; expected one of learning_rate, betas, eps, weight_decay",
        ),
        ({"class": "SGD", "momentum": 0.9}, "SGD has no learning_rate; expected one"),
    ],
)
def test_an_invalid_written_optimizer_is_refused(content, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        from_dict(content)


# Rows


def row(name="mine", **changed):
    return Row(name, {"optimizer": SGD(0.1), "batch_size": 1, **changed})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: row(momentum=0.9),
            "the row 'mine': no setting is called 'momentum'; expected one of",
        ),
        (
            lambda: row(learning_rate=1),
            "the row 'mine': no setting is called 'learning_rate'; expected",
        ),
        (
            lambda: row(epochs=3),
            "the row 'mine': epochs cannot be set in a row; the exercise sets",
        ),
        (
            lambda: row(dataset="mnist"),
            "the row 'mine': dataset is 'mnist'; expected a Dataset, like MNIST",
        ),
        (
            lambda: row(optimizer="sgd"),
            "the row 'mine': optimizer is 'sgd'; expected one of model.optimi",
        ),
        (
            lambda: row(init="zero"),
            "the row 'mine': init is 'zero'; expected 'default' or a finite number",
        ),
        (
            lambda: row(batch_size=True),
            "the row 'mine': batch_size is True; expected a whole number from",
        ),
        (lambda: Row("mine", {"batch_size": 1}), "the row 'mine': optimizer is missing"),
        (
            lambda: row("sgd\x1b[31m"),
            "a row's name is 'sgd\\x1b[31m'; expected printable ASCII without / and \\",
        ),
        (lambda: row("a/b"), "a row's name is 'a/b'; expected printable ASCII without / and \\"),
        (lambda: row("a\0b"), "a row's name is 'a\\x00b'; expected printable ASCII without / and \\"),
        (lambda: row(""), "a row's name is ''; expected 1 to 100 characters"),
        (lambda: row("x" * 101), "a row's name is 'xxxxxxxx"),
        (lambda: Published(98.2), "test_accuracy is 98.2; expected a fraction of 1, not a percentage"),
        (lambda: Published(0.98, -1), "seconds is -1; expected a finite number from 0"),
    ],
)
def test_a_row_is_checked_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        make()
    assert str(refused.value).startswith(message)


def test_a_row_is_immutable():
    published = Published(np.float32(0.5), 100)
    assert [type(each) for each in vars(published).values()] == [float, float, str]
    assert row("x" * 100).settings == {"optimizer": SGD(0.1), "batch_size": 1}
    with pytest.raises(TypeError):
        row().settings["momentum"] = 0.9


def exercise(**changed):
    message = dict.fromkeys(("title", "question", "source", "figure"), "x")
    return Exercise(**{**message, "epochs": {"quick": 1}, "rows": (row(),), **changed})


def test_an_exercises_rows_have_different_names():
    assert exercise().names == ["mine"]
    with pytest.raises(ValueError, match="two rows of 'x' are named 'mine'; rename one"):
        exercise(rows=(row(), row("other"), row()))


def test_an_exercises_epochs_are_whole_numbers():
    with pytest.raises(ValueError, match=r"^epochs\['quick'\] is 0; expected a whole number from 1$"):
        exercise(epochs={"quick": 0})
    with pytest.raises(ValueError, match=r"^epochs is 3; expected epochs by scale$"):
        exercise(epochs=3)
