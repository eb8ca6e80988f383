"""Seven optimizers over half decades of learning rate, on MNIST."""

import pytest

from examples.optimizers.claims import (  # noqa: F401  # pytest collects them here
    test_adam_ends_better_than_momentum,
    test_adam_is_better_with_three_draws,
    test_adam_is_more_tunable,
    test_adam_is_sooner_than_momentum,
    test_adamw_ends_where_adam_does,
    test_adaptive_methods_take_fewer_steps,
    test_all_end_within_a_point,
    test_the_ranking_has_no_ties,
)
from examples.optimizers.exercise import exercise_on
from model.dataset import MNIST

EXERCISE = exercise_on(MNIST, "MNIST")


@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)
