"""Exercise 2. What happens when every weight and bias starts at one common value, and why?

Gradient descent and SGD from 0 and, beyond the assignment, from 0.01, 0.1 and 1. The reasons are
decided by how far the units of a layer are from being copies of each other, by the ranks of the weight
matrices, by how far each parameter ends from its initial value, and by which parameters ever receive
a gradient. docs/findings.md has the results.
"""

import numpy as np
import pytest

from bench import stories
from bench.paper import ZERO_INIT
from harness.accuracy import format_accuracy
from harness.claim import claim
from harness.exercise import Exercise, Published, Row
from harness.stats import format_mean
from harness.verdicts import NOT_REPRODUCED, REPRODUCED
from model.diagnostics.gradient_flow import gradient_flow
from model.network import MLP
from model.observers import UNIT_SYMMETRY
from model.optimizers import SGD

_GRADIENT_DESCENT = 60000
VALUES = (0, 0.01, 0.1, 1)

EXERCISE = Exercise(
    title="Exercise 2: constant initialisation",
    question="What happens when every weight and bias starts at one common value, and why?",
    source="answer 2",
    figure="Figure 4",
    guesses=(
        "The learning rate is 0.1 and the number of epochs 100, as in exercise 1.",
        "The paper names no constant but 0; of others, 0.01, 0.1 and 1 are run.",
        "The paper allows two methods, and both are run: gradient descent, and SGD at batch size 100.",
    ),
    story=stories.constant_init,
    # Quick: the effect of zero on the first layers shows from the first step, and the other values
    # do not get far in 3 epochs either (1800 steps of SGD).
    epochs={"quick": 3},
    rows=tuple(
        Row(
            f"{method}-init{value}",
            # Guess: the assignment gives neither learning rate nor batch size here. 0.1 is its rate
            # elsewhere, and it allows gradient descent or SGD, so both are run.
            {"optimizer": SGD(0.1), "batch_size": batch_size, "init": value},
            ZERO_INIT if value == 0 else Published(),
        )
        for value in VALUES
        for method, batch_size in (("gd", _GRADIENT_DESCENT), ("sgd", 100))
    ),
    measurements={
        "gradient-flow": lambda data, seed: {
            str(value): gradient_flow(value, data, seed=seed) for value in VALUES
        }
    },
    observers=(UNIT_SYMMETRY,),
)

PARAMETERS = MLP().parameter_names
FROM_ZERO = {"gd-init0": "gradient descent", "sgd-init0": "SGD"}
# From zero the ReLU layer outputs 0, so weight2 gets no gradient, stays 0, and passes none back.
UNREACHED = ("weight1", "bias1", "weight2")
REACHED = ("bias2", "weight3", "bias3")
# The largest `unit_spread` of units that are copies up to float32 rounding. If units differ, it is
# near 1.
COPIES = 1e-4


def moved(training):
    """Returns how far each parameter moved from its initial value, by name: shape (seeds,)."""
    return dict(zip(PARAMETERS, training.distance_from_initialisation, strict=True))


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row, on_mnist):
    """No common value lets the network learn: the units of a layer stay copies of each other.

    Final test accuracies of 20 seeds at the quick scale: at most 0.274, by SGD from 0.01.
    """
    training = train(row)
    assert "learned" not in training.outcomes
    if on_mnist():
        # From 0.01, rounding in eager makes the second layer's units differ by up to 0.001 (20 seeds).
        assert (training.observed["unit_spread"] <= 0.3).all()


@pytest.mark.parametrize("row", FROM_ZERO)
def test_from_zero_it_ends_near_ten_percent(trained, row, on_mnist):
    """It predicts one class for every image, and so ends at that class's share of the test set."""
    training = trained(row)
    assert set(training.outcomes) == {"constant"}
    if on_mnist():
        # The 10000 images include from 892 fives to 1135 ones. Gradient descent learns the shares of
        # the whole training set, in which ones are most common; SGD those of its last batches.
        assert (training.test_accuracy[-1] >= 0.0892).all()
        assert (training.test_accuracy[-1] <= 0.1135).all()
        if row == "gd-init0":
            assert (training.test_accuracy[-1] == 0.1135).all()
            assert (training.predictions[1] == 10000).all()


def test_from_0_01_all_parameters_have_a_gradient_and_units_stay_copies(measured, on_mnist):
    for found in (seed["0.01"] for seed in measured("gradient-flow")):
        assert found["first"] == [1] * len(PARAMETERS)
        if on_mnist():
            assert np.max(found["unit_spread"]) <= COPIES
            assert np.all(np.equal(found["weight_ranks"], 1))


@pytest.mark.parametrize("value", ["0.1", "1"])
def test_from_0_1_up_the_sigmoids_are_saturated(measured, value, on_mnist):
    """Their derivative is 0 in float32, so nothing below the output layer ever moves."""
    for found in (seed[value] for seed in measured("gradient-flow")):
        if on_mnist():
            assert found["first"] == [None, None, None, None, 1, 1]


@claim(
    "From zero, the test accuracy is 0.113 and the training accuracy 0.112.",
    source="answer 2",
    expected=REPRODUCED,
    criterion="Within 0.001, by gradient descent.",
    shown_in="error",
)
def test_zero_ends_at_0_113(trained, decide):
    by_gd, by_sgd = map(trained, FROM_ZERO)
    test, train = by_gd.test_accuracy[-1], by_gd.train_accuracy[-1]
    predicted = by_gd.predictions[:, 0].argmax()
    decide(
        bool((abs(test - 0.113) < 0.001).all() and (abs(train - 0.112) < 0.001).all()),
        f"By gradient descent {format_accuracy(test, 4)} and {format_accuracy(train, 4)}: the shares of "
        f"class {predicted}, the most common in training, which it predicts for every image. "
        f"By SGD {format_accuracy(by_sgd.test_accuracy[-1], 4)} and "
        f"{format_accuracy(by_sgd.train_accuracy[-1], 4)}: the shares of the class that its last "
        "batches favoured.",
    )


@claim(
    "From zero, the losses do not decrease.",
    source="answer 2, Figure 4",
    expected=REPRODUCED,
    criterion="Neither loss ends more than 0.01 nats lower than it starts; a smaller drop could not be "
    "seen in a figure.",
    shown_in="loss",
)
def test_zero_losses_do_not_decrease(trained, decide):
    found = {row: trained(row) for row in FROM_ZERO}
    drops = {
        row: np.maximum(each.train_loss[0] - each.train_loss[-1], each.test_loss[0] - each.test_loss[-1])
        for row, each in found.items()
    }
    figures = "; ".join(
        f"{FROM_ZERO[row]} {format_mean(each.train_loss[0], 4)} to {format_mean(each.train_loss[-1], 4)}"
        for row, each in found.items()
    )
    decide(
        bool(all((drop <= 0.01).all() for drop in drops.values())),
        f"Training losses: {figures}.",
    )


@claim(
    "From zero, the network learns nothing.",
    source="answer 2, Figure 4",
    expected=REPRODUCED,
    criterion="Nothing about the images: it predicts the same class for all of them.",
    shown_in="error",
)
def test_zero_learns_nothing(trained, decide):
    found = {row: trained(row) for row in FROM_ZERO}
    classes = {row: (each.predictions > 0).sum(axis=0) for row, each in found.items()}
    figures = ", ".join(f"{FROM_ZERO[row]} {format_mean(each, 0)}" for row, each in classes.items())
    decide(
        bool(all((each == 1).all() for each in classes.values())),
        f"Number of classes predicted for the 10000 test images at the end: {figures}.",
    )


@claim(
    "Reason (i): if f(0) ≠ 0 (sigmoid), all weights act together, and the space is not searched.",
    source="answer 2, (i)",
    expected=REPRODUCED,
    criterion="The units stay copies of each other, up to float32 rounding.",
)
def test_zero_sigmoid_units_act_together(trained, measured, decide):
    found = [trained(row) for row in FROM_ZERO]
    step_by_step = max(np.max(seed["0"]["unit_spread"]) for seed in measured("gradient-flow"))
    apart = max(step_by_step, *(each.observed["unit_spread"][1].max() for each in found))
    ranks = sorted({int(rank) for each in found for rank in each.observed["weight_ranks"][2]})
    decide(
        bool(apart <= COPIES and ranks == [1]),
        f"The 100 sigmoid units never differ by more than {apart:.1g} of their largest weight "
        f"(float32 rounding), and the last weight matrix, 100 x 10, ends with rank "
        f"{' or '.join(map(str, ranks))}.",
    )


@claim(
    "Reason (ii): if f(0) = 0 (ReLU), all outputs are 0, and so are the gradients of the weights.",
    source="answer 2, (ii)",
    expected=REPRODUCED,
    criterion="Exactly 0: the ReLU layer's outputs, and the gradients of its weights, its biases "
    "and the next layer's weights.",
)
def test_zero_relu_units_are_dead(trained, measured, decide):
    found = [trained(row) for row in FROM_ZERO]
    flows = [seed["0"] for seed in measured("gradient-flow")]
    active = max(np.max(flow["active"]) for flow in flows)
    first = [dict(zip(PARAMETERS, flow["first"], strict=True)) for flow in flows]
    reached = [name for name in UNREACHED if any(each[name] is not None for each in first)]
    changed = [name for name in UNREACHED if any((moved(each)[name] != 0).any() for each in found)]
    decide(
        active == 0 and not reached and not changed,
        f"The ReLU layer's largest output in {flows[0]['steps'][-1]} steps of SGD is {active:g}. "
        f"Of {', '.join(UNREACHED)}, {', '.join(reached) or 'none'} receives a gradient in these "
        f"steps, and {', '.join(changed) or 'none'} has changed at the end, by gradient descent or SGD.",
    )


@claim(
    "Reason (ii), continued: the learning process stops.",
    source="answer 2, (ii)",
    expected=NOT_REPRODUCED,
    criterion="It would stop if no parameter received a gradient.",
)
def test_zero_stops_learning(trained, measured, decide):
    flow = measured("gradient-flow")[0]["0"]
    first = dict(zip(PARAMETERS, flow["first"], strict=True))
    moving = [name for name in REACHED if (moved(trained("sgd-init0"))[name] > 0).all()]
    figures = ", ".join(f"{name} from step {first[name]}" for name in moving)
    decide(
        not moving,
        f"Parameters that receive a gradient: {figures}. But the sigmoids output the same for every "
        "image (0.5 at first), so only the classes' shares can be learnt.",
    )


@claim(
    "From zero, the weights become 0.",
    source="answer 2, conclusion",
    expected=NOT_REPRODUCED,
    criterion="All weight matrices are exactly 0 at the end.",
)
def test_zero_weights_become_0(trained, decide):
    found = moved(trained("gd-init0")), moved(trained("sgd-init0"))
    figures = ", ".join(
        f"{name} {found[0][name].mean():.1g} and {found[1][name].mean():.1g}" for name in PARAMETERS
    )
    decide(
        bool(
            all((each[name] == 0).all() for each in found for name in ("weight1", "weight2", "weight3"))
        ),
        f"Final norms by gradient descent and by SGD: {figures}.",
    )
