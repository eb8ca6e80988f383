"""Exercise 3. Does online gradient descent converge on a stream that is sorted by class?"""

import pytest

from bench.paper import TABLE_2
from harness.exercise import Exercise, Row

EXERCISE = Exercise(
    number=3,
    title="online gradient descent",
    source="Table 2",
    epochs={"quick": 1, "paper": 100},
    rows=tuple(
        Row(
            f"{'online' if order == 'by_class' else 'sgd'}-lr{learning_rate}",
            {"optimizer": "sgd", "learning_rate": learning_rate, "batch_size": 1, "order": order},
            published,
        )
        for (order, learning_rate), published in TABLE_2.items()
    ),
)


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
