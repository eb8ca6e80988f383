"""Reports of many rows: figures by the settings in which they differ, and shortened tables."""

import re
import socket
import time
from pathlib import Path

import altair
import pytest
from altair.utils import schemapi
from torch.optim import NAdam
from torch.optim.lr_scheduler import StepLR

from harness.files import sealed
from harness.files.summary import Summary
from harness.report import tables, terminal
from harness.report.alike import numeric_settings, representatives, value_of
from harness.report.build import build
from harness.report.figures import figures_of
from harness.report.headline import headline
from harness.report.load import load_run
from harness.report.series import MOST, lines_of
from harness.report.settings import settings_of
from harness.wording import first_few, format_rate
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import SGD, Adam, Torch
from model.schedule import Schedule
from tests import reports

SCHEMA = altair.TopLevelConcatSpec._schema
ROOT_SCHEMA = altair.TopLevelConcatSpec._rootschema


def written(folder, rows, **how):
    """Returns the figures, by name, and the lines of a report of these rows."""
    reports.write_rows(folder, rows, seeds=how.pop("seeds", 1), **how)
    return drawn(folder)


def drawn(folder):
    run = load_run(folder)
    assert run.left_out == []
    (exercise,) = run.summary.exercises
    return {each.name: each for each in figures_of(run, exercise)}, lines_of(run, exercise)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The figures and lines of seven optimizers at eleven rates on two data sets."""
    folder = tmp_path_factory.mktemp("grid") / "run"
    reports.write_grid(folder)
    return drawn(folder)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """The folder of a report of 1000 rows."""
    folder = tmp_path_factory.mktemp("many") / "run"
    reports.write_many(folder)
    return folder


def test_each_data_set_has_a_panel_and_each_optimizer_a_line(grid):
    figures, _ = grid
    assert figures.keys() == {
        "1-x-error", "1-x-seconds", "1-x-loss", "1-x-time-to-accuracy", "1-x-learning-rate",
    }  # fmt: skip
    figure = figures["1-x-learning-rate"]
    panels = figure.variants["final accuracy"]["concat"]
    assert [panel["title"] for panel in panels] == ["mnist", "fashion-mnist"]
    assert len(figure.data) == 4
    for name, rows in figure.data.items():
        labels = [*dict.fromkeys(row["line"] for row in rows)]
        assert len(rows) == (154 if name.endswith("-seeds") else 77)
        assert labels == [
            "SGD",
            "SGD with momentum 0.9",
            "SGD with momentum 0.9 and nesterov",
            "RMSprop",
            "Adagrad",
            "Adam",
            "AdamW",
        ]
    colour = next(
        layer["encoding"]["color"]["scale"]
        for layer in panels[0]["layer"]
        if "color" in layer["encoding"]
    )
    assert colour["domain"] == labels
    assert len({*colour["range"]}) == len(labels)
    # Each data set has its own targets.
    assert [*figure.variants] == [
        "final error", "final accuracy", "epochs to target", "seconds to target",
    ]  # fmt: skip
    titles = [
        panel["layer"][-1]["encoding"]["y"]["title"]
        for panel in figure.variants["epochs to target"]["concat"]
    ]
    assert titles == ["epochs to 97 %", "epochs to 88 %"]


def test_every_chart_of_many_rows_is_valid_vega_lite(grid):
    figures, _ = grid
    for figure in figures.values():
        for spec in figure.variants.values():
            assert schemapi.validate_jsonschema(spec, SCHEMA, ROOT_SCHEMA, raise_error=False) is None


def test_curves_of_many_rows_show_the_best_of_each_group(grid):
    figures, lines = grid
    error = figures["1-x-error"]
    shown = {row["line"] for row in error.data["curves-1-x"]}
    assert len(shown) == 14
    assert (
        "Showing 14 of 154 rows: the best of each group of rows that differ only in learning rate."
        in error.notes
    )
    few = representatives(lines, MOST)
    best = {}
    for line in lines:
        key = (line.case.experiment.optimizer.label, line.case.experiment.dataset)
        best[key] = max(best.get(key, 0), sum(line.case.test_accuracy))
    assert sorted(best.values()) == sorted(sum(line.case.test_accuracy) for line in few.lines)


def test_time_to_accuracy_shows_the_rows_that_reach_the_highest_targets(grid):
    figure = grid[0]["1-x-time-to-accuracy"]
    shown = {row["line"] for row in figure.data["times-1-x"]}
    assert len(shown) == 40
    assert re.search(r"Showing 40 of the \d+ rows that reach a target", figure.notes)
    assert re.search(r"Never reached any of these: .* and \d+ more\.", figure.notes)
    highest = {"97 %", "88 %"}
    assert {row["line"] for row in figure.data["times-1-x"] if row["target"] in highest} == shown


def test_a_best_row_at_the_highest_value_tried_is_reported(tmp_path):
    rates = (0.001, 0.003, 0.01)
    figures, _ = written(
        tmp_path / "run",
        {
            f"{name}{rate}": {"optimizer": make(rate), "batch_size": 100}
            for name, make in (("sgd", SGD), ("adam", Adam))
            for rate in rates
        },
    )
    figure = figures["1-x-learning-rate"]
    assert "Best at the highest learning rate tried: SGD." in figure.notes
    assert "lowest" not in figure.notes
    assert "Shaded: " in figure.notes


def values(figure):
    return [row["value"] for row in next(iter(figure.data.values()))]


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("batch-size", lambda v: {"batch_size": v}, [1, 10, 100]),
        ("momentum", lambda v: {"optimizer": SGD(0.1, momentum=v)}, [0, 0.5, 0.9]),
        ("weight-decay", lambda v: {"optimizer": SGD(0.1, weight_decay=v)}, [0, 0.1, 1]),
        ("beta-2", lambda v: {"optimizer": Adam(0.001, betas=(0.9, v))}, [0.9, 0.99, 0.999]),
        (
            "momentum-decay",
            lambda v: {"optimizer": Torch(NAdam, 0.002, {"momentum_decay": v})},
            [0.001, 0.01, 0.1],
        ),
        ("init", lambda v: {"init": v}, [0, 0.1, 1]),
        (
            "schedule-gamma",
            lambda v: {"schedule": Schedule(StepLR, {"step_size": 1, "gamma": v})},
            [0.1, 0.5, 0.9],
        ),
        (
            "units-of-hidden-layer-1",
            lambda v: {"network": MLP((784, v, 10), ("relu",))},
            [10, 100, 1000],
        ),
    ],
)
def test_every_numeric_setting_has_a_figure(tmp_path, name, settings, expected):
    rows = {
        f"row{value}": {"optimizer": SGD(0.1), "batch_size": 32, **settings(value)} for value in expected
    }
    figures, lines = written(tmp_path / "run", rows)
    others = {"1-x-error", "1-x-seconds", "1-x-loss", "1-x-time-to-accuracy"}
    assert {*figures} - others == {f"1-x-{name}"}
    assert values(figures[f"1-x-{name}"]) == expected
    (alike,) = numeric_settings(lines)
    assert [value_of(line, alike.setting) for line in alike.groups[0]] == expected


def test_a_setting_with_two_values_or_without_numbers_has_no_figure(tmp_path):
    rows = {
        f"{size}{nesterov}{order}": {
            "optimizer": SGD(0.1, momentum=0.9, nesterov=nesterov),
            "batch_size": size,
            "order": order,
        }
        for size in (10, 100)
        for nesterov in (False, True)
        for order in ("shuffled", "by_class")
    }
    _, lines = written(tmp_path / "run", rows)
    assert numeric_settings(lines) == []


def test_rows_that_differ_in_several_settings_are_not_grouped(tmp_path):
    """A random search: no two rows differ in one setting only."""
    rows = {
        f"row{at}": {"optimizer": SGD(0.01 * (1 + at), momentum=at / 40), "batch_size": 10 + at}
        for at in range(20)
    }
    figures, lines = written(tmp_path / "run", rows)
    assert numeric_settings(lines) == []
    assert "Showing 14 of 20 rows: those with the highest final accuracy." in figures["1-x-error"].notes


def test_groups_of_one_optimizer_are_labelled_by_its_other_settings(tmp_path):
    rows = {
        f"row{rate}-{first}-{second}": {
            "optimizer": Adam(rate, betas=(first, second)),
            "batch_size": 10,
        }
        for rate in (0.001, 0.01)
        for first in (0.5, 0.7, 0.8)
        for second in (0.9, 0.99)
    }
    figures, _ = written(tmp_path / "run", rows)
    (data,) = figures["1-x-beta-1"].data.values()
    assert {row["line"] for row in data} == {
        f"Adam with beta 2 {second}, rate {rate}" for second in (0.9, 0.99) for rate in (0.001, 0.01)
    }


def test_settings_of_an_experiment():
    found = settings_of(
        Experiment(
            optimizer=Adam(0.1),
            batch_size=3,
            epochs=2,
            schedule=Schedule(StepLR, {"step_size": 4}, every="step"),
        )
    )
    assert found["learning rate"] == 0.1
    assert (found["beta 1"], found["beta 2"], found["schedule step size"]) == (0.9, 0.999, 4)
    assert (found["units of hidden layer 1"], found["units of hidden layer 2"]) == (300, 100)
    assert "epochs" not in found


def test_lines_of_a_panel_look_different(grid, thousand):
    many, _ = drawn(thousand)
    for figures in (grid[0], many):
        for figure in figures.values():
            for spec in figure.variants.values():
                scales = {
                    (channel, encoding["field"]): encoding["scale"]
                    for panel in spec["concat"]
                    for layer in panel["layer"]
                    for channel, encoding in layer["encoding"].items()
                    if isinstance(encoding, dict) and {"scale", "field"} <= encoding.keys()
                }
                if ("shape", "line") in scales:
                    ranges = (scales[channel, "line"]["range"] for channel in ("color", "shape"))
                    looks = [*zip(*ranges, strict=True)]
                    assert len({*looks}) == len(looks) > 1


def test_the_answer_names_the_best_of_few_groups(grid, tmp_path):
    assert re.fullmatch(
        r"Best test accuracy: mnist 0\.98\d.* for .*, rate .*; fashion-mnist 0\.8\d.* for .*\. "
        r"\d+ of 154 rows learned .*",
        headline(grid[1]),
    )
    rates = reports.GRID_RATES
    rows = {
        f"{name}{rate}": {"optimizer": make(rate), "batch_size": 100}
        for name, make in reports.OPTIMIZERS.items()
        for rate in rates
    }
    _, lines = written(tmp_path / "run", rows)
    assert len(re.findall(r" at rate ", headline(lines))) == 7
    assert "the lowest tried" not in headline(lines)
    upper = [line for line in lines if line.case.experiment.learning_rate >= 1]
    assert headline(upper).count(" at rate 1, the lowest tried") == 7
    assert re.match(r"Best test accuracy: 0\.\d+ for sgd0\.0001\. None of 1 rows", headline(lines[:1]))
    assert "; SGD with momentum 0.9 and nesterov 0.9" in headline(lines)


def test_a_thousand_rows_are_drawn_in_a_minute(thousand):
    """The page stays small, and has all rows without a script."""
    begun = time.perf_counter()
    page, left_out = build([thousand])
    assert time.perf_counter() - begun < 60
    assert left_out == []
    text = page.read_text()
    assert len(text) < 15e6
    folded = text.partition("975 more rows</summary>")
    assert folded[0].count('<tr><th scope="row"') == 25
    assert folded[2].partition("</details>")[0].count('<tr><th scope="row"') == 975
    assert {path.stem for path in (thousand / "figures").iterdir()} == {
        "1-x-error", "1-x-seconds", "1-x-loss", "1-x-time-to-accuracy", "1-x-learning-rate",
        "1-x-batch-size", "1-x-momentum",
    }  # fmt: skip
    figures, _ = drawn(thousand)
    assert "Showing 14 of 100 such lines" in figures["1-x-momentum"].notes
    assert "differ only in learning rate and batch size" in figures["1-x-error"].notes


def test_rows_beyond_a_thousand_are_left_out_and_counted(thousand):
    summary = sealed.read_content(thousand / "summary.json")
    copy = {**summary, "cases": [*summary["cases"], *summary["cases"][:5]]}
    sealed.write_content(thousand / "summary.json", copy)
    try:
        run = load_run(thousand)
    finally:
        sealed.write_content(thousand / "summary.json", summary)
    assert run.left_out == ["5 cases beyond the first 1000"]


def test_a_terminal_shows_the_best_rows_and_the_file_all(thousand):
    summary = sealed.read_model(thousand / "summary.json", Summary)
    (exercise,) = summary.exercises
    exercise.cases.extend(f"{exercise.module}::test_training[not-{at}]" for at in range(100))
    whole = "\n\n".join(tables.exercise_parts(exercise, summary))
    lines = terminal.format_exercise(exercise, summary)
    short = lines.replace("\n  ", " ")
    assert "Showing the 60 rows with the highest test accuracies; 940 more are in summary.md." in short
    assert lines.count("\n") < 100
    assert max(map(len, lines.splitlines())) <= 80
    assert re.search(r"Did not run: .*, not-19 and 80 more\.", short)
    assert all(f"| lr{rate}-batch{1}-momentum0 " in whole for rate in reports.GRID_RATES[:10])
    assert "not-99." in whole
    accuracies = sorted(case.test_accuracy[0] for case in summary.cases)
    shown = [float(found) for found in re.findall(r"^lr\S+ +(0\.\d{4}) ", short, re.MULTILINE)]
    assert len(shown) == 60
    assert min(shown) == pytest.approx(accuracies[-60], abs=1e-4)


def test_many_rows_on_another_data_set_are_counted(tmp_path):
    reports.write_grid(tmp_path / "run", seeds=1)
    summary = sealed.read_model(tmp_path / "run" / "summary.json", Summary)
    parts = tables.exercise_parts(summary.exercises[0], summary)
    assert "Not on mnist: 77 rows on fashion-mnist." in parts
    text = terminal.format_exercise(summary.exercises[0], summary)
    assert "Not on mnist: 77 rows on fashion-mnist." in text


def test_long_lists_are_shortened():
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(["a", "b", "c"], 2, "; ") == "a; b and 1 more"


@pytest.mark.parametrize("place", ["data", "lookup"])
def test_addresses_in_a_figure_from_a_file_are_not_fetched(tmp_path: Path, place):
    reports.write(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        address = {"url": f"http://127.0.0.1:{server.getsockname()[1]}/data.json"}
        x = {"field": "a", "type": "quantitative"}
        panel = {"mark": "point", "encoding": {"x": x}, "data": {"values": [{"a": 1}]}}
        if place == "data":
            panel["data"] = address
        else:
            panel["transform"] = [
                {"lookup": "a", "from": {"data": address, "key": "a", "fields": ["b"]}}
            ]
        content = sealed.read_content(tmp_path / "run" / "figures.json")
        content["figures"][0]["variants"] = {"all": {"concat": [panel], "columns": 1}}
        sealed.write_content(tmp_path / "run" / "figures.json", content)
        page, left_out = build([tmp_path / "run"])
        with pytest.raises(TimeoutError):
            server.accept()
    name = content["figures"][0]["name"]
    assert [line.partition(" cannot be drawn")[0] for line in left_out] == [f"the figure {name}"]
    assert {path.stem for path in (tmp_path / "run" / "figures").iterdir()} == reports.FIGURES - {name}
    assert f'id="{name}"' not in page.read_text()


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1e-5, "0.00001"),
        (2.5e-5, "0.000025"),
        (1e-4, "0.0001"),
        (0.1, "0.1"),
        (10, "10"),
        (1e-12, "1e-12"),
    ],
)
def test_small_rates_are_written_as_on_an_axis(rate, text):
    assert format_rate(rate) == text
