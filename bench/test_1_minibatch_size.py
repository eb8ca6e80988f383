"""Exercise 1. How do minibatches of different sizes compare with gradient descent?

SGD at learning rate 0.1, from single examples to the whole training set at once.
"""

import pytest

from bench.paper import TABLE_1
from harness.exercise import Exercise, Row

EXERCISE = Exercise(
    number=1,
    title="minibatch size",
    source="Table 1",
    epochs={"quick": 3, "paper": 100},
    rows=tuple(
        Row(
            f"sgd-lr0.1-batch{batch_size}",
            {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": batch_size},
            published,
        )
        for batch_size, published in TABLE_1.items()
    ),
)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
