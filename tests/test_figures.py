"""What figures show: colours, looks, axes, published values, seeds, names, the rule at the pointer."""

import json
import re
from functools import cache

import altair as alt
import numpy as np
import pytest
import vl_convert

from harness.files import sealed
from harness.files.record import read_record
from harness.paths import ROOT
from harness.report.figures import figures_of
from harness.report.figures.coincident import coincidence_note, coincident
from harness.report.figures.end_labels import height_at, label_positions
from harness.report.figures.figure import log_axis, opacity_if, spans_decades
from harness.report.figures.pointer import value_of_line
from harness.report.figures.published import PLUS_SIGN, TIMES_SIGN
from harness.report.load import load_run
from harness.report.series import COLOURS, HOLLOW, MOST, SHAPES
from harness.results.records import to_case
from tests import reports

STYLE = ROOT / "harness" / "report" / "template" / "style.css"
BENCH = ROOT / "reports" / "published" / "epyc-1-core"
OPTIMIZERS = ROOT / "examples" / "optimizers" / "reports" / "published" / "epyc-2-cores"
# Of linear RGB with protanopia and deuteranopia: G. Machado, M. Oliveira and L. Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
VISION = {
    "all": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


@cache
def figures(folder):
    """The figures of a report, by name."""
    run = load_run(folder)
    assert run.left_out == []
    return {each.name: each for of in run.summary.exercises for each in figures_of(run, of)}


@pytest.fixture
def folder(tmp_path):
    reports.write(tmp_path / "run", seeds=3)
    return tmp_path / "run"


def changed(folder, name, change):
    """Applies `change` to the content of the report's files of that name, with its checksums."""
    for path in folder.glob(name):
        content = sealed.read_content(path)
        change(content)
        sealed.write_content(path, content)


def layers_of(spec):
    return [layer for panel in spec["concat"] for layer in panel["layer"]]


def ranges(spec):
    """The ranges of the scales of looks, by channel and label; a scale is given once for all layers."""
    found = {}
    for layer in layers_of(spec):
        for channel in ("color", "shape", "strokeDash"):
            encoding = layer["encoding"].get(channel, {})
            if encoding.get("field") in ("line", "engine") and "scale" in encoding:
                scale = encoding["scale"]
                assert channel not in found
                found[channel] = dict(zip(scale["domain"], map(str, scale["range"]), strict=True))
    return found


# Colours and shapes ---------------------------------------------------------------------------------


def linear(colour):
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    light = sorted(float(linear(each) @ TO_XYZ[1]) for each in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def lab(rgb):
    """The CIELAB coordinates of linear RGB, with D65's white."""
    xyz = TO_XYZ @ rgb / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_and_distance_are_computed_as_elsewhere():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#e69f00", "#ffffff") == pytest.approx(2.25, abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def pages():
    """The backgrounds of the page and of cards, light and dark."""
    found = re.findall(r"--(?:page|card): (#[0-9a-f]+)", STYLE.read_text())
    return [re.sub(r"#(.)(.)(.)$", r"#\1\1\2\2\3\3", each) for each in found]


def test_colours_are_legible_on_every_background():
    assert len(pages()) == 4
    for colour in COLOURS:
        for page in pages():
            assert contrast(colour, page) >= 3, (colour, page)


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_every_eye(vision):
    seen = [lab(np.clip(np.array(VISION[vision]) @ linear(each), 0, 1)) for each in COLOURS]
    for at, one in enumerate(seen):
        for other in seen[at + 1 :]:
            assert np.linalg.norm(one - other) > 20


@pytest.mark.parametrize("folder", [BENCH, OPTIMIZERS], ids=["bench", "optimizers"])
def test_lines_of_a_figure_look_different_and_so_do_their_published_values(folder):
    looked_at = 0
    for figure in figures(folder).values():
        if figure.name.endswith(("classes", "gradient-bias", "expected-best", "time-to-accuracy")):
            continue
        for spec in figure.variants.values():
            found = ranges(spec)
            looks = [*zip(*(each.values() for each in found.values()), strict=True)]
            assert found.keys() == {"color", "shape", "strokeDash"}
            assert len({*looks}) == len(looks)
            crosses = [
                (found["color"][label], layer["mark"]["shape"])
                for layer in layers_of(spec)
                if layer["mark"].get("shape") in (PLUS_SIGN, TIMES_SIGN)
                and layer["encoding"]["color"].get("field") == "line"
                for label in layer["transform"][-1]["filter"]["oneOf"]
            ]
            assert len({*crosses}) == len(crosses)
            looked_at += len(crosses)
    assert (looked_at > 20) == (folder == BENCH)


def test_no_colour_of_a_figure_is_illegible():
    for figure in (*figures(BENCH).values(), *figures(OPTIMIZERS).values()):
        if figure.name.endswith(("classes", "gradient-bias", "expected-best")):  # drawn by the run
            continue
        colours = set(re.findall(r"#[0-9a-f]{6}\b", json.dumps(figure.variants)))
        assert len(colours) > 1
        for colour in colours:
            assert min(contrast(colour, page) for page in pages()) >= 3, (figure.name, colour)


def test_there_are_hollow_and_filled_shapes_for_as_many_lines_as_are_drawn():
    assert len({*SHAPES, *HOLLOW, PLUS_SIGN, TIMES_SIGN}) == len(SHAPES) + len(HOLLOW) + 2
    assert len(COLOURS) == len(SHAPES) == len(HOLLOW) == MOST / 2


# Axes -----------------------------------------------------------------------------------------------


def x_scale(spec):
    return next(
        layer["encoding"]["x"]["scale"] for layer in layers_of(spec) if "scale" in layer["encoding"]["x"]
    )


def crosses(spec):
    return [layer for layer in layers_of(spec) if layer["mark"].get("shape") in (PLUS_SIGN, TIMES_SIGN)]


def test_published_times_do_not_widen_the_axis():
    figure = figures(BENCH)["1-minibatch-size-seconds"]
    measured = [row["seconds"] for row in figure.data["curves-1-minibatch-size"] if row["seconds"]]
    for spec in figure.variants.values():
        low, high = x_scale(spec)["domain"]
        assert (low, high) == pytest.approx((0.9 * min(measured), 1.1 * max(measured)))
        assert high < 155
        assert crosses(spec) == []
    assert "Published times, 155 to 9,810 s on other hardware, lie outside the axis." in figure.notes


def test_published_times_within_the_axis_are_marked(folder):
    def sooner(record):
        record["paper"]["seconds"] = 3.0

    changed(folder, "runs/test_1_x.adam-lr0.01.*", sooner)
    changed(folder, "summary.json", lambda summary: sooner(summary["cases"][1]))
    figure = figures(folder)["1-x-seconds"]
    (layer,) = crosses(figure.variants["logarithmic"])
    assert layer["transform"][-1]["filter"]["oneOf"] == ["Adam, rate 0.01"]
    assert layer["encoding"]["x"]["field"] == "seconds"
    # Only those of the other five rows are outside.
    assert "Published times, 500 s on other hardware, lie outside the axis." in figure.notes


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([1.5, 90], [2, 5, 10, 20, 50]),
        ([0.002, 90], [0.01, 0.1, 1, 10]),
        ([1e-12, 90], [1e-12, 1e-09, 1e-06, 1e-03, 1]),
        ([3.1, 3.2], None),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_few_and_round(values, ticks):
    axis = log_axis(values).to_dict()
    assert axis.get("values") == (None if ticks is None else pytest.approx(ticks))


def test_errors_that_spread_come_first_on_a_logarithmic_axis():
    found = figures(BENCH)
    for name in ("1-minibatch-size-error", "4-adam-vs-sgd-error"):
        assert [*found[name].variants] == ["logarithmic", "linear"]
    assert [*found["2-constant-init-error"].variants] == ["linear", "logarithmic"]  # 55 to 91 %
    results = found["4-adam-vs-sgd-learning-rate"]
    assert [*results.variants][:2] == ["final error", "final accuracy"]
    (scale, _) = [
        layer["encoding"]["y"]["scale"]
        for layer in layers_of(results.variants["final error"])
        if "scale" in layer["encoding"].get("y", {})
    ]
    assert scale["type"] == "log"
    assert scale["domain"][0] < 1.5 < 90 < scale["domain"][1]
    assert [*found["2-constant-init-init"].variants][:2] == ["final accuracy", "final error"]
    assert spans_decades([2, 90])
    assert not spans_decades([10, 90])


# Published values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("full", "says"),
    [(None, "published"), (4, "published"), (100, "published, after 100 epochs")],
)
def test_published_values_say_after_how_many_epochs(folder, full, says):
    changed(folder, "summary.json", lambda s: s["exercises"][0].update(full_epochs=full))
    found = figures(folder)
    error, rates = found["1-x-error"], found["1-x-learning-rate"]
    assert f"× (filled shapes) and + (hollow ones) at the edge: {says}." in error.notes
    assert {row["published"] for row in error.data["curves-1-x-published"]} == {says}
    assert f"×: {says}." in rates.notes
    (layer, _) = crosses(rates.variants["final error"])
    titles = [each["title"] for each in layer["encoding"]["tooltip"]]
    assert f"{says} (%)" in titles
    figures.cache_clear()


def test_published_errors_are_in_the_margin_and_not_at_an_epoch(folder):
    spec = figures(folder)["1-x-error"].variants["logarithmic"]
    filled, hollow = crosses(spec)
    for layer, shape, optimizer in ((filled, TIMES_SIGN, "Adam"), (hollow, PLUS_SIGN, "SGD")):
        assert layer["mark"]["shape"] == shape
        assert {label.split(",")[0] for label in layer["transform"][-1]["filter"]["oneOf"]} == {
            optimizer
        }
        assert layer["encoding"]["x"] == {"value": "width"}
        assert layer["encoding"]["xOffset"]["value"] > 0


# Lines that coincide, and names ---------------------------------------------------------------------


def test_the_rate_divided_like_the_batch_size_nearly_coincides():
    figure = figures(BENCH)["1-minibatch-size-error"]
    pair = "“rate 0.1, batch 100” and “rate 0.001, batch 1” (test errors differ by 1 % on average)"
    assert f"Nearly coincide: {pair}." in figure.notes
    wide = [layer for layer in layers_of(figure.standalone()) if layer["mark"].get("strokeWidth") == 7]
    assert [layer["transform"][-1]["filter"]["oneOf"] for layer in wide] == [["rate 0.1, batch 100"]] * 2
    assert "Nearly coincide" not in figures(BENCH)["4-adam-vs-sgd-error"].notes
    names = {
        value["line"]
        for layer in layers_of(figure.standalone())
        if layer.get("name", "").startswith("labels")
        for value in layer["data"]["values"]
    }
    assert names >= {"rate 0.1, batch 100", "rate 0.001, batch 1"}


def test_lines_that_coincide_are_paired_by_their_errors():
    falling = np.geomspace(90, 2, 20)
    errors = {
        "a": falling,
        "b": 1.02 * falling,
        "c": 1.1 * falling,
        "chance": np.full(20, 90),
        "the same chance": np.full(20, 90),
        "short": falling[:5],
        "diverged": [*falling[:-1], np.nan],
    }
    (pair,) = coincident(errors)
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.by == pytest.approx(np.log(1.02))
    assert coincidence_note([pair]).endswith("(test errors differ by 2 % on average).")
    exact = coincident(dict.fromkeys("abc", falling))
    assert len(exact) == 3
    assert coincidence_note(exact).endswith("differ by less than 0.1 % on average), and 1 more.")
    assert coincidence_note([]) == ""


def test_names_are_at_the_ends_of_lines_if_there_is_room():
    assert label_positions({"a": 10, "b": 100}, 250) == {"a": 10, "b": 100}
    moved = label_positions({"a": 100, "b": 103, "c": 200}, 250)
    assert (moved["b"] - moved["a"], moved["c"]) == (12, 200)
    assert moved["a"] + moved["b"] == 203
    # A run that grows into the next name is moved with it.
    assert np.diff(sorted(label_positions({"a": 100, "b": 101, "c": 115}, 250).values())) == (
        pytest.approx([12, 12])
    )
    assert label_positions(dict.fromkeys("abcd", 100), 250) == {}  # 18 pixels off
    assert label_positions({name: 30.0 * at for at, name in enumerate("abcdefghi")}, 250) == {}
    assert label_positions({"x" * 25: 10}, 250) == {}
    assert label_positions({}, 250) == {}


@pytest.mark.parametrize(
    ("value", "logarithmic", "height"),
    [
        (1, True, 200),
        (10, True, 100),
        (100, True, 0),
        (0, True, 200),
        (1, False, 200),
        (50.5, False, 100),
    ],
)
def test_heights_of_values(value, logarithmic, height):
    assert height_at(value, (1, 100), 200, logarithmic=logarithmic) == pytest.approx(height)


# Seeds ----------------------------------------------------------------------------------------------


def test_single_seeds_are_points_and_intervals_end_where_values_do(folder):
    def spread(record):
        ends = [0.1, 0.1, 0.9]
        for name in ("test_accuracy", "train_accuracy"):
            record[name][-1] = ends
        record["train_loss"][-1] = [0.1, 0.1, 9]

    changed(folder, "runs/test_1_x.adam-lr0.001.*", spread)
    case = to_case(read_record(next(folder.glob("runs/test_1_x.adam-lr0.001.*"))), resumed=False)
    changed(folder, "summary.json", lambda s: s["cases"][0].update(case.model_dump()))
    found = figures(folder)
    rows = found["1-x-error"].data["curves-1-x"]
    last = [row for row in rows if row["row"] == "adam-lr0.001"][-1]
    assert last["test_error"] == pytest.approx(63.333, abs=1e-3)
    assert (last["test_error_low"], last["test_error_high"]) == (0, 100)
    assert (last["training_loss_low"], last["training_loss_high"] > 9) == (0, True)
    seeds = [row for row in found["1-x-error"].data["curves-1-x-seeds"] if row["row"] == "adam-lr0.001"]
    assert [(row["seed"], row["test_error"]) for row in seeds] == [(0, 90), (1, 90), (2, 10)]
    (point, *_) = found["1-x-learning-rate"].data["setting-1-x-learning-rate-0"]
    assert (point["accuracy_low"], point["accuracy_high"], point["error_high"]) == (0, 100, 100)
    assert 0 < point["error_low"] < 0.1
    seeds = found["1-x-learning-rate"].data["setting-1-x-learning-rate-0-seeds"][:3]
    assert [(row["seed"], row["error"]) for row in seeds] == [(0, 90), (1, 90), (2, 10)]
    assert "Small dots: the single seeds at the end. Bands: 95 %" in found["1-x-error"].notes


def test_one_seed_has_neither_points_nor_bands(tmp_path):
    reports.write(tmp_path / "run", seeds=1)
    for figure in figures(tmp_path / "run").values():
        assert not [name for name in figure.data if name.endswith("-seeds")]
        assert "seeds" not in figure.notes.replace("for all seeds together", "").replace(
            "every seed", ""
        )


def test_times_of_single_seeds_are_points(folder):
    seeds = figures(folder)["1-x-time-to-accuracy"].data["times-1-x-seeds"]
    first = [row for row in seeds if (row["row"], row["target"]) == ("adam-lr0.001", "97 %")]
    assert [(row["seed"], row["epochs"], row["seconds"]) for row in first] == [
        (0, 4, 4),
        (1, 4, 4),
        (2, 4, 4),
    ]


# The pointer, and lines that are emphasised -----------------------------------------------------------


def pointers(spec):
    return [layer for layer in layers_of(spec) if layer.get("name", "").startswith("pointer")]


def test_each_panel_has_one_rule_at_the_pointer_with_the_values_of_all_lines(folder):
    for name, quantity in (("1-x-error", "error"), ("1-x-loss", "loss")):
        figure = figures(folder)[name]
        for part, layer in zip(("test", "training"), pointers(figure.variants["linear"]), strict=True):
            (pivot,) = layer["transform"]
            assert pivot["pivot"] == "line"
            assert (pivot["groupby"], pivot["value"]) == (["epoch"], f"{part}_{quantity}")
            epoch, *values = layer["encoding"]["tooltip"]
            assert epoch["field"] == "epoch"
            labels = [*dict.fromkeys(row["line"] for row in figure.data["curves-1-x"])]
            assert [each["title"] for each in values] == labels
            assert layer["params"][0]["select"]["nearest"] is True
    for spec in (each for of in figures(folder).values() for each in of.variants.values()):
        names = [each["params"][0]["name"] for each in pointers(spec)]
        assert len({*names}) == len(names) <= len(spec["concat"])


def test_files_have_no_invisible_layers(folder):
    for figure in figures(folder).values():
        assert pointers(figure.standalone()) == []
        assert len(layers_of(figure.standalone())) > 0


def test_values_at_a_time_are_those_of_the_last_epoch_that_has_ended():
    figure = figures(BENCH)["1-minibatch-size-seconds"]
    rows = figure.data["curves-1-minibatch-size"]
    labels = [*dict.fromkeys(row["line"] for row in rows)]
    times = figure.data["curves-1-minibatch-size-times"]
    assert len(times) == 40
    (slow,) = [at for at, label in enumerate(labels) if label == "rate 0.1, batch 60000"]
    assert f"test_{slow}" not in times[0]  # its first epoch has not ended
    for index, label in enumerate(labels):
        last = [row for row in rows if row["line"] == label][-1]
        assert times[-1][f"test_{index}"] == last["test_error"]
        assert times[-1][f"training_{index}"] == last["training_error"]
    tooltip = pointers(figure.variants["linear"])[0]["encoding"]["tooltip"]
    assert [each["title"] for each in tooltip][1:] == labels
    assert [each["field"] for each in tooltip][1:] == [f"test_{at}" for at in range(len(labels))]


def test_the_name_of_a_field_is_escaped():
    assert value_of_line("SGD, rate 0.1 [x]", ".2f").to_dict()["field"] == r"SGD, rate 0\.1 \[x\]"


def test_lines_that_are_not_shown_are_faint(folder):
    figure = figures(folder)["1-x-error"]
    labels = [*dict.fromkeys(row["line"] for row in figure.data["curves-1-x"])]
    for spec in figure.variants.values():
        (shown,) = [
            each
            for layer in layers_of(spec)
            for each in layer.get("params", [])
            if each["name"] == "shown"
        ]
        assert shown["value"] == [{"line": label} for label in labels]
        for layer in layers_of(spec):
            assert "shown" not in json.dumps(layer.get("transform", []))
            if layer["encoding"].get("color", {}).get("field") == "line":
                opacity = layer["encoding"]["opacity"]
                assert opacity["condition"]["param"] == "shown"
                assert opacity["value"] == pytest.approx(0.15 * opacity["condition"]["value"], abs=1e-3)


def test_lines_of_groups_can_be_faint():
    spec = figures(OPTIMIZERS)["mnist-learning-rate"].variants["final error"]
    by_line = [
        layer for layer in layers_of(spec) if layer["encoding"].get("color", {}).get("field") == "line"
    ]
    assert len(by_line) == 5
    assert {layer["encoding"]["opacity"]["condition"]["param"] for layer in by_line} == {"shown"}


# Names, labels of elements, and size ------------------------------------------------------------------


def test_every_row_of_data_has_the_name_of_its_row():
    found = figures(BENCH)["2-constant-init-error"].data["curves-2-constant-init"]
    assert {(row["line"], row["row"]) for row in found} >= {("batch 60000, init 0", "gd-init0")}
    for figure in figures(BENCH).values():
        for name, rows in figure.data.items():
            if name.startswith(("curves", "times", "setting")) and not name.endswith(
                ("-times", "-spans")
            ):
                assert all("row" in row and row["row"] != row["line"] for row in rows)


def test_marks_of_a_figure_have_no_labels():
    """A heat map would have a label for each of its hundreds of cells."""
    for figure in figures(BENCH).values():
        for spec in figure.variants.values():
            assert spec["config"]["aria"] is False
            assert spec["config"]["mark"]["aria"] is False
    svg = vl_convert.vegalite_to_svg(figures(BENCH)["3-online-gradient-classes"].standalone())
    assert svg.count("<path") > 800  # the cells
    assert set(re.findall(r' aria-label="([^"]{10})', svg)) == {"Title text", "Subtitle t"}


def test_curves_of_a_hundred_epochs_have_all_of_the_first_and_the_last():
    rows = figures(BENCH)["1-minibatch-size-error"].data["curves-1-minibatch-size"]
    epochs = [row["epoch"] for row in rows if row["row"] == "sgd-lr0.1-batch100"]
    assert epochs[:20] == [*range(20)]
    assert (epochs[-1], len(epochs)) == (100, 61)
    assert max(np.diff(epochs)) == 2


def test_the_data_and_specs_of_a_published_run_fit_on_its_page():
    """The page has at most 2 MB, of which Vega takes 0.9."""
    found = figures(BENCH)
    data = {name: rows for figure in found.values() for name, rows in figure.data.items()}
    specs = {name: figure.variants for name, figure in found.items()}
    assert len(json.dumps(data)) < 600_000
    assert len(json.dumps(data)) + len(json.dumps(specs)) < 1_000_000


def test_an_opacity_is_that_of_altairs_condition():
    hover = alt.selection_point(name="hover", empty=False)
    expected = alt.condition(hover, alt.value(1), alt.value(0.3))
    assert opacity_if(hover, 1, 0.3).to_dict() == expected
