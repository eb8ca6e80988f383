"""Every column of the exported results, for a row whose values differ from the run's."""

from dataclasses import replace

from harness.export.columns import RESULTS, curves_table, results_table
from harness.files.record import Hardware
from tests.made_up_runs import RUN

(NAME,) = [name for name in RUN.cases if name.endswith("[sgd-lr0.01]")]


def one(**changes):
    """Returns the run with that row alone, changed."""
    case = RUN.cases[NAME].model_copy(update=changes)
    return replace(RUN, cases={NAME: case}, curves={NAME: RUN.curves[NAME]})


EVERY_SEED = {
    "run": "run",
    "created": "2026-01-02T03:04:05+00:00",
    "commit": None,
    "code": "0123456789ab",
    "study": "A study",
    "scale": "quick",
    "case": "bench/test_1_x.py::test_training[sgd-lr0.01]",
    "exercise": "bench/test_1_x.py",
    "row": "sgd-lr0.01",
    "replicates": 3,
    "dataset": "mnist",
    "optimizer": "SGD",
    "learning_rate": 0.01,
    "optimizer_settings": "{}",
    "batch_size": 100,
    "epochs": 4,
    "order": "shuffled",
    "init": "default",
    "network": '{"activations": ["relu", "sigmoid"], "sizes": [784, 300, 100, 10]}',
    "schedule": None,
    "engine": "numba",
    "device": "cpu",
    "device_name": "Another CPU",
    "cores": 3,
    "threads": 5,
    "node": None,
    "timing": "shared",
    "torch": "2.13.0",
    "python": "3.11.7",
    "resumed": True,
    "steps": 40,
    "seconds": 12,
    "seconds_per_epoch": 3,
    "fastest_epoch_seconds": 3,
    "paper_test_accuracy": 0.55,
    "paper_seconds": 600,
}
EACH_SEED = {
    "seed": [0, 1, 2],
    "outcome": ["learned", "learned", "learned"],
    "test_accuracy": [0.9, 0.92, 0.97],
    "train_accuracy": [0.95, 0.96, 0.985],
    "epochs_to_0.90": [3, 2, 1],
    "seconds_to_0.90": [9, 6, 3],
    "epochs_to_0.95": [None, None, 2],
    "seconds_to_0.95": [None, None, 6],
    "epochs_to_0.97": [None, None, 3],
    "seconds_to_0.97": [None, None, 9],
}


def test_every_column_of_a_row():
    changed = {
        "hardware": Hardware(device_name="Another CPU", cores=3),
        "threads": 5,
        "timing": "shared",
        "resumed": True,
    }
    values = results_table(one(**changed)).values()
    assert values == {name: [value] * 3 for name, value in EVERY_SEED.items()} | EACH_SEED
    assert {*values} >= {*RESULTS}


def test_hardware_is_the_runs_unless_the_row_has_its_own():
    values = results_table(one()).values()
    assert {*values["device_name"]} == {RUN.summary.machine.device_name}
    assert {*values["cores"]} == {RUN.summary.machine.cores}
    assert RUN.summary.machine.cores != 3


def test_curves_have_a_row_for_each_epoch_of_each_seed():
    values, record = curves_table(one()).values(), RUN.curves[NAME]
    assert values["seed"] == [0] * 5 + [1] * 5 + [2] * 5
    assert values["epoch"] == [0, 1, 2, 3, 4] * 3
    assert values["seconds"] == [*record.epoch_seconds] * 3
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        curves = getattr(record, name)
        assert values[name] == [epoch[seed] for seed in range(3) for epoch in curves]
