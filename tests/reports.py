"""Writes made-up report folders, with data for every kind of figure."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np

from examples.optimizers.exercise import OPTIMIZERS
from examples.optimizers.exercise import RATES as GRID_RATES
from harness.exercise import Exercise, Published, Results, row_name
from harness.files import sealed
from harness.files.names import file_name
from harness.files.record import TrainingRecord, key_of
from harness.paths import ROOT
from harness.results.records import to_case, to_record, to_training
from model.dataset import FASHION_MNIST, MNIST
from model.experiment import Experiment
from model.optimizers import SGD, Adam
from tests.data import made_up_training

EPOCHS = 4
STUDY = {"title": "A study", "about": "", "row": "row", "published": "paper"}
RATES = (0.001, 0.01, 0.1)
MARKUP = "</script><script>window.owned = true</script><b onclick=x>"
RUN = {
    "scale": "quick",
    "dataset": "mnist",
    "replicates": 1,
    "engine": "auto",
    "timing": "exclusive",
    "device": "cpu",
    "device_name": "a machine",
    "torch": "2.13.0",
    "code": "0123456789ab",
}
MACHINE = {
    "device": "cpu",
    "device_name": "a machine",
    "cores": 2,
    "cuda": None,
    "torch": "2.13.0",
    "python": "3.11.7",
}
FIGURES = {
    "1-x-error", "1-x-seconds", "1-x-loss", "1-x-time-to-accuracy", "1-x-learning-rate", "3-x-error",
    "3-x-seconds", "3-x-loss", "3-x-time-to-accuracy", "3-x-classes", "3-x-gradient-bias", "speed",
}  # fmt: skip


def write(folder: Path, *, seeds: int = 2, better: float = 0.0, slower: float = 1.0) -> dict[str, Any]:
    """Writes a report with six rows of two optimizers and two rows of two orders; returns its summary.

    The first row's accuracies are higher by `better`, and its times longer by the factor `slower`.
    """
    (folder / "runs").mkdir(parents=True)
    records = []
    for exercise, name, settings in _rows():
        first = not records
        records.append(
            _record(
                exercise,
                name,
                Experiment(epochs=EPOCHS, **settings),
                tuple(range(seeds)),
                better if first else 0.0,
                slower if first else 1.0,
            )
        )
    for record in (*records, _bias(seeds)):
        write_record(folder, record)
    sealed.write_content(folder / "speed.json", speed())
    sealed.write_content(folder / "figures.json", _own_figures([*records, _bias(seeds)]))
    summary = _summary(records)
    sealed.write_content(folder / "summary.json", summary)
    return summary


def tell_more(folder: Path) -> None:
    """Adds to a report what exercises and claims may say of themselves.

    The first two claims name a figure and rows, the third a figure that does not exist.
    """
    path = folder / "summary.json"
    summary = sealed.read_content(path)
    for exercise in summary["exercises"]:
        exercise |= {
            "story": f"It was found {MARKUP}.",
            "guesses": [f"One guess {MARKUP}.", "Another guess."],
            "full_epochs": 100,
        }
    for claim, figure in zip(summary["claims"], ("learning-rate", "error", "nothing", ""), strict=True):
        claim |= {
            "criterion": f"It exceeds the other {MARKUP}.",
            "shown_in": figure,
            "rows": ["adam-lr0.01", "adam-lr0.1"],
        }
    sealed.write_content(path, summary)


def write_grid(folder: Path, *, seeds: int = 2) -> dict[str, Any]:
    """Writes a report of seven optimizers at eleven rates on two data sets; returns its summary."""
    return write_rows(
        folder,
        {
            f"{dataset}-{name}-lr{rate}": {
                "optimizer": make(rate),
                "batch_size": 100,
                "dataset": dataset,
            }
            for dataset in (MNIST, FASHION_MNIST)
            for name, make in OPTIMIZERS.items()
            for rate in GRID_RATES
        },
        seeds=seeds,
    )


def write_many(folder: Path, *, seeds: int = 1) -> dict[str, Any]:
    """Writes a report of 1000 rows: ten rates, batch sizes and momenta; returns its summary."""
    return write_rows(
        folder,
        {
            f"lr{rate}-batch{size}-momentum{momentum}": {
                "optimizer": SGD(rate, momentum=momentum),
                "batch_size": size,
            }
            for rate in GRID_RATES[:10]
            for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
            for momentum in (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        },
        seeds=seeds,
    )


def write_rows(
    folder: Path, rows: dict[str, dict[str, Any]], *, seeds: int, epochs: int = EPOCHS
) -> dict[str, Any]:
    """Writes a report of an exercise with these rows, by name; returns its summary."""
    (folder / "runs").mkdir(parents=True)
    records = [
        _learned(at, name, Experiment(epochs=epochs, **settings), seeds)
        for at, (name, settings) in enumerate(rows.items())
    ]
    for record in records:
        write_record(folder, record)
    summary = _summary(records)
    del summary["exercises"][1]
    sealed.write_content(folder / "summary.json", summary)
    return summary


def _learned(at: int, name: str, experiment: Experiment, count: int) -> dict[str, Any]:
    """Returns a record that learns best, and fastest, at a rate that depends on the optimizer."""
    optimizer = experiment.optimizer
    adaptive = optimizer.name.startswith(("Adam", "RMS"))
    middle = -2.5 if adaptive else np.log10(0.1 * (1.1 - getattr(optimizer, "momentum", 0)))
    off = abs(np.log10(experiment.learning_rate) - middle)
    end = (0.985 if experiment.dataset == MNIST else 0.9) - 0.02 * off**2 - 0.001 * (at % 7)
    ends = max(end, 0.1) - 0.001 * np.arange(count) if off < 2 else np.full(count, 0.1)
    epochs = np.arange(experiment.epochs + 1)[:, None]
    accuracy = ends - (ends - 0.1) * np.exp(-epochs * (3 - off))
    training = made_up_training(
        experiment,
        tuple(range(count)),
        steps=experiment.epochs * 10,
        epoch_seconds=np.arange(experiment.epochs + 1) * 100 / experiment.batch_size,
        train_loss=1 - accuracy,
        test_loss=1.1 - accuracy,
        train_accuracy=accuracy,
        test_accuracy=accuracy,
        distance_from_initialisation=np.ones((len(experiment.network.parameter_names), count)),
        outcomes=("learned" if ends[0] > experiment.dataset.learned_from else "partial",) * count,
    )
    return {
        "id": f"bench/test_1_x.py::test_training[{name}]",
        "run": {**RUN, "replicates": count},
        "experiment": experiment.to_dict(),
        **to_record(training, threads=1, left_out={}, published=Published()),
    }


def write_record(folder: Path, record: dict[str, Any]) -> Path:
    """Writes the record to the report `folder`, under its own name."""
    path = folder / "runs" / f"{file_name(record['id'], key_of(record))}.json"
    sealed.write_content(path, record)
    return path


def _rows():
    for name, optimizer in (("adam", Adam), ("sgd", SGD)):
        for rate in RATES:
            yield (
                1,
                f"{name}-lr{rate}",
                {"optimizer": optimizer(rate), "batch_size": 32},
            )
    for order in ("by_class", "shuffled"):
        yield 3, f"{order}-lr0.1", {"optimizer": SGD(0.1), "batch_size": 1, "order": order}


def _record(exercise, name, experiment, seeds, better, slower) -> dict[str, Any]:
    count = len(seeds)
    ends = 0.97 - 0.02 * RATES.index(experiment.learning_rate) + better + np.arange(count) / 1000
    accuracy = np.linspace(np.full(count, 0.1), ends, EPOCHS + 1)
    training = made_up_training(
        experiment,
        seeds,
        steps=EPOCHS * 10,
        epoch_seconds=np.arange(EPOCHS + 1) * slower,
        train_loss=1 - accuracy,
        test_loss=1.1 - accuracy,
        # Training errors end at exactly 0, which has no logarithm.
        train_accuracy=np.linspace(np.full(count, 0.1), np.ones(count), EPOCHS + 1),
        test_accuracy=accuracy,
        observed=_stream(count) if experiment.order == "by_class" else {},
    )
    return {
        "id": f"bench/test_{exercise}_x.py::test_training[{name}]",
        "run": {**RUN, "replicates": count},
        "experiment": experiment.to_dict(),
        **to_record(training, threads=1, left_out={}, published=Published(0.9, 500)),
    }


def _stream(count: int) -> dict[str, Any]:
    examples = np.repeat([[0], [300], [600], [1025]], count, axis=1)
    return {"stream_examples": examples, "stream_class_accuracy": np.zeros((4, 10, count))}


def _bias(seeds: int) -> dict[str, Any]:
    along = {
        "checkpoints": [0, 0.5],
        "counts": [1, 10, 100],
        "cosine": [[0.1, 0.5, 1]] * 2,
        "relative_error": [[10, 3, 0]] * 2,
    }
    return {
        "id": "bench/test_3_x.py::gradient-bias",
        "run": {**RUN, "replicates": seeds},
        "device": "cpu",
        "seeds": list(range(seeds)),
        "measured": [{"by_class": along, "shuffled": along}] * seeds,
    }


def _own_figures(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the content of a `figures.json` with the figures of bench's third exercise."""
    from harness.report import own_figures  # imports Altair

    # Run by path: the suites that tests run also have a package called bench.
    draw = {
        name: runpy.run_path(str(ROOT / "bench" / f"{module}.py"))[function]
        for name, module, function in (
            ("classes", "class_accuracy_figure", "draw_class_accuracy"),
            ("gradient-bias", "gradient_bias_figure", "draw_gradient_bias"),
        )
    }
    module = "bench/test_3_x.py"
    mine = {each["id"].partition("::")[2]: each for each in records if module in each["id"]}
    trainings = {
        row_name(test): to_training(TrainingRecord.model_validate(each))
        for test, each in mine.items()
        if "experiment" in each
    }
    measurements = {"gradient-bias": mine["gradient-bias"]["measured"]}
    exercise = Exercise(
        title="Exercise 3",
        epochs={"quick": EPOCHS},
        rows=(),
        figures=draw,
    )
    results = Results("3-x", trainings, measurements)
    content, errors = own_figures.drawn({module: (exercise, results)})
    assert errors == []
    return content


def speed() -> dict[str, Any]:
    """Returns the content of a `speed.json`."""
    rows = [
        {
            "engine": engine,
            "device": "cpu",
            "optimizer": "SGD",
            "batch_size": size,
            "replicates": 1,
            "cores": 1,
            "us_per_step": 20.0 * size,
            "ratio_to_eager": 1.0,
            "best_peer": "eager",
            "ratio_to_best_peer": 1.0,
            "roofline_us_per_step": 5.0 * size,
            "bound_by": "bytes",
            "share_of_roofline": 0.25,
            "share_of_peak": 0.5,
            "peak_mib": None,
        }
        for engine in ("numba", "eager")
        for size in (1, 100)
    ]
    return {"rows": rows, "machine": {**MACHINE}}


def _summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    claims = [
        {
            "id": f"bench/test_1_x.py::test_{kind}",
            "text": f"It is {kind} {MARKUP}.",
            "source": f"Table 1 {MARKUP}",
            "verdict": verdict,
            "needs": None,
            "evidence": f"Evidence of {kind} {MARKUP}.",
        }
        for kind, verdict in (
            ("so", "reproduced"),
            ("otherwise", "not reproduced"),
            ("open", "inconclusive"),
            ("later", "not testable at this scale"),
        )
    ]
    return {
        "schema": 3,
        "study": {**STUDY},
        "scale": "quick",
        "dataset": "mnist",
        "timing": "exclusive",
        "created": "2026-01-02T03:04:05+00:00",
        "commit": None,
        "code": "0123456789ab",
        "command": f"pytest bench/ {MARKUP}",
        "machine": {**MACHINE, "device_name": f"a machine {MARKUP}"},
        "exercises": [
            {
                "module": f"bench/test_{number}_x.py",
                "title": f"Exercise {number} {MARKUP}",
                "question": f"What is {number} {MARKUP}?",
                "source": "Table 1",
                "figure": "Figure 2",
                "epochs": EPOCHS,
                "cases": [record["id"] for record in records if f"test_{number}_x" in record["id"]],
                "claims": [claim["id"] for claim in claims if f"test_{number}_x" in claim["id"]],
            }
            for number in (1, 3)
        ],
        "cases": [
            to_case(TrainingRecord.model_validate(record), resumed=False).model_dump()
            for record in records
        ],
        "claims": claims,
    }
