"""Tables of report folders: CSV, Parquet, and frames of pandas and polars."""

import csv
import json
import re
import sys
from dataclasses import replace
from itertools import pairwise

import pandas
import polars
import pytest
from pandas.testing import assert_frame_equal

from harness.export import read_frame
from harness.export.columns import CURVES, RESULTS, results_table
from harness.export.table_files import write_tables
from harness.files import sealed
from harness.paths import ROOT
from harness.report.load import ReportError
from model.dataset import FASHION_MNIST
from model.optimizers import SGD
from tests import reports
from tests.made_up_runs import RUN

FIRST = "bench/test_1_x.py::test_training[sgd-lr0.001]"


@pytest.fixture
def folder(tmp_path):
    """A report of eight rows of two seeds."""
    reports.write(tmp_path / "run")
    return tmp_path / "run"


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_results_have_a_row_for_each_seed_of_each_row(folder):
    write_tables(folder)
    summary = json.loads((folder / "summary.json").read_text())
    rows = read(folder / "results.csv")
    assert [(row["case"], int(row["seed"])) for row in rows] == [
        (case["id"], seed) for case in summary["cases"] for seed in (0, 1)
    ]
    case, row = summary["cases"][0], rows[1]
    assert float(row["test_accuracy"]) == case["test_accuracy"][1]
    assert float(row["seconds"]) == case["seconds"]
    assert float(row["seconds_per_epoch"]) == case["seconds"] / reports.EPOCHS
    reached = case["time_to_accuracy"]["0.90"]["epochs"][1]
    assert row["epochs_to_0.90"] == ("" if reached is None else str(reached))
    assert (row["run"], row["optimizer"], row["resumed"]) == ("run", "Adam", "false")
    assert json.loads(row["optimizer_settings"]) == {}
    assert row["schedule"] == row["commit"] == ""


def test_each_seed_has_its_own_outcome():
    (name,) = [name for name in RUN.cases if name.endswith("[sgd-lr0.01]")]
    outcomes = ["learned", "diverged", "partial"]
    record = RUN.curves[name].model_copy(update={"outcomes": outcomes})
    run = replace(RUN, cases={name: RUN.cases[name]}, curves={name: record})
    assert results_table(run).values()["outcome"] == outcomes
    assert results_table(replace(run, curves={})).values()["outcome"] == ["learned"] * 3


def test_the_fastest_epoch_comes_from_the_record(folder):
    record = next(
        content
        for path in (folder / "runs").glob("*.json")
        if (content := json.loads(path.read_text())).get("epoch_seconds")
    )
    seconds = record["epoch_seconds"]
    write_tables(folder)
    (row, _) = (row for row in read(folder / "results.csv") if row["case"] == record["id"])
    assert float(row["fastest_epoch_seconds"]) == min(
        later - earlier for earlier, later in pairwise(seconds)
    )


def test_curves_have_a_row_for_each_epoch_of_each_seed(folder):
    write_tables(folder)
    rows = read(folder / "curves.csv")
    records = {
        content["id"]: content
        for path in (folder / "runs").glob("*.json")
        if "experiment" in (content := json.loads(path.read_text()))
    }
    assert len(rows) == len(records) * 2 * (reports.EPOCHS + 1)
    for row in rows:
        record, epoch, seed = records[row["case"]], int(row["epoch"]), int(row["seed"])
        assert float(row["test_accuracy"]) == record["test_accuracy"][epoch][seed]
        assert float(row["seconds"]) == record["epoch_seconds"][epoch]


def test_losses_that_are_not_finite_are_read_back(folder):
    path = next(path for path in (folder / "runs").glob("*.json") if "sgd-lr0.1" in path.name)
    record = json.loads(path.read_text())
    del record["checksum"]
    record["train_loss"][-1] = ["NaN", "Infinity"]
    sealed.write_content(path, record)
    write_tables(folder)
    frame = pandas.read_csv(folder / "curves.csv", keep_default_na=False)
    last = frame[(frame.case == record["id"]) & (frame.epoch == reports.EPOCHS)]
    assert [*map(str, last.train_loss.astype(float))] == ["nan", "inf"]


def test_parquet_has_the_same_values_and_types(folder):
    write_tables(folder)
    kept = polars.read_parquet(folder / "results.parquet")
    assert kept.equals(read_frame(folder, library="polars"))
    assert kept.schema["seed"] == polars.Int64
    assert kept.schema["resumed"] == polars.Boolean


def test_without_pyarrow_there_is_no_parquet(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write_tables(folder)
    assert (folder / "results.csv").exists()
    assert not (folder / "results.parquet").exists()


@pytest.mark.parametrize("table", ["results", "curves"])
def test_frames_of_both_libraries_agree(folder, table):
    ours = read_frame(folder, table, "pandas")
    theirs = read_frame(str(folder), table, "polars")
    assert ours.columns.tolist() == theirs.columns
    assert ours.astype(object).where(ours.notna(), None).to_dict("records") == theirs.to_dicts()
    assert len(ours)


def test_csv_is_the_frame(folder):
    write_tables(folder)
    frame = read_frame(folder)
    dtypes = frame.dtypes.to_dict()
    assert_frame_equal(pandas.read_csv(folder / "results.csv", dtype=dtypes), frame)


def test_many_folders_are_one_frame(folder, tmp_path):
    other = tmp_path / "other"
    reports.write_rows(other, {"a": {"optimizer": SGD(0.1), "batch_size": 10}}, seeds=3)
    frame = read_frame([folder, other])
    assert frame.run.tolist() == ["run"] * 16 + ["other"] * 3
    assert frame.row.tolist()[-3:] == ["a"] * 3


def test_a_column_that_a_run_lacks_is_empty_there(tmp_path):
    settings = {"optimizer": SGD(0.1), "batch_size": 10}
    reports.write_rows(tmp_path / "digits", {"a": settings}, seeds=1)
    fashion = {"a": {**settings, "dataset": FASHION_MNIST}}
    reports.write_rows(tmp_path / "fashion", fashion, seeds=1)
    frame = read_frame([tmp_path / "digits", tmp_path / "fashion"])
    mnist = {f"{what}_to_0.97" for what in ("epochs", "seconds")}
    alone = {*frame} - {*read_frame(tmp_path / "fashion")}
    assert mnist <= alone
    assert frame[[*alone]].iloc[1].isna().all()


@pytest.mark.parametrize(
    ("folders", "settings", "message"),
    [
        ("run", {"table": "claims"}, "table is 'claims'; expected results or curves"),
        ("run", {"library": "numpy"}, "library is 'numpy'; expected pandas or polars"),
        (["run", "nope"], {}, r".*nope is not the report of a finished run: it has no summary.json"),
    ],
)
def test_bad_input_is_refused_in_one_line(folder, monkeypatch, folders, settings, message):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_frame(folders, **settings)


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (None, "neither pandas nor polars is installed; install one with `pip install pandas`"),
        ("polars", "polars is not installed; install it with `pip install polars`"),
    ],
)
def test_without_a_library_there_is_one_line(folder, monkeypatch, library, message):
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_frame(folder, library=library)


def test_polars_is_taken_where_pandas_is_missing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(read_frame(folder), polars.DataFrame)


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(ReportError, match="is not the report of a finished run"):
        write_tables(tmp_path)


def test_the_docs_have_every_column():
    text = (ROOT / "docs" / "export.md").read_text()
    documented = {*re.findall(r"`([a-z_]+)`", text)}
    assert {*RESULTS, *CURVES} <= documented


def test_a_session_writes_the_tables(suite):
    suite.run("--replicates", "2", "-n", "2").assert_outcomes(passed=6)
    rows = read(suite.report / "results.csv")
    assert [(row["row"], row["seed"]) for row in rows[:3]] == [
        ("sgd-lr0.25", "0"),
        ("sgd-lr0.25", "1"),
        ("sgd-lr0.5", "0"),
    ]
    assert len(rows) == 12
    assert len(read(suite.report / "curves.csv")) == 24


def test_a_table_that_cannot_be_written_is_reported(suite):
    suite.add(
        2,
        "import pathlib, sys\n"
        "def test_last(request):\n"
        "    from harness.session_settings import SETTINGS\n"
        "    (request.config.stash[SETTINGS].report_dir / 'curves.csv').mkdir()\n",
    )
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["The summary could not be written: *curves.csv*"])
