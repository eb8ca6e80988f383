"""`--tensorboard DIR`: event files, read back by TensorBoard's own reader."""

import json
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.metadata import PLUGIN_NAME, SESSION_START_INFO_TAG

from harness.export import write_events
from harness.files import sealed
from harness.report.load import ReportError, load_run
from tests import reports


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def hyperparameters(events):
    content = events.PluginTagToContent(PLUGIN_NAME)[SESSION_START_INFO_TAG]
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}


@pytest.fixture
def folder(tmp_path):
    reports.write(tmp_path / "run")
    return tmp_path / "run"


def test_each_seed_of_each_row_has_its_curves_and_hyperparameters(folder, tmp_path):
    run = load_run(folder)
    assert write_events(folder, tmp_path / "a board") == sum(
        len(case.seeds) for case in run.cases.values()
    )
    for case, record in run.curves.items():
        module, _, row = case.partition("::test_training[")
        of_row = tmp_path / "a board" / "run" / module.removeprefix("bench/").removesuffix(".py")
        for at, seed in enumerate(record.seeds):
            events = read(of_row / row.removesuffix("]") / f"seed{seed}")
            assert len(list((of_row / row.removesuffix("]") / f"seed{seed}").iterdir())) == 1
            for tag, curve in {"loss/train": "train_loss", "accuracy/test": "test_accuracy"}.items():
                scalars = events.Scalars(tag)
                assert [each.step for each in scalars] == [*range(len(record.epoch_seconds))]
                expected = [epoch[at] for epoch in getattr(record, curve)]
                assert [each.value for each in scalars] == pytest.approx(expected, nan_ok=True)
                times = [each.wall_time - scalars[0].wall_time for each in scalars]
                assert times == pytest.approx(record.epoch_seconds, abs=1e-5)
            found = hyperparameters(events)
            assert found["learning_rate"] == record.experiment.learning_rate
            assert (found["seed"], found["row"]) == (seed, row.removesuffix("]"))
            assert found["optimizer"] == type(record.experiment.optimizer).__name__
            assert found["batch_size"] == record.experiment.batch_size


def test_what_is_there_already_is_kept(folder, tmp_path):
    assert write_events(folder, tmp_path / "board") > 0
    files = {path: path.read_bytes() for path in (tmp_path / "board").rglob("events*")}
    assert write_events(folder, tmp_path / "board") == 0
    assert {path: path.read_bytes() for path in (tmp_path / "board").rglob("events*")} == files


def test_losses_that_are_not_finite_stay_what_they_are(folder, tmp_path):
    record = next(iter(load_run(folder).curves.values()))
    path = next(path for path in (folder / "runs").glob("*.json") if record.id in path.read_text())
    content = json.loads(path.read_text())
    content.pop("checksum")
    content["train_loss"][-1][0] = "Infinity"
    sealed.write_content(path, content)
    write_events(folder, tmp_path / "board")
    module, _, row = record.id.partition("::test_training[")
    name = module.removeprefix("bench/").removesuffix(".py")
    events = read(tmp_path / "board" / "run" / name / row.removesuffix("]") / "seed0")
    assert math.isinf(events.Scalars("loss/train")[-1].value)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(ReportError, match="is not the report of a finished run"):
        write_events(tmp_path, tmp_path / "board")


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_option_writes_a_sessions_curves(suite, workers):
    suite.run("--tensorboard", "my board", "--replicates", "2", *workers).assert_outcomes(passed=6)
    (run,) = (suite.path / "my board").iterdir()
    assert run.name == suite.report.resolve().name
    seeds = sorted(str(path.parent.relative_to(run)) for path in run.rglob("events*"))
    assert seeds == [
        f"test_{number}_fake/sgd-lr{rate}/seed{seed}"
        for number in (1, 2)
        for rate in (0.25, 0.5, 1.0)
        for seed in (0, 1)
    ]
    (record,) = [
        each for each in suite.records() if "test_2_fake.py::test_training[sgd-lr0.5]" in each["id"]
    ]
    events = read(run / "test_2_fake" / "sgd-lr0.5" / "seed1")
    assert events.Scalars("accuracy/test")[-1].value == pytest.approx(record["test_accuracy"][-1][1])


def test_a_resumed_run_adds_its_new_rows(suite):
    suite.run("--tensorboard", "board", "-k", "0.25").assert_outcomes(passed=2)
    assert len([*(suite.path / "board").rglob("events*")]) == 2
    suite.run("--tensorboard", "board", "--resume").assert_outcomes(passed=6)
    assert len([*(suite.path / "board").rglob("events*")]) == 6


def test_bad_folders_are_refused_before_anything_trains(suite):
    (suite.path / "file").touch()
    assert suite.refused("--tensorboard", "file/x") == (
        f"ERROR: --tensorboard is 'file/x', but {suite.path}/file is not a folder; expected a folder"
    )
    assert suite.refused("--tensorboard", "") == "ERROR: --tensorboard is ''; expected a folder"


def test_a_folder_that_cannot_be_written_at_the_end_costs_nothing_else(suite):
    board = suite.path / "board"
    suite.add(1, f"def test_spoils(): open({str(board)!r}, 'w').close()")
    result = suite.run("--tensorboard", "board")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["--tensorboard: the curves could not be written: *board*", "Written to *"]
    )
    assert len(suite.summary()["cases"]) == 6


def test_without_tensorboard_it_is_refused_in_one_line(suite, monkeypatch):
    monkeypatch.setattr("harness.plugin.options.find_spec", lambda name: None)
    assert suite.refused("--tensorboard", "x") == (
        "ERROR: --tensorboard needs tensorboard, which is not installed; `pip install tensorboard` "
        "installs it"
    )
