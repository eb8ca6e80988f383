"""Exercise 3. Does online gradient descent converge on a stream that is sorted by class?"""

import numpy as np
import pytest

from bench.paper import TABLE_2
from harness.exercise import Exercise, Row

EXERCISE = Exercise(
    number=3,
    title="online gradient descent",
    source="Table 2",
    # Quick: after 3 epochs shuffled SGD at 0.0001 is past one half, online still at a tenth.
    epochs={"quick": 3, "paper": 100},
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
    training = train(row)
    assert training.steps == 60000 * training.experiment.epochs


ONLINE = [name for name in EXERCISE.names if name.startswith("online")]
SHUFFLED = [name for name in EXERCISE.names if name.startswith("sgd")]


@pytest.mark.parametrize("row", ONLINE)
def test_online_is_worse_than_shuffled_at_its_best(trained, row):
    """Five seeds at the quick scale: 0.1009 at every rate, against 0.823 to 0.923."""
    best = np.max([trained(name).test_accuracy[-1] for name in SHUFFLED], axis=0)
    assert (trained(row).test_accuracy[-1] < best - 0.05).all()


@pytest.mark.parametrize("row", ONLINE)
def test_one_pass_over_the_stream_leaves_its_last_class_alone(trained, row):
    """After the nines that end it, every image is taken for one: 0.1009 for five seeds."""
    assert (trained(row).test_accuracy[1] < 0.15).all()
