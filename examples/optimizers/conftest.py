"""What is particular to this study, and the trainings that its claims are about."""

import pytest

from harness.study import Study

STUDY = Study(
    title="Seven optimizers on a small network",
    about="What each attains at its best learning rate, how soon, and how much that rate matters.",
    scales={"miniature": 1, "full": 5},
    data_root="../../data",
)


@pytest.fixture
def by_optimizer(trained):
    """All trainings of the exercise: by optimizer, then by learning rate."""
    found = {}
    for training in trained.where().values():
        optimizer = training.experiment.optimizer
        found.setdefault(optimizer.label, {})[optimizer.learning_rate] = training
    return found
