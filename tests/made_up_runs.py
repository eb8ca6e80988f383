"""A made-up run, in memory, whose figures can be worked out on paper: see `RUN`.

It has two exercises, one to three seeds, two engines, a row that never reaches a target, a row that
diverges, and an epoch out of line. Of an exercise's published figures, the first is not the highest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.exercise import Published, row_name
from harness.files.record import Decision, TrainingRecord
from harness.files.summary import Summary
from harness.report.load import Run
from harness.results.records import to_case, to_record
from harness.session_settings import Settings
from model.experiment import Experiment, Training
from model.optimizers import SGD, Adam
from tests import reports
from tests.data import made_up_training

STEPS = 10
"""Steps in an epoch."""


def trained(
    optimizer: Any,
    *curves: Sequence[float],
    seconds: Sequence[float],
    train_loss: Sequence[float] = (),
    outcome: str = "partial",
    batch_size: int = 100,
    **fields: Any,
) -> Training:
    """Returns the training with a curve of test accuracies for each seed, from before training on.

    Training errors are half of the test errors.
    """
    accuracy = np.array(curves, dtype=float).T
    epochs, count = len(accuracy) - 1, len(curves)
    of_experiment = ("order", "init", "dataset", "network", "schedule")
    settings = {name: fields.pop(name) for name in of_experiment if name in fields}
    experiment = Experiment(optimizer=optimizer, batch_size=batch_size, epochs=epochs, **settings)
    loss = np.array([train_loss] * count, dtype=float).T if train_loss else 1 - accuracy
    return made_up_training(
        experiment,
        tuple(range(count)),
        **{
            "engine": "numba",
            "steps": STEPS * epochs,
            "epoch_seconds": np.array(seconds, dtype=float),
            "train_loss": loss,
            "train_accuracy": (1 + accuracy) / 2,
            "test_loss": loss + 1,
            "test_accuracy": accuracy,
            "predictions": np.full((10, count), 1000),
            "outcomes": (outcome,) * count,
            **fields,
        },
    )


def record(module: str, name: str, training: Training, published: Published) -> TrainingRecord:
    return TrainingRecord.model_validate(
        {
            "id": f"{module}::test_training[{name}]",
            "run": {**reports.RUN, "replicates": len(training.seeds)},
            "experiment": training.experiment.to_dict(),
            **to_record(training, threads=1, left_out={}, published=published),
        }
    )


NAN, INF = math.nan, math.inf
FIRST, SECOND = "bench/test_1_x.py", "bench/test_2_y.py"
TRAININGS: dict[str, dict[str, Training]] = {
    FIRST: {
        # Its errors end at 10, 8 and 3 %. It reaches 90 % after 3, 2 and 1 epochs.
        "sgd-lr0.01": trained(
            SGD(0.01),
            (0.1, 0.5, 0.8, 0.9, 0.9),
            (0.1, 0.5, 0.9, 0.91, 0.92),
            (0.1, 0.9, 0.95, 0.97, 0.97),
            seconds=(0, 3, 6, 9, 12),
            outcome="learned",
            prepare_seconds=1.5,
        ),
        "sgd-lr0.1": trained(SGD(0.1), (0.1, 0.2, 0.3, 0.4, 0.5), seconds=(0, 1, 2, 3, 4)),
        "sgd-lr1": trained(
            SGD(1),
            (0.1, 0.8, 0.1, 0.1, 0.1),
            seconds=(0, 2, 4, 6, 8),
            train_loss=(2.3, 1.0, INF, NAN, NAN),
            outcome="diverged",
            engine="eager",
        ),
        "adam-lr0.01": trained(
            Adam(0.01),
            (0.1, 0.95, 0.96, 0.97, 0.98),
            (0.1, 0.95, 0.96, 0.97, 0.96),
            seconds=(0, 2, 4, 6, 8),
            outcome="learned",
        ),
        "adam-lr0.1": trained(
            Adam(0.1),
            (0.1, 0.9, 0.95, 0.97, 0.985),
            seconds=(0, 4, 5, 6, 7),
            outcome="learned",
        ),
        "adam-lr1": trained(
            Adam(1), (0.1, 0.2, 0.1, 0.1, 0.1), seconds=(0, 1, 2, 3, 4), outcome="constant"
        ),
    },
    SECOND: {
        "small": trained(
            SGD(0.5), (0.1, 0.92, 0.94), seconds=(0, 10, 20), batch_size=10, outcome="learned"
        ),
        "large": trained(
            SGD(0.5), (0.1, 0.3, 0.6), seconds=(0, 30, 60), batch_size=1000, prepare_seconds=2.5
        ),
    },
}
PUBLISHED = {
    "sgd-lr0.01": Published(0.55, 600, "It was interrupted."),
    "sgd-lr0.1": Published(0.63, 100, "Unexplained."),
    "adam-lr0.01": Published(0.9),
    "adam-lr0.1": Published(0.99, 10),
    "large": Published(0.95),
}
FULL = {FIRST: 8, SECOND: 20}
"""The epochs at the full scale."""


def claim(module: str, name: str, verdict: str, evidence: str = "So.") -> Decision:
    return Decision.model_validate(
        {
            "id": f"{module}::test_{name}",
            "text": f"It is {name}.",
            "source": "Table 1",
            "verdict": verdict,
            "evidence": evidence,
        }
    )


def run_of(
    trainings: Mapping[str, Mapping[str, Training]],
    claims: Sequence[Decision] = (),
    published: Mapping[str, Published] = PUBLISHED,
    full: Mapping[str, int] = FULL,
    **changes: Any,
) -> Run:
    """Returns a run of these trainings by exercise and row, with its records; nothing is on disk."""
    records = {
        module: [record(module, *each, published.get(each[0], Published())) for each in of.items()]
        for module, of in trainings.items()
    }
    every = [each for of in records.values() for each in of]
    cases = [to_case(each, resumed=False, remark=each.paper.remark) for each in every]
    content = {
        "schema": 3,
        "study": reports.STUDY,
        "scale": "quick",
        "full_scale": "paper",
        "dataset": "mnist",
        "timing": "exclusive",
        "created": "2026-01-02T03:04:05+00:00",
        "code": "0123456789ab",
        "command": "pytest bench/",
        "machine": {**reports.MACHINE},
        "exercises": [
            {
                "module": module,
                "title": f"Exercise {at}",
                "source": f"Table {at}",
                "figure": f"Figure {at}",
                "epochs": of[0].experiment.epochs,
                "full_epochs": full[module],
                "cases": [each.id for each in of],
                "claims": [each.id for each in claims if each.id.startswith(module)],
            }
            for at, (module, of) in enumerate(records.items(), 1)
        ],
        "cases": [each.model_dump() for each in cases],
        "claims": [each.model_dump() for each in claims],
        **changes,
    }
    summary = Summary.model_validate(content)
    return Run(
        Path("run"),
        summary,
        {each.id: each for each in summary.cases},
        {each.id: each for each in summary.claims},
        {each.id: each for each in every},
        [],
        None,
        None,
    )


RUN = run_of(TRAININGS)
ONE, TWO = RUN.summary.exercises
CASES = {row_name(case.id): case for case in RUN.summary.cases}
SETTINGS = Settings(
    scale="paper",
    device="cpu",
    engine="auto",
    seeds=(0, 1),
    dataset="mnist",
    data_root=Path("data"),
    timing="exclusive",
    report_dir=Path("report"),
    resume=False,
    save_weights=False,
    tensorboard=None,
)
