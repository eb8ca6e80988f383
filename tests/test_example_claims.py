"""Every claim of the example study, decided on made-up trainings whose answer is known.

Of 10,000 test images, 1.96 standard errors of a difference are 0.004 at 0.98.
"""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest

from examples.optimizers import (
    claims,
    conftest,
    figures,
    measures,
    test_fashion_mnist,
    test_mnist,
)
from examples.optimizers.exercise import OPTIMIZERS
from harness.claim import claims_of
from harness.exercise import Results
from harness.files import sealed
from harness.files.record import read_record
from harness.files.summary import Summary
from harness.results.records import to_training
from harness.study import load_study
from model.dataset import FASHION_MNIST, MNIST
from model.experiment import Experiment
from model.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from tests.conftest import ROOT
from tests.data import made_up_training

RATES = (0.001, 0.01, 0.1, 1, 10)
EPOCHS = 5
KEPT = ROOT / "examples" / "optimizers" / "reports" / "published" / "epyc-2-cores"


def at(epoch, end=0.98, *, before=0.5):
    """Returns a curve that is at `end` from an epoch on; epoch 9 is never."""
    return [0.1] + [end if each >= epoch else before for each in range(1, EPOCHS + 1)]


def seeds(*curves):
    """Returns the curves of several seeds, as an array (epochs + 1, seeds)."""
    return np.array(curves, dtype=float).T


def trained(changes, *, seconds=None, count=1):
    """Returns the trainings by optimizer and rate: at 0.98 from the first epoch at rate 0.1.

    `changes` has other curves by optimizer and rate; a number is a final accuracy. An epoch takes a
    second, or what `seconds` says.
    """
    found = []
    for name, make in OPTIMIZERS.items():
        for rate in RATES:
            curve = changes.get((name, rate), 0.98 if rate == 0.1 else 0.2)
            curve = at(1, curve) if isinstance(curve, float) else curve
            curve = np.array(curve, dtype=float).reshape(EPOCHS + 1, -1)
            curve = curve.repeat(count, axis=1) if curve.shape[1] == 1 else curve
            experiment = Experiment(optimizer=make(rate), batch_size=100, dataset=MNIST, epochs=EPOCHS)
            each = (seconds or {}).get(name, 1.0)
            found.append(
                made_up_training(
                    experiment,
                    tuple(range(curve.shape[1])),
                    steps=600 * EPOCHS,
                    epoch_seconds=each * np.arange(EPOCHS + 1),
                    test_accuracy=curve,
                    predictions=np.full((10, curve.shape[1]), 1000),
                )
            )
    return measures.by_optimizer(found)


def decided(test, changes, **how):
    answers = []
    getattr(claims, test)(trained(changes, **how), lambda *given, **_: answers.append(given))
    (answer,) = answers
    return answer


# Each of five optimizers' accuracies under three seeds, well apart.
APART = {
    (name, 0.1): seeds(*(at(1, 0.98 - 0.01 * place + off) for off in (0, 0.001, 0.0005)))
    for place, name in enumerate(OPTIMIZERS)
}
TIED = APART | {("adamw", 0.1): APART["adam", 0.1]}
ADAM = seeds(*(at(1, end) for end in (0.98, 0.981, 0.982)))


def moved(curve, *by):
    return np.asarray(curve) + np.array(by)


ADAPTIVE = ("rmsprop", "adagrad", "adam", "adamw")
SOON = {(name, 0.1): at(2) for name in ADAPTIVE}
VARIED = seeds(at(2), at(3), at(4))
WIDE = [*zip([("adam", rate) for rate in RATES], (0.1, 0.2, 0.97, 0.97, 0.97), strict=True)]
NARROW = [*zip([("momentum", rate) for rate in RATES], (0.1, 0.2, 0.3, 0.4, 0.98), strict=True)]
SWAPPED = {("momentum", rate): end for (_, rate), end in WIDE} | {
    ("adam", rate): end for (_, rate), end in NARROW
}

# By claim: (curves, other arguments, whether it holds).
CASES = {
    "test_all_end_within_a_point": [
        ({}, {}, True),
        ({("sgd", 0.1): 0.975}, {}, True),
        ({("sgd", 0.1): 0.97}, {}, None),
        ({("sgd", 0.1): 0.965}, {}, False),
        ({("adam", 0.1): 0.995}, {}, False),  # all others are too low
        ({("sgd", 0.1): 0.2, ("sgd", 10): 0.98}, {}, True),  # its best rate counts
    ],
    "test_the_ranking_has_no_ties": [
        (APART, {}, True),
        (TIED, {}, False),
        ({}, {"count": 3}, False),
        ({}, {"count": 2}, False),
        ({}, {}, None),  # one seed
    ],
    "test_adam_ends_better_than_momentum": [
        ({("adam", 1): 0.99}, {}, True),
        ({("momentum", 1): 0.99}, {}, False),
        ({("adam", 1): 0.983}, {}, None),
        ({("adam", 0.1): 0.1, ("adam", 1): 0.5, ("nesterov", 1): 0.1}, {}, False),
    ],
    "test_adamw_ends_where_adam_does": [
        ({("adam", 0.1): ADAM, ("adamw", 0.1): moved(ADAM, 0.001, 0.0011, 0.0009)}, {}, True),
        ({("adam", 0.1): ADAM, ("adamw", 0.1): moved(ADAM, -0.001, -0.0011, -0.0009)}, {}, True),
        ({("adam", 0.1): ADAM, ("adamw", 0.1): moved(ADAM, 0.003, 0.0031, 0.0029)}, {}, False),
        ({("adam", 0.1): ADAM, ("adamw", 0.1): moved(ADAM, -0.003, -0.0031, -0.0029)}, {}, False),
        ({("adam", 0.1): ADAM, ("adamw", 0.1): moved(ADAM, 0.002, 0.001, 0.0)}, {}, None),
        ({}, {}, None),  # one seed cannot show that they are equal
    ],
    "test_adaptive_methods_take_fewer_steps": [
        (SOON | {("sgd", 0.1): at(3)}, {}, True),
        (SOON | {("sgd", 0.1): at(2)}, {}, False),
        (SOON | {("sgd", 0.1): at(1)}, {}, False),
        (SOON | {("sgd", 0.1): at(3), ("adagrad", 0.1): at(3)}, {}, False),
        (SOON | {("sgd", 0.1): at(9)}, {}, True),
        (SOON | {("sgd", 0.1): at(9), ("adamw", 0.1): at(9)}, {}, False),
        (SOON | {("sgd", 0.1): at(3), ("adamw", 0.1): at(9)}, {}, False),
        (SOON | {("sgd", 0.1): at(3), ("momentum", 0.1): at(9), ("nesterov", 0.1): at(1)}, {}, True),
        (SOON | {("sgd", 0.1): VARIED}, {"count": 3}, None),
        # Another rate is the first there, and the highest target counts.
        (SOON | {("sgd", 0.1): at(4), ("sgd", 1): at(3)}, {}, True),
        (SOON | {("sgd", 0.1): at(3, before=0.96)}, {}, True),
    ],
    "test_adam_is_sooner_than_momentum": [
        ({("adam", 0.1): at(2), ("momentum", 0.1): at(3)}, {}, True),
        ({("adam", 0.1): at(3), ("momentum", 0.1): at(3)}, {}, False),
        ({("adam", 0.1): at(2), ("momentum", 0.1): at(3)}, {"seconds": {"adam": 2.0}}, False),
        ({("adam", 0.1): at(3), ("momentum", 0.1): at(2)}, {"seconds": {"momentum": 2.0}}, True),
        ({("adam", 0.1): at(9)}, {}, False),
        ({("momentum", 0.1): at(9)}, {}, True),
        ({("adam", 0.1): at(9), ("momentum", 0.1): at(9)}, {}, False),
        ({("adam", 0.1): at(2), ("momentum", 0.1): VARIED}, {"count": 3}, None),
        ({("adam", 0.1): at(2, before=0.8), ("momentum", 0.1): at(3, before=0.95)}, {}, True),
    ],
    "test_adam_is_more_tunable": [
        ({("adam", 1): 0.9701}, {}, True),
        ({("adam", 1): 0.9699}, {}, False),
        ({("adam", 1): 0.975, ("sgd", 1): 0.975}, {}, False),
        ({("adam", 1): 0.975, ("momentum", 1): 0.98, ("momentum", 10): 0.98}, {}, True),
        ({("adam", 1): seeds(at(1, 0.98), at(1, 0.5), at(1, 0.98))}, {"count": 3}, None),
    ],
    "test_adam_is_better_with_three_draws": [
        (dict([*WIDE, *NARROW]), {}, True),
        (SWAPPED, {}, False),
        ({}, {}, None),
    ],
}


@pytest.mark.parametrize(
    ("test", "case"),
    [
        pytest.param(test, case, id=f"{test.removeprefix('test_')}-{number}")
        for test, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
def test_the_verdict_follows_from_the_trainings(test, case):
    changes, how, expected = case
    holds, evidence = decided(test, changes, **how)
    assert holds == expected if expected is not None else holds is None, evidence


def test_every_claim_is_decided_both_ways_and_left_open():
    assert {*CASES} == {*claims_of(claims)}
    for test, cases in CASES.items():
        assert {case[-1] for case in cases} == {True, False, None}, test


def test_a_delayed_epoch_makes_no_optimizer_the_first_to_get_there():
    """Both take three epochs; momentum takes longer only because its first epoch was delayed."""
    found = trained({("adam", 0.1): at(3), ("momentum", 0.1): at(3)})
    of_momentum = found[claims.MOMENTUM]
    delayed = 4.0 * (np.arange(EPOCHS + 1) > 0) + np.arange(EPOCHS + 1)
    of_momentum[0.1] = replace(of_momentum[0.1], epoch_seconds=delayed)
    answers = []
    claims.test_adam_is_sooner_than_momentum(
        found, lambda holds, _, **named: answers.append((holds, named))
    )
    ((holds, named),) = answers
    assert holds is None
    assert named == {
        "open_because": "In seconds it depends on epochs that other processes delayed (†).",
        "timed": {"Adam": found["Adam"][0.1], claims.MOMENTUM: of_momentum[0.1]},
    }


def evidence(test, changes, **how):
    return decided(test, changes, **how)[1]


def test_the_evidence_has_the_best_accuracies_best_first():
    found = evidence(
        "test_all_end_within_a_point",
        {("adam", 1): 0.99, ("sgd", 0.1): 0.1, ("sgd", 10): 0.97},
    )
    assert found == (
        "Final test accuracies at the best rates: Adam 0.9900 at 1; "
        "SGD with momentum 0.9 0.9800 at 0.1; SGD with momentum 0.9 and nesterov 0.9800 at 0.1; "
        "RMSprop 0.9800 at 0.1; Adagrad 0.9800 at 0.1; AdamW 0.9800 at 0.1; SGD 0.9700 at 10."
    )


def test_the_evidence_has_steps_and_seconds_of_one_seed():
    """Two seeds of 5 epochs of 600 steps, 3 s an epoch together; at 97 % after 2 and 4 epochs."""
    changes = {("sgd", 1): seeds(at(2), at(4)), ("sgd", 0.1): 0.2, ("adam", 0.1): at(9)}
    found = evidence("test_adaptive_methods_take_fewer_steps", changes, seconds={"sgd": 3.0}, count=2)
    # The interval of 1200 and 2400, and of 3.0 and 6.0 s, has 12.706 standard errors on each side.
    assert found.startswith("To 97% test accuracy: SGD at 1 in 1800 ± 7624 steps and 4.50 ± 19.06 s; ")
    assert "; Adam never; " in found


def test_the_evidence_has_shares_in_percent():
    found = evidence("test_adam_is_more_tunable", {("adam", 1): 0.975, ("adam", 10): 0.975})
    assert found == (
        "Of the 5 rates, within a point of the optimizer's best: SGD 20 %, SGD with momentum 0.9 20 %, "
        "SGD with momentum 0.9 and nesterov 20 %, RMSprop 20 %, Adagrad 20 %, Adam 60 %, AdamW 20 %."
    )


def test_the_evidence_has_the_expected_best_of_one_three_and_five():
    """The best of 3 of 5 is the highest in 6 of 10 draws, the second in 3 and the third in 1."""
    found = evidence("test_adam_is_better_with_three_draws", dict([*WIDE, *NARROW]))
    for of, adam, momentum in ((1, 0.642, 0.396), (3, 0.970, 0.738), (5, 0.970, 0.980)):
        part = found.partition(f"of {of}: ")[2].partition(";")[0]
        assert f"Adam {adam:.3f}" in part
        assert f"SGD with momentum 0.9 {momentum:.3f}" in part


def test_the_expected_best_is_the_mean_over_all_draws():
    ends = np.array([[0.1, 0.9], [0.7, 0.3], [0.4, 0.4], [0.9, 0.2]])
    trainings = dict(enumerate(trained({})["SGD"].values()))
    for rate, end in enumerate(ends):
        trainings[rate].test_accuracy.resize(EPOCHS + 1, 2, refcheck=False)
        trainings[rate].test_accuracy[-1] = end
    del trainings[4]
    for draws in (1, 2, 3, 4):
        every = [np.max(drawn, axis=0) for drawn in combinations(ends, draws)]
        assert measures.expected_best(trainings, draws) == pytest.approx(np.mean(every, axis=0))


def test_the_fastest_reaches_it_under_all_seeds():
    changes = {("sgd", 0.1): seeds(at(1), at(9)), ("sgd", 1): seeds(at(4), at(2))}
    found = measures.fastest(trained(changes, count=2)["SGD"], 0.97)
    assert found.experiment.learning_rate == 1
    assert measures.fastest(trained({("sgd", 0.1): at(9)})["SGD"], 0.97) is None
    assert measures.epochs_to(found, 0.97).tolist() == [4, 2]


def test_ranks_are_shared_unless_the_better_is_significantly_better():
    """Of 3 pairs, Holm's adjustment multiplies the smallest p-value by 3, the next one by 2."""
    noise = np.array([0.0, 0.001, -0.001, 0.0005, -0.0005])
    a = 0.98 + noise
    b = a - 0.01 - noise / 2  # paired differences of 0.01 with a deviation of 0.0004: p below 1e-6
    near = b - 0.001 + np.array([0.003, -0.002, 0.001, -0.002, 0.0])  # p = 0.33 from b
    assert measures.ranking({"near": near, "a": a, "b": b}) == {"a": 1, "b": 2, "near": 2}
    assert measures.ranking({"b": b, "a": a}) == {"a": 1, "b": 2}
    assert measures.ranking({"b": np.array([0.5]), "a": np.array([0.6])}) == {"a": 1, "b": 2}
    # Nobody is ranked before one that is better on average, however much it varies.
    noisy = b - 0.002 + np.array([0.05, -0.05, 0.04, -0.04, 0.0])
    assert measures.ranking({"noisy": noisy, "b": b, "a": a}) == {"a": 1, "b": 2, "noisy": 2}
    # One seed ranks by value, and says nothing of ties; two seeds do.
    assert measures.ranking({"b": np.array([0.5]), "a": np.array([0.5])}) == {"b": 1, "a": 2}
    open_to_two = {"a": np.array([0.5, 0.6]), "b": np.array([0.4, 0.69])}
    assert measures.ranking(open_to_two) == {"a": 1, "b": 1}
    # Alone, a difference with t = 3.68 is significant (p = 0.021); among three pairs it is not.
    closer = a - 0.001 + np.array([0.0005, -0.0005, 0.0007, -0.0007, 0.0])
    assert measures._p(a, closer) == pytest.approx(0.0213, abs=1e-4)
    assert measures.ranking({"a": a, "closer": closer}) == {"a": 1, "closer": 2}
    assert measures.ranking({"a": a, "closer": closer, "third": closer.copy()}) == {
        "a": 1,
        "closer": 1,
        "third": 1,
    }


def test_a_difference_without_variance_has_no_t_value():
    ours = np.array([0.5, 0.625, 0.75])  # exact in binary
    assert measures._p(ours, ours.copy()) == 1
    assert measures._p(ours, ours - 0.25) == 0


def test_the_figure_has_the_expected_best_of_every_number_of_draws():
    """One optimizer ends at 0.2, 0.4 and 0.9 under one seed, and at 0.3, 0.4 and 0.9 under the other."""
    chosen = (0.01, 0.1, 1)
    curves = {
        ("sgd", 0.01): seeds(at(1, 0.9), at(1, 0.9)),
        ("sgd", 0.1): seeds(at(1, 0.2), at(1, 0.3)),
        ("sgd", 1): seeds(at(1, 0.4), at(1, 0.4)),
    }
    found = trained(curves, count=2)
    every = {
        f"{label}-{rate}": each[rate]
        for label, each in found.items()
        if label in ("SGD", "Adam")
        for rate in chosen
    }
    figure = figures.expected(Results("mnist", every, {}))
    rows = [row for row in figure.data["expected-mnist"] if row["optimizer"] == "SGD"]
    assert [row["draws"] for row in rows] == [1, 2, 3]
    # In percent, by seed: (20 + 40 + 90) / 3 and (30 + 40 + 90) / 3; (40 + 2 * 90) / 3; 90.
    assert [row["accuracy"] for row in rows] == [51.667, 73.333, 90.0]
    half = 12.7062 * (53.3333 - 50) / 2  # Student's t with one degree of freedom
    assert rows[0]["low"] == pytest.approx(51.6667 - half, abs=0.01)
    assert rows[0]["high"] == pytest.approx(51.6667 + half, abs=0.01)
    assert "low" not in rows[1]
    assert "low" not in rows[2]
    assert figure.notes.endswith(" Bands: 95 % intervals over 2 seeds.")
    adam = [row["accuracy"] for row in figure.data["expected-mnist"] if row["optimizer"] == "Adam"]
    assert adam == [46.0, 72.0, 98.0]  # of 20, 98 and 20
    # An optimizer that lacks a rate cannot be compared.
    del every["Adam-1"]
    assert figures.expected(Results("mnist", every, {})) is None


def test_the_figure_is_labelled():
    curves = {(name, rate): seeds(at(1, 0.5), at(1, 0.6)) for name in OPTIMIZERS for rate in RATES}
    every = {
        f"{label}-{rate}": each
        for label, of in trained(curves, count=2).items()
        for rate, each in of.items()
    }
    drawn = figures.expected(Results("mnist", every, {}))
    labels = [
        "SGD", "SGD with momentum 0.9", "SGD with momentum 0.9 and nesterov", "RMSprop", "Adagrad",
        "Adam", "AdamW",
    ]  # fmt: skip
    band, line, marks = layers = drawn.variants["all"]["concat"][0]["layer"]
    for layer in layers:
        x, y, colour = (layer["encoding"][channel] for channel in ("x", "y", "color"))
        assert (x["field"], x["title"], x["axis"]["tickMinStep"]) == ("draws", "learning rates drawn", 1)
        assert y["title"] == "expected final test accuracy (%)"
        assert colour["field"] == "optimizer"
    assert band["transform"] == [{"filter": "isValid(datum.low)"}]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    # The axis need not start at 0.
    assert (line["encoding"]["y"]["field"], line["encoding"]["y"]["scale"]) == (
        "accuracy",
        {"zero": False},
    )
    for channel, layer in (("color", band), ("shape", marks)):
        scale = layer["encoding"][channel]["scale"]
        assert scale["domain"] == labels
        assert len({*scale["range"]}) > 5
        assert layer["encoding"][channel]["legend"]["title"] is None
    assert marks["encoding"]["shape"]["field"] == "optimizer"
    found = [(each["field"], each.get("title")) for each in marks["encoding"]["tooltip"]]
    assert found == [
        ("optimizer", None), ("draws", "rates drawn"), ("accuracy", "expected accuracy (%)")
    ]  # fmt: skip
    assert marks["encoding"]["tooltip"][2]["format"] == ".2f"


# What is declared -------------------------------------------------------------------------------------


def test_the_study_is_declared():
    study = load_study(ROOT / "examples" / "optimizers")
    assert study.study.title == "Seven optimizers on a small network"
    assert study.study.about.startswith("What each attains at its best learning rate")
    assert dict(study.study.scales) == {"miniature": 1, "full": 5}
    assert study.data_root.resolve() == ROOT / "data"
    assert [each.resolve() for each in study.documents] == [ROOT / "docs" / "optimizers.md"]


@pytest.mark.parametrize(
    ("module", "dataset", "title"),
    [(test_mnist, MNIST, "MNIST"), (test_fashion_mnist, FASHION_MNIST, "Fashion-MNIST")],
)
def test_each_optimizer_has_the_half_decades_from_0_0001_to_10(module, dataset, title):
    exercise = module.EXERCISE
    assert exercise.title == title
    assert exercise.question.endswith("?")
    makes = {
        "sgd": SGD,
        "momentum": partial(SGD, momentum=0.9),
        "nesterov": partial(SGD, momentum=0.9, nesterov=True),
        "rmsprop": RMSprop,
        "adagrad": Adagrad,
        "adam": Adam,
        "adamw": AdamW,
    }
    rates = ("0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1", "3", "10")
    assert [(row.name, row.experiment) for row in exercise.rows] == [
        (
            f"{name}-lr{rate}",
            Experiment(optimizer=make(float(rate)), batch_size=100, dataset=dataset, epochs=1),
        )
        for name, make in makes.items()
        for rate in rates
    ]
    drawn = exercise.figures["expected-best"](
        Results("x", {str(at): each for at, each in enumerate(trained({})["SGD"].values())}, {})
    )
    assert [*drawn.data] == ["expected-x"]
    given = []
    module.test_training(given.append, "a row")
    assert given == ["a row"]


def test_claims_are_about_all_trainings_of_the_exercise():
    class Trained:
        def where(self):
            return {str(each.experiment): each for each in every}

    every = [each for of in trained({}).values() for each in of.values()]
    found = conftest.by_optimizer._get_wrapped_function()(Trained())
    assert [each for of in found.values() for each in of.values()] == every
    assert len(found) == 7


def test_a_claim_says_what_it_compares_and_where_that_is_shown():
    shown = {
        "test_adaptive_methods_take_fewer_steps": "time-to-accuracy",
        "test_adam_is_sooner_than_momentum": "time-to-accuracy",
        "test_adam_is_better_with_three_draws": "expected-best",
    }
    for test, claim in claims_of(claims).items():
        assert claim.needs == "more epochs: after the first, small learning rates have hardly begun"
        assert claim.criterion.endswith(".")
        assert claim.shown_in == shown.get(test, "learning-rate")
    assert {*claims_of(test_mnist)} == {*claims_of(test_fashion_mnist)} == {*claims_of(claims)}


def test_the_published_verdicts_and_evidence_are_those_of_todays_claims():
    summary = sealed.read_model(KEPT / "summary.json", Summary)
    assert [exercise.module for exercise in summary.exercises] == ["examples/optimizers/test_mnist.py"]
    found = measures.by_optimizer(
        to_training(record)
        for record in sorted(
            map(read_record, (KEPT / "runs").glob("*.json")),
            key=lambda record: summary.exercises[0].cases.index(record.id),
        )
    )
    verdicts = {True: "holds", False: "does not hold", None: "inconclusive"}
    for kept in summary.claims:
        answers = []
        test = kept.id.partition("::")[2]
        getattr(claims, test)(found, lambda *given, _to=answers, **_: _to.append(given))
        ((holds, text),) = answers
        assert verdicts[None if holds is None else bool(holds)] == kept.verdict
        assert kept.evidence.startswith(text)
