"""A pytest plugin that replaces data and training by results that take no time.

Environment variables change these results.
"""

import os

import numpy as np

from tests.data import made_up_training


def train(experiment, data, *, seeds, engine, observers, after_epoch):
    # The rate determines the time, so that every case has a different one.
    seconds = experiment.learning_rate * float(os.environ.get("FAKE_SLOWER", 1))
    accuracy = 0.95 + float(os.environ.get("FAKE_BETTER", 0)) + np.array(seeds) / 1000
    points = experiment.epochs + 1
    curve = np.linspace(np.full(len(seeds), 0.1), accuracy, points)
    return made_up_training(
        experiment,
        seeds,
        steps=experiment.epochs,
        epoch_seconds=np.linspace(0.0, seconds, points),
        train_loss=1 - curve,
        train_accuracy=curve,
        test_loss=1 - curve,
        test_accuracy=curve,
    )


def pytest_configure():
    # Imported only now, as pytest rewrites the assertions of plugins that are not imported yet.
    import harness.plugin.fixtures
    import harness.plugin.session
    import model.engines.proof

    harness.plugin.fixtures.train_model = train
    harness.plugin.fixtures.load = lambda *_: None
    harness.plugin.session.prepare = lambda *_: None
    # "auto" takes the first engine that can run, without a proof.
    model.engines.proof.kept_answer = lambda *_: model.engines.proof.ProofResult(None)
    if "REAL_REPORT" not in os.environ:  # it takes seconds
        harness.plugin.session.draw_report = lambda *_: "No report."
