"""The exercise of each data set: every optimizer at every learning rate."""

from harness.exercise import Exercise, Row
from model.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
BATCH_SIZE = 100

# All settings but the learning rate are PyTorch's defaults, and the momentum is the usual one.
OPTIMIZERS = {
    "sgd": SGD,
    "momentum": lambda rate: SGD(rate, momentum=0.9),
    "nesterov": lambda rate: SGD(rate, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
}


def exercise_on(dataset, title):
    """Returns the exercise on a data set, with a row for each optimizer and learning rate."""
    return Exercise(
        title=title,
        question="Which optimizer is best, how soon is it there, and how much does its rate matter?",
        rows=tuple(
            Row(
                f"{name}-lr{rate}",
                {"optimizer": make(rate), "batch_size": BATCH_SIZE, "dataset": dataset},
            )
            for name, make in OPTIMIZERS.items()
            for rate in RATES
        ),
        figures={"expected-best": _expected_best},
    )


def _expected_best(results):
    """Draws the figure; Altair is imported only then."""
    from examples.optimizers.figures import expected

    return expected(results)
