"""The study, and the trainings that its claims are about."""

import pytest

from examples.optimizers import measures
from harness.study import Study

STUDY = Study(
    title="Seven optimizers on a small network",
    about="What each attains at its best learning rate, how soon, and how much that rate matters.",
    scales={"miniature": 1, "full": 5},
    data_root="../../data",
    documents=("../../docs/optimizers.md",),
)


@pytest.fixture
def by_optimizer(trained):
    """Returns all trainings of the exercise by optimizer, then by learning rate."""
    return measures.by_optimizer(trained.where().values())
