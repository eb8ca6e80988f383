"""Exercise 2. What happens when every weight and bias starts at one common value, and why?"""

import pytest

from bench.paper import ZERO_INIT
from harness.exercise import Exercise, Published, Row
from model.network import PARAMETERS

GRADIENT_DESCENT = 60000

EXERCISE = Exercise(
    number=2,
    title="constant initialisation",
    source="answer 2",
    # Quick: what zero does to the first layers is there from the first step on, and no
    # other value has got far after 3 epochs either (1800 steps of SGD).
    epochs={"quick": 3, "paper": 100},
    rows=tuple(
        Row(
            f"{method}-init{value}",
            # Guess: the assignment gives neither rate nor batch size here; 0.1 is its choice
            # elsewhere, and with gradient descent and SGD both of its methods are tried.
            {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": batch_size, "init": value},
            ZERO_INIT if value == 0 else Published(),
        )
        for value in (0, 0.01, 0.1, 1)
        for method, batch_size in (("gd", GRADIENT_DESCENT), ("sgd", 100))
    ),
)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    """No common value lets the network learn: the units of a layer remain each other's copies.

    Five seeds at the quick scale: at most 0.274, by SGD from 0.01.
    """
    training = train(row)
    assert "learned" not in training.outcomes


@pytest.mark.parametrize("row", ["gd-init0", "sgd-init0"])
def test_from_zero_the_first_two_layers_weights_never_move(trained, row):
    """Exactly: with weight1 and bias1 at zero no unit of the first layer is ever above zero."""
    training = trained(row)
    moved = dict(zip(PARAMETERS, training.moved, strict=True))
    for name in ("weight1", "bias1", "weight2"):
        assert (moved[name] == 0).all(), name
    for name in ("bias2", "weight3", "bias3"):
        assert (moved[name] > 0).all(), name


@pytest.mark.parametrize("row", ["gd-init0", "sgd-init0"])
def test_from_zero_it_ends_near_ten_percent(trained, row):
    """With one class for every image, so at that class's share of the test set."""
    training = trained(row)
    assert set(training.outcomes) == {"constant"}
    if training.experiment.dataset == "mnist":
        # From 892 fives to 1135 ones. Gradient descent follows the shares of the whole
        # training set, where ones are commonest; SGD those of its last batches.
        assert (training.test_accuracy[-1] >= 0.0892).all()
        assert (training.test_accuracy[-1] <= 0.1135).all()
        if row == "gd-init0":
            assert (training.test_accuracy[-1] == 0.1135).all()
