"""What each layer of a figure draws: which data, which fields, and between which ends."""

import math
from functools import cache

import numpy as np
import pytest

from harness.exercise import Published
from harness.files.speeds import SpeedFile
from harness.report.figures import figures_of
from harness.report.figures.curve_panel import _linear_domain
from harness.report.figures.curve_rows import curve_rows, time_rows
from harness.report.figures.figure import (
    Figure,
    json_number,
    log_axis,
    log_domain,
    log_scale,
    side_by_side,
)
from harness.report.figures.learning_curves import learning_curve_figures
from harness.report.figures.per_step import per_step_figures
from harness.report.figures.published import PLUS_SIGN, TIMES_SIGN
from harness.report.figures.setting_panel import SettingAxis
from harness.report.series import lines_of
from tests import reports
from tests.made_up_runs import FIRST, RUN, SGD, TRAININGS, run_of, trained


@cache
def figures():
    return {each.name: each for of in RUN.summary.exercises for each in figures_of(RUN, of)}


def figures_with(rows, published=None, **how):
    """Returns the figures of a run of one exercise with these rows, by the ends of their names."""
    run = run_of({FIRST: rows}, published=published or {}, **how)
    return {each.name.removeprefix("1-x-"): each for each in figures_of(run, run.summary.exercises[0])}


def panels(figure, variant):
    return figure.variants[variant]["concat"]


def drawn(panel):
    """Returns the mark of each layer, its data, and the fields or places from x to y2."""
    return [
        (
            layer["mark"]["type"],
            layer["data"].get("name"),
            *(
                each.get("field", each.get("value"))
                for each in map(layer["encoding"].get, ("x", "x2", "y", "y2"))
                if each
            ),
        )
        for layer in panel["layer"]
    ]


def filters(panel):
    return [[each.get("filter") for each in layer.get("transform", [])] for layer in panel["layer"]]


def scale(panel, channel):
    """Returns the panel's scale; it is in the first layer, for all."""
    (found,) = [
        layer["encoding"][channel]["scale"]
        for layer in panel["layer"]
        if (layer["encoding"].get(channel) or {}).get("scale")
    ]
    return found


def label_heights(panel):
    (found,) = [layer["data"]["values"] for layer in panel["layer"] if "labels" in layer.get("name", "")]
    return {each["line"]: each["at"] for each in found}


# Learning curves --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "quantity", "along"),
    [("error", "error", "epoch"), ("seconds", "error", "seconds"), ("loss", "loss", "epoch")],
)
@pytest.mark.parametrize("variant", ["logarithmic", "linear"])
def test_panels_of_learning_curves(key, quantity, along, variant):
    """Published values are errors on the test set: at the edge, or at their times."""
    data, half = "curves-1-x", "width"
    test, training = panels(figures()[f"1-x-{key}"], variant)
    assert (test["title"], training["title"]) == ("test set", "training set")
    for part, panel in (("test", test), ("training", training)):
        field = f"{part}_{quantity}"
        expected = [
            ("area", data, along, f"{field}_low", f"{field}_high"),
            ("line", data, along, field),
            ("rule", f"{data}-times" if along == "seconds" else data, along),
            ("point", data, along, field),
            ("circle", f"{data}-seeds", along, field),
        ]
        if field == "test_error" and along == "epoch":
            expected += [
                ("rule", f"{data}-published", half, half, "measured_error", "test_error"),
                ("point", f"{data}-published", half, "test_error"),
                ("point", f"{data}-published", half, "test_error"),
            ]
        elif field == "test_error":
            expected += [("point", f"{data}-published", along, "test_error")]
        # A training that diverges has no loss at its end, so no name can be there.
        if along == "epoch" and quantity == "error":
            expected += [("text", None, half, "at")]
            expected += [("text", None, half, "height")] * (part == "test")
        assert drawn(panel) == expected
        timed = ["datum.seconds > 0"] if along == "seconds" else []
        assert filters(panel)[:2] == [[*timed, f"isValid(datum.{field}_low)"], timed]
        assert filters(panel)[3] == [*timed, "datum.mark"]


def test_one_seed_without_published_values_has_a_line_and_points():
    rows = {name: TRAININGS[FIRST][name] for name in ("sgd-lr0.1", "adam-lr0.1")}
    for panel in panels(figures_with(rows)["error"], "linear"):
        assert [mark for mark, *_ in drawn(panel)] == ["line", "rule", "point", "text"]


def test_published_values_are_in_the_shape_of_their_lines():
    test, _ = panels(figures()["1-x-seconds"], "linear")
    assert filters(test)[-1] == [{"field": "line", "oneOf": ["Adam, rate 0.1"]}]
    test, _ = panels(figures()["1-x-error"], "linear")
    assert [each for of in filters(test) for each in of if isinstance(each, dict)] == [
        {"field": "line", "oneOf": ["SGD, rate 0.01", "SGD, rate 0.1"]},
        {"field": "line", "oneOf": ["Adam, rate 0.01", "Adam, rate 0.1"]},
    ]


def test_a_pale_line_is_under_those_that_others_coincide_with():
    rows = {f"r{rate}": trained(SGD(rate), (0.1, 0.5, 0.9), seconds=(0, 1, 2)) for rate in (0.1, 0.2)}
    for panel in panels(figures_with(rows)["error"], "linear"):
        wide, line, *_ = drawn(panel)
        assert wide == line
        assert filters(panel)[0] == [{"field": "line", "oneOf": ["rate 0.1"]}]
        assert panel["layer"][0]["mark"]["strokeWidth"] > panel["layer"][1]["mark"]["strokeWidth"]


def test_the_axes_of_errors_hold_all_values_and_published_ones():
    """Errors are 1.5 to 90 %, half of that in training, and the lowest published one is 1 %."""
    test, training = panels(figures()["1-x-error"], "logarithmic")
    assert scale(test, "y")["domain"] == pytest.approx([0.9 * 1, 1.1 * 90])
    assert scale(training, "y")["domain"] == pytest.approx([0.9 * 0.75, 1.1 * 45])
    assert scale(test, "y")["type"] == "log"
    test, training = panels(figures()["1-x-error"], "linear")
    assert scale(test, "y")["domain"] == pytest.approx([0, 1.05 * 90])
    assert scale(training, "y")["domain"] == pytest.approx([0, 1.05 * 45])
    test, _ = panels(figures()["1-x-seconds"], "linear")
    assert scale(test, "x")["domain"] == pytest.approx([0.9, 1.1 * 12])
    # Of seeds, the best has 0 %; the mean of both is 10 %, and no axis begins at 0.
    rows = {"a": trained(SGD(0.1), (0.1, 0.8), (0.1, 1.0), seconds=(0, 1))}
    test, _ = panels(figures_with(rows)["error"], "logarithmic")
    assert scale(test, "y")["domain"] == pytest.approx([9, 99])


@pytest.mark.parametrize(
    ("values", "most", "domain"),
    [
        ([50, None, 20], 100, (0, 52.5)),
        ([97], 100, (0, 100)),
        ([3.0], math.inf, (0, 3.15)),
        ([0.0, None], 100, (0, 1)),
        ([None], 100, (0, 1.05)),
    ],
)
def test_a_linear_axis_begins_at_0(values, most, domain):
    assert _linear_domain(values, most) == pytest.approx(domain)


def test_names_are_at_the_heights_at_which_lines_end():
    """The errors end at 50 and 20 %, on axes of 250 pixels from 0 to 94.5 % and from 18 to 99 %."""
    rows = {"a": trained(SGD(0.1), (0.1, 0.5), seconds=(0, 1))}
    rows["b"] = trained(SGD(0.2), (0.1, 0.8), seconds=(0, 1))
    error = figures_with(rows)["error"]
    linear, logarithmic = (panels(error, each)[0] for each in ("linear", "logarithmic"))
    assert label_heights(linear) == {
        f"rate {rate}": pytest.approx(250 * (1 - end / 94.5), abs=0.05)
        for rate, end in ((0.1, 50), (0.2, 20))
    }
    assert label_heights(logarithmic) == {
        f"rate {rate}": pytest.approx(250 * math.log(99 / end) / math.log(99 / 18), abs=0.05)
        for rate, end in ((0.1, 50), (0.2, 20))
    }


def test_names_are_right_of_published_values_in_the_margin():
    test, training = panels(figures()["1-x-error"], "linear")
    near, far = (
        layer["mark"]["dx"]
        for panel in (training, test)
        for layer in panel["layer"]
        if "labels" in layer.get("name", "")
    )
    cross = next(layer for layer in test["layer"] if "xOffset" in layer["encoding"])
    assert far - near == cross["encoding"]["xOffset"]["value"]


def test_lines_of_different_lengths_have_no_names_at_their_ends():
    rows = {"a": trained(SGD(0.1), (0.1, 0.5), seconds=(0, 1))}
    rows["b"] = trained(SGD(0.2), (0.1, 0.2, 0.8), seconds=(0, 1, 2))
    test, _ = panels(figures_with(rows)["error"], "linear")
    assert [mark for mark, *_ in drawn(test)] == ["line", "rule", "point"]


def test_a_note_says_where_zeros_are_drawn():
    perfect = np.array([[0.1], [1.0]])
    rows = {"a": trained(SGD(0.1), (0.1, 0.5), seconds=(0, 1), train_accuracy=perfect)}
    found = figures_with(rows)
    note = "On a logarithmic axis, 0 is drawn at the bottom."
    assert [note in found[key].notes for key in ("error", "seconds", "loss")] == [True, True, False]


@pytest.mark.parametrize(("seconds", "times"), [((5, 7), "5 to 7"), ((5, 5), "5"), ((5, None), "")])
def test_published_times_outside_of_the_axis(seconds, times):
    """A run of three seconds and several published times, or one."""
    rows = {
        f"r{at}": trained(SGD(0.1 + at), (0.1, 0.5, 0.6 + 0.1 * at), seconds=(0, 1, 3)) for at in (0, 1)
    }
    published = {f"r{at}": Published(0.9, each) for at, each in enumerate(seconds)}
    notes = figures_with(rows, published)["seconds"].notes
    if times:
        assert f"Published times, {times} s on other hardware, lie outside the axis." in notes
    else:
        assert "A published time, 5 s on other hardware, lies outside the axis." in notes
    assert "×:" not in notes


def test_a_published_figure_is_named_where_its_values_are():
    notes = {key: figures()[f"1-x-{key}"].notes for key in ("error", "seconds", "loss")}
    assert [key for key, text in notes.items() if "Published: Figure 1." in text] == ["error"]
    assert [key for key, text in notes.items() if "Dotted:" in text] == ["error"]
    run = run_of({FIRST: TRAININGS[FIRST]}, published={})
    exercise = run.summary.exercises[0].model_copy(update={"figure": ""})
    error, *_ = learning_curve_figures(exercise, lines_of(run, exercise))
    assert "ublished" not in error.notes
    assert "Dotted" not in error.notes


def test_times_are_for_all_seeds_together_if_there_are_several():
    rows = {"a": TRAININGS[FIRST]["sgd-lr0.1"], "b": TRAININGS[FIRST]["adam-lr0.1"]}
    assert "for all seeds together" not in figures_with(rows)["seconds"].notes
    assert "for all seeds together" in figures()["1-x-seconds"].notes


def test_the_shapes_of_lines_are_at_different_epochs_and_at_their_ends():
    """Of 22 points of each line, seven and the last have shapes: every third, from one epoch on."""
    curve = trained(SGD(0.1), (0.1, *[0.5] * 21), seconds=range(22))
    run = run_of({FIRST: {"a": curve}})
    (line,) = lines_of(run, run.summary.exercises[0])
    found = curve_rows([(line, line.curves)] * 4)
    marked = [
        [row["epoch"] for row in found[at * 22 : (at + 1) * 22] if "mark" in row] for at in range(4)
    ]
    assert marked[0] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert marked[1] == [1, 4, 7, 10, 13, 16, 19, 21]
    assert marked[2] == [2, 5, 8, 11, 14, 17, 20, 21]
    assert marked[3] == marked[0]


def test_all_of_a_few_epochs_have_shapes():
    run = run_of({FIRST: {"a": trained(SGD(0.1), (0.1, *[0.2] * 11), seconds=range(12))}})
    (line,) = lines_of(run, run.summary.exercises[0])
    found = curve_rows([(line, line.curves)] * 2)
    assert [row.get("mark") for row in found] == [True] * 24


def test_without_times_the_pointer_has_no_places():
    run = run_of({FIRST: {"a": trained(SGD(0.1), (0.1, 0.2), seconds=(0, 0))}})
    (line,) = lines_of(run, run.summary.exercises[0])
    assert time_rows([]) == time_rows([(line, line.curves)]) == []


# Time to accuracy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "title", "domain"),
    [
        ("seconds", "training time (s)", (2, 9)),
        ("epochs", "epochs", (1, 3)),
        ("steps", "optimizer steps", (10, 30)),
    ],
)
def test_the_panel_of_times_to_accuracy(measure, title, domain):
    figure = figures()["1-x-time-to-accuracy"]
    (panel,) = panels(figure, measure)
    data = "times-1-x"
    assert drawn(panel) == [
        ("rule", data, measure, measure, "line"),
        ("rule", data, f"{measure}_low", f"{measure}_high", "line"),
        ("point", data, measure, "line"),
        ("circle", f"{data}-seeds", measure, "line"),
    ]
    path, bars, *_ = panel["layer"]
    assert (path["encoding"]["x"]["aggregate"], path["encoding"]["x2"]["aggregate"]) == ("min", "max")
    assert filters(panel) == [
        [f"datum.{measure} > 0"],
        [f"datum.{measure} > 0", f"isValid(datum.{measure}_low)"],
        [f"datum.{measure} > 0"],
        [],
    ]
    assert scale(panel, "x")["domain"] == pytest.approx([0.9 * domain[0], 1.1 * domain[1]])
    assert {layer["encoding"]["x"]["title"] for layer in panel["layer"]} == {title}
    # Rows are from top to bottom in the exercise's order.
    assert path["encoding"]["y"]["sort"] == ["SGD, rate 0.01", "Adam, rate 0.01", "Adam, rate 0.1"]
    assert scale({"layer": [bars]}, "color")["domain"] == ["90 %", "95 %", "97 %"]
    assert len({*scale({"layer": [bars]}, "color")["range"]}) == 3


def test_times_of_single_seeds_widen_the_axis():
    """Seeds take 1 and 9 s to 90 %, others 4 s: on average 5 and 4 s. No row needs bars for one seed."""
    rows = {
        "varied": trained(SGD(0.1), (0.1, 0.9, 0.9), (0.1, 0.1, 0.9), seconds=(0, 1, 9)),
        "even": trained(SGD(0.2), (0.1, 0.9), seconds=(0, 4)),
    }
    (panel,) = panels(figures_with(rows)["time-to-accuracy"], "seconds")
    assert scale(panel, "x")["domain"] == pytest.approx([0.9, 9.9])
    single = {f"r{rate}": trained(SGD(rate), (0.1, 0.9), seconds=(0, 4)) for rate in (0.1, 0.2)}
    (panel,) = panels(figures_with(single)["time-to-accuracy"], "seconds")
    assert [mark for mark, *_ in drawn(panel)] == ["rule", "point"]


def test_two_rows_that_reach_a_target_are_worth_a_figure():
    """One of the rows reaches it under one of its seeds alone."""
    rows = {
        "some": trained(SGD(0.1), (0.1, 0.9), (0.1, 0.2), seconds=(0, 1)),
        "all": trained(SGD(0.2), (0.1, 0.9), seconds=(0, 1)),
        "none": trained(SGD(0.3), (0.1, 0.8), seconds=(0, 1)),
    }
    figure = figures_with(rows)["time-to-accuracy"]
    assert "Never reached 90 %: rate 0.3." in figure.notes
    assert "at least 90 %." in figure.notes
    del rows["all"]
    assert "time-to-accuracy" not in figures_with(rows)


# Against a setting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "field"),
    [
        ("final error", "error"),
        ("final accuracy", "accuracy"),
        ("epochs to 97 %", "epochs"),
        ("seconds to 97 %", "seconds"),
    ],
)
def test_panels_against_a_setting(variant, field):
    """Spans, single seeds and published values are of final results."""
    final = field in ("error", "accuracy")
    for at, panel in enumerate(panels(figures()["1-x-learning-rate"], variant)):
        data = f"setting-1-x-learning-rate-{at}"
        assert panel["title"] == ("SGD", "Adam")[at]
        assert drawn(panel) == [
            *([("rect", f"{data}-spans", "low", "high")] if final else []),
            ("line", data, "value", field),
            ("rule", data, "value", f"{field}_low", f"{field}_high"),
            ("rule", data, "value"),
            ("point", data, "value", field),
            *([("circle", f"{data}-seeds", "value", field)] if final else []),
            *([("point", data, "value", f"published_{field}")] if final else []),
        ]
        first = 1 if final else 0
        valid = f"isValid(datum.{field})"
        assert filters(panel)[first : first + 4] == [
            [],
            [valid, f"isValid(datum.{field}_low)"],
            [valid],
            [valid],
        ]


def test_the_axes_against_a_setting():
    """From 1 (published) to 90 %, from 0 to 1.2 times 3 epochs and 6 s; all panels have the same."""
    figure = figures()["1-x-learning-rate"]
    for variant, domain in (
        ("final error", (0.9, 99)),
        ("final accuracy", (0, 100)),
        ("epochs to 97 %", (0, 3.6)),
        ("seconds to 97 %", (0, 7.2)),
    ):
        for panel in panels(figure, variant):
            assert scale(panel, "y")["domain"] == pytest.approx(domain)
            # The rates 0.01 to 1, and a twentieth of their two decades on both sides.
            assert scale(panel, "x")["domain"] == pytest.approx([10**-2.1, 10**0.1])
            assert scale(panel, "x")["type"] == "log"


def test_times_that_spread_have_a_logarithmic_axis():
    rows = {
        f"r{rate}": trained(SGD(rate), (0.1, 0.9), seconds=(0, seconds))
        for rate, seconds in ((0.1, 1), (0.2, 5), (0.3, 11))
    }
    figure = figures_with(rows)["learning-rate"]
    (panel,) = panels(figure, "seconds to 90 %")
    assert (scale(panel, "y")["type"], scale(panel, "y")["domain"]) == (
        "log",
        pytest.approx([0.9, 12.1]),
    )
    (panel,) = panels(figure, "epochs to 90 %")
    assert scale(panel, "y") == {"domain": [0, 1.2], "nice": False}


def test_several_lines_in_a_panel_have_bars_and_names():
    """Three optimizers: the second as good as the first, the last without the middle rate."""
    rows = {
        f"m{momentum}-{rate}": trained(SGD(rate, momentum=momentum), (0.1, end), seconds=(0, 1))
        for momentum, ends in ((0, (0.5, 0.9, 0.95)), (0.5, (0.5, 0.9, 0.95)), (0.9, (0.2, 0, 0.3)))
        for rate, end in zip((0.1, 0.2, 0.4), ends, strict=True)
        if end
    }
    found = figures_with(rows)["learning-rate"]
    (panel,) = panels(found, "final error")
    data = "setting-1-x-learning-rate-0"
    assert drawn(panel)[:2] == [("line", data, "value", "error")] * 2
    assert filters(panel)[0] == [{"field": "line", "oneOf": ["SGD"]}]
    assert filters(panel)[1] == ['indexof(["SGD with momentum 0.9"], datum.line) < 0']
    (pointer,) = [each for each in panel["layer"] if each.get("name", "").startswith("pointer")]
    assert [each["title"] for each in pointer["encoding"]["tooltip"]] == [
        "learning rate",
        "SGD",
        "SGD with momentum 0.5",
        "SGD with momentum 0.9",
    ]
    pivot = pointer["transform"][-1]
    assert (pivot["pivot"], pivot["value"], pivot["groupby"]) == ("line", "error", ["value"])
    assert found.notes.startswith("The rows of a line differ only in learning rate. Best at the ")
    assert "Shaded" not in found.notes


@pytest.mark.parametrize(
    ("values", "low", "high", "expected"),
    [
        ([1, 2, 3], 2, 3, (1.95, 3.05)),  # linear, by a fortieth of 2
        ([0.01, 0.1, 1], 0.1, 0.1, (10**-1.05, 10**-0.95)),
        # From 0 and logarithmic above 0.1: positions log(1 + value / 0.1), from 0 to log 101.
        ([0, 0.1, 10], 0, 0.1, (-0.1 * (101**0.025 - 1), 0.1 * (2 * 101**0.025 - 1))),
        ([-1, 0, 1], -1, 0, (-1.05, 0.05)),
        ([1, 10], 1, 10, (0.775, 10.225)),  # exactly a decade is linear
    ],
)
def test_a_span_is_extended_by_a_fortieth_of_the_axis(values, low, high, expected):
    assert SettingAxis("x", values).around(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.01, 0.1, 1], {"type": "log"}),
        ([1, 2, 3], {"zero": False}),
        ([0, 0.1, 10], {"type": "symlog", "constant": 0.1}),
        ([0, 1, 2], {"zero": False}),
        ([-1, 0.1, 10], {"zero": False}),
    ],
)
def test_the_axis_of_a_setting(values, expected):
    found = SettingAxis("x", values).encoding().to_dict()["scale"]
    assert expected.items() <= found.items()
    assert found["domain"][0] < values[0]
    assert found["domain"][1] > values[-1]
    assert ("type" in found) == ("type" in expected)


# Parts that all figures share -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "domain"),
    [
        ([2.0, 5.0, None, 0.0, -1.0], (1.8, 5.5)),
        ([3.0], (2.7, 3.30033)),
        ([0.0, None], None),
        ([], None),
    ],
)
def test_the_ends_of_a_logarithmic_axis(values, domain):
    assert log_domain(values) == (domain if domain is None else pytest.approx(domain))
    found = log_scale(values).to_dict()
    assert found == (
        {"type": "symlog"}
        if domain is None
        else {"type": "log", "domain": pytest.approx([*domain]), "clamp": True, "nice": False}
    )


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([1, 500], [1, 2, 5, 10, 20, 50, 100, 200, 500]),  # 2.79 decades with what is added at the ends
        ([1, 520], [1, 10, 100]),  # 2.80
        ([1.2, 9e6], [10, 100, 1e3, 1e4, 1e5, 1e6]),  # between 1 and 1e7
        ([1.2, 1e7], [100, 1e4, 1e6]),
        ([0.2, 1e7], [1, 100, 1e4, 1e6]),  # even powers
        ([1.2, 1e14], [1e3, 1e6, 1e9, 1e12]),
        ([4.6, 9], None),  # 5 alone
        ([4.6, 9.1], [5, 10]),
    ],
)
def test_the_ticks_of_a_logarithmic_axis(values, ticks):
    found = log_axis(values, title="t").to_dict()
    assert found.get("values") == (None if ticks is None else pytest.approx(ticks))
    assert found["title"] == "t"
    assert log_axis(values, format="~s").to_dict()["format"] == "~s"


@pytest.mark.parametrize(
    ("value", "number"),
    [(1 / 3, 0.33333), (123456.0, 123460.0), (math.nan, None), (math.inf, None), (0.0, 0.0)],
)
def test_numbers_in_data_have_five_digits(value, number):
    assert json_number(value) == number


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 2)])
def test_panels_are_in_columns(count, columns):
    found = side_by_side([{"layer": [], "title": str(at)} for at in range(count)])
    assert found["columns"] == columns
    assert [each["title"] for each in found["concat"]] == [str(at) for at in range(count)]
    (width,) = {each["width"] for each in found["concat"]}
    assert width * columns <= 800


def test_a_scale_is_left_in_the_first_layer_of_a_panel_or_figure():
    """Those of looks are shared by all panels, those of places by the layers of one."""

    def layer(colours, domain):
        return {
            "encoding": {
                "color": {"field": "line", "scale": {"range": colours}, "legend": {"columns": 2}},
                "y": {"field": "a", "scale": {"domain": domain}},
                "x": {"value": "width"},
            }
        }

    def kept(panel):
        return [
            [channel for channel in ("color", "y") if "scale" in each["encoding"][channel]]
            for each in panel["layer"]
        ]

    panels = [
        {"layer": [layer(["red"], [0, 1]), layer(["red"], [0, 1]), layer(["blue"], [0, 2])]},
        {"layer": [layer(["red"], [0, 1]), layer(["red"], [0, 1])]},
    ]
    first, second = side_by_side(panels)["concat"]
    assert kept(first) == [["color", "y"], [], ["color", "y"]]
    assert kept(second) == [["y"], []]
    assert ["legend" in each["encoding"]["color"] for each in first["layer"]] == [True, False, True]


def test_a_figure_on_its_own_has_its_title_data_and_no_layers_for_the_pointer():
    layers = [{"name": "pointer_rule_0"}, {"name": "a"}, {}]
    variants = {"one": {"concat": [{"layer": layers}], "columns": 1}, "other": {"layer": []}}
    figure = Figure(title="T", notes="N", variants=variants, data={"d": [{"x": 1}]}, name="n", of="E")
    found = figure.standalone()
    assert (found["title"]["text"], found["title"]["subtitle"]) == ("E: T", ["N"])
    assert (found["concat"], found["datasets"]) == ([{"layer": layers[1:]}], {"d": [{"x": 1}]})
    assert Figure(title="T", notes="", variants=variants, data={}).standalone()["title"]["text"] == "T"


def test_every_mark_can_be_seen():
    """Hollow shapes are paths with a hole, so all shapes are filled; crosses have strokes alone."""
    speed = per_step_figures(SpeedFile.model_validate(reports.speed()))
    for spec in (spec for each in (*figures().values(), *speed) for spec in each.variants.values()):
        for layer in (layer for panel in spec["concat"] for layer in panel["layer"]):
            mark = layer["mark"]
            assert 0 < mark.get("opacity", 1) <= 1
            assert mark.get("size", 50) >= 10
            assert mark.get("strokeWidth", 1) >= 1
            if mark["type"] == "point":
                assert mark["filled"] == (mark.get("shape") not in (PLUS_SIGN, TIMES_SIGN))
                assert mark["filled"] or mark["strokeWidth"] >= 1
            legends = [each.get("legend") for each in layer["encoding"].values() if "legend" in each]
            assert all((each or {}).get("symbolOpacity", 1) == 1 for each in legends)


def test_the_first_panel_has_the_legend_of_all_lines():
    test, training = panels(figures()["1-x-error"], "linear")
    labels = [line.label for line in lines_of(RUN, RUN.summary.exercises[0])]
    assert scale(test, "color")["domain"] == labels
    assert scale(test, "shape")["domain"] == labels
    assert not any("scale" in (each["encoding"].get("color") or {}) for each in training["layer"])
