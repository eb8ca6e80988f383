"""Exercise 2. What happens when every weight and bias starts at one common value, and why?"""

import pytest

from bench.paper import ZERO_INIT
from harness.exercise import Exercise, Published, Row

GRADIENT_DESCENT = 60000

EXERCISE = Exercise(
    number=2,
    title="constant initialisation",
    source="answer 2",
    epochs={"quick": 3, "paper": 100},
    rows=tuple(
        Row(
            f"{method}-init{value}",
            {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": batch_size, "init": value},
            # The assignment does not say whether it used gradient descent or SGD: it stands
            # beside both.
            ZERO_INIT if value == 0 else Published(),
        )
        for value in (0, 0.01, 0.1, 1)
        for method, batch_size in (("gd", GRADIENT_DESCENT), ("sgd", 100))
    ),
)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
