"""The data of every figure of a made-up run, held against arithmetic on paper.

Student's t for a 95 % interval is 4.3027 for three values and 12.7062 for two.
"""

import json
from functools import cache

import numpy as np
import pytest

from harness.exercise import Published, Results
from harness.files.speeds import SpeedFile
from harness.report.figures import figures_of
from harness.report.figures.against_setting import setting_figures
from harness.report.figures.curve_panel import Curves
from harness.report.figures.learning_curves import learning_curve_figures
from harness.report.figures.per_step import per_step_figures
from harness.report.figures.time_to_accuracy import time_to_accuracy_figures
from harness.report.series import lines_of
from model.optimizers import Adam, RMSprop
from tests import reports
from tests.bench_modules import bench_module
from tests.made_up_runs import FIRST, RUN, SECOND, SGD, TRAININGS, run_of, trained

THIRD_OF_13 = (13 / 3) ** 0.5  # the standard error of 10, 8 and 3, whose variance is 13


@cache
def figures():
    return {each.name: each for of in RUN.summary.exercises for each in figures_of(RUN, of)}


def rows(figure, data, row, **fields):
    """Returns the rows of a data set that are of that row and have these values."""
    return [
        each
        for each in figures()[figure].data[data]
        if each["row"] == row and fields.items() <= each.items()
    ]


def only(figure, data, row, **fields):
    (found,) = rows(figure, data, row, **fields)
    return found


def test_every_exercise_has_its_figures():
    curves = ("error", "seconds", "loss")
    assert [*figures()] == [
        *(f"1-x-{name}" for name in (*curves, "time-to-accuracy", "learning-rate")),
        *(f"2-y-{name}" for name in curves),
    ]


# Learning curves --------------------------------------------------------------------------------------


def test_curves_have_means_and_intervals_over_seeds():
    end = only("1-x-error", "curves-1-x", "sgd-lr0.01", epoch=4)
    assert (end["line"], end["seconds"], end["mark"]) == ("SGD, rate 0.01", 12, True)
    assert end["test_error"] == 7
    assert end["test_error_low"] == 0  # 7 - 8.96, but no error is below 0
    assert end["test_error_high"] == pytest.approx(7 + 4.3027 * THIRD_OF_13, abs=1e-3)
    assert (end["training_error"], end["training_error_low"]) == (3.5, 0)
    assert end["training_error_high"] == pytest.approx(3.5 + 4.3027 * THIRD_OF_13 / 2, abs=1e-3)
    assert end["training_loss"] == pytest.approx(0.07)
    assert end["test_loss"] == pytest.approx(1.07)
    assert end["test_loss_high"] == pytest.approx(1.07 + 0.043027 * THIRD_OF_13, abs=1e-4)
    begin = only("1-x-error", "curves-1-x", "sgd-lr0.01", epoch=0)
    assert (begin["seconds"], begin["test_error"]) == (0, 90)
    assert "test_error_low" not in begin  # all seeds are equal


def test_curves_of_one_seed_have_no_intervals():
    found = rows("1-x-error", "curves-1-x", "sgd-lr0.1")
    assert [row["test_error"] for row in found] == [90, 80, 70, 60, 50]
    assert [row["seconds"] for row in found] == [0, 1, 2, 3, 4]
    assert not [name for row in found for name in row if name.endswith(("_low", "_high"))]


def test_curves_end_where_a_training_diverges():
    found = rows("1-x-loss", "curves-1-x", "sgd-lr1")
    assert [row["training_loss"] for row in found] == [2.3, 1, None, None, None]
    assert [row["test_loss"] for row in found] == [3.3, 2, None, None, None]
    assert [row["test_error"] for row in found] == [90, 20, 90, 90, 90]


def test_single_seeds_are_at_their_own_ends():
    found = rows("1-x-error", "curves-1-x-seeds", "sgd-lr0.01")
    assert [(row["seed"], row["test_error"]) for row in found] == [(0, 10), (1, 8), (2, 3)]
    assert {(row["epoch"], row["seconds"]) for row in found} == {(4, 12)}
    assert [row["training_loss"] for row in found] == [0.1, 0.08, 0.03]
    shown = {row["row"] for row in figures()["1-x-error"].data["curves-1-x-seeds"]}
    assert shown == {"sgd-lr0.01", "adam-lr0.01"}


def test_published_errors_and_times():
    found = figures()["1-x-error"].data["curves-1-x-published"]
    assert {(row["row"], row["test_error"], row["seconds"]) for row in found} == {
        ("sgd-lr0.01", 45, 600),
        ("sgd-lr0.1", 37, 100),
        ("adam-lr0.01", 10, None),
        ("adam-lr0.1", 1, 10),
    }
    assert {row["published"] for row in found} == {"published, after 8 epochs"}
    # A dotted line leads from the mean over seeds to the published value.
    measured = {row["row"]: row["measured_error"] for row in found}
    assert measured == {"sgd-lr0.01": 7, "sgd-lr0.1": 50, "adam-lr0.01": 3, "adam-lr0.1": 1.5}


def test_only_published_times_on_the_axis_are_drawn():
    """Epochs end from 1 to 12 s; the published times are 10, 100 and 600 s."""
    notes = figures()["1-x-seconds"].notes
    assert "Published times, 100 to 600 s on other hardware, lie outside the axis." in notes
    assert "+: published, after 8 epochs." in notes or "×: published, after 8 epochs." in notes


def test_after_all_epochs_published_values_need_no_number_of_epochs():
    rows = {"a": TRAININGS[FIRST]["adam-lr0.1"], "b": TRAININGS[FIRST]["sgd-lr0.1"]}
    run = run_of({FIRST: rows}, published={"a": Published(0.9)}, full={FIRST: 4})
    (exercise,) = run.summary.exercises
    figure, *_ = learning_curve_figures(exercise, lines_of(run, exercise))
    (row,) = figure.data["curves-1-x-published"]
    assert (row["published"], row["test_error"]) == ("published", 10)
    assert figure.notes.endswith(
        "× at the edge: published. Dotted: from the last value to the published one."
    )


def test_curves_coincide_by_their_test_errors():
    """The first two differ in training errors alone, the third in test errors alone."""
    curve, other = np.array([[0.1, 0.6, 0.9]]).T, np.array([[0.1, 0.3, 0.7]]).T
    rows = {
        "a": trained(SGD(0.1), curve[:, 0], seconds=(0, 1, 2)),
        "b": trained(SGD(0.2), curve[:, 0], seconds=(0, 1, 2), train_accuracy=other),
        "c": trained(SGD(0.3), other[:, 0], seconds=(0, 1, 2), train_accuracy=curve),
    }
    run = run_of({FIRST: rows}, published={})
    notes = learning_curve_figures(run.summary.exercises[0], lines_of(run, run.summary.exercises[0]))[
        0
    ].notes
    assert "Nearly coincide: “rate 0.1” and “rate 0.2” (test errors differ by less than 0.1 %" in notes
    assert notes.count("“") == 2


def test_published_times_at_the_ends_of_the_axis():
    """The axis begins with the first epoch's end: before it, no time has passed."""
    measured = [{"seconds": each} for each in (0, 1, 5, 12.5)]
    published = [{"seconds": each} for each in (0.5, 1, 12.5, 13, None)]
    inside, outside = Curves("c", [], measured, [], published, []).published_by_time()
    assert [row["seconds"] for row in inside] == [1, 12.5]
    assert [row["seconds"] for row in outside] == [0.5, 13]


def test_after_a_time_the_error_is_that_of_the_last_epoch_that_has_ended():
    """The rows are numbered as in the legend; the first epochs end after 3, 1, 2, 2, 4 and 1 s."""
    times = figures()["1-x-seconds"].data["curves-1-x-times"]
    assert len(times) == 40
    first, last = times[0], times[-1]
    assert first == {"seconds": 1, "test_1": 80, "training_1": 40, "test_5": 80, "training_5": 40}
    assert last["seconds"] == pytest.approx(12, abs=0.01)
    assert [last[f"test_{at}"] for at in range(6)] == [7, 50, 90, 3, 1.5, 90]
    # Between 3 and 4 s: one epoch of the first row, three of the second.
    row = next(each for each in times if 3.1 < each["seconds"] < 3.9)
    assert (row["test_0"], row["test_1"], row["test_2"]) == (
        pytest.approx(100 * 1.1 / 3, abs=0.01),
        60,
        20,
    )
    assert "test_4" not in row


def test_notes_name_unlike_engines_where_times_are_shown():
    note = "Times are not comparable: SGD, rate 1 used eager on cpu; all other rows used numba on cpu."
    having = {name for name, each in figures().items() if note in each.notes}
    assert having == {"1-x-seconds", "1-x-time-to-accuracy", "1-x-learning-rate"}


def test_notes_count_the_seeds_of_the_rows_with_fewest_and_with_most():
    for name, each in figures().items():
        assert ("over 1 to 3 seeds" in each.notes) == name.startswith("1-x-"), name
        assert "over 2 seeds" not in each.notes


def test_notes_on_times_name_rows_with_an_epoch_out_of_line():
    """An epoch of adam-lr0.1 takes twice its median or more."""
    named = {name for name, each in figures().items() if "† Adam, rate 0.1: its slowest" in each.notes}
    timed = {"1-x-seconds", "1-x-time-to-accuracy", "1-x-learning-rate"}
    assert {name for name in named if name.startswith("1-x-")} == timed


# Time to accuracy -------------------------------------------------------------------------------------


def test_times_to_an_accuracy_are_means_over_the_seeds_that_reach_it():
    name, data = "1-x-time-to-accuracy", "times-1-x"
    at_90 = only(name, data, "sgd-lr0.01", target="90 %")
    assert (at_90["epochs"], at_90["steps"], at_90["seconds"]) == (2, 20, 6)
    assert at_90["seeds"] == "3 of 3"
    half = 4.3027 / 3**0.5  # of 3, 2 and 1
    assert (at_90["epochs_low"], at_90["epochs_high"]) == (0.002, pytest.approx(2 + half, abs=1e-3))
    assert at_90["seconds_high"] == pytest.approx(6 + 3 * half, abs=1e-3)
    at_97 = only(name, data, "sgd-lr0.01", target="97 %")
    assert (at_97["epochs"], at_97["steps"], at_97["seconds"]) == (3, 30, 9)
    assert (at_97["seeds"], "epochs_low" in at_97) == ("1 of 3", False)
    adam = only(name, data, "adam-lr0.01", target="95 %")
    assert (adam["epochs"], adam["steps"], adam["seconds"], adam["seeds"]) == (1, 10, 2, "2 of 2")
    uneven = only(name, data, "adam-lr0.1", target="95 %")
    assert (uneven["epochs"], uneven["seconds"], uneven["seeds"]) == (2, 5, "1 of 1")
    never = "Never reached 90 %: SGD, rate 0.1; SGD, rate 1; Adam, rate 1."
    assert never in figures()[name].notes


def test_times_of_single_seeds():
    found = rows("1-x-time-to-accuracy", "times-1-x-seeds", "sgd-lr0.01")
    by_target = {
        target: [
            (row["seed"], row["epochs"], row["steps"], row["seconds"])
            for row in found
            if row["target"] == target
        ]
        for target in ("90 %", "95 %", "97 %")
    }
    assert by_target == {
        "90 %": [(0, 3, 30, 9), (1, 2, 20, 6), (2, 1, 10, 3)],
        "95 %": [(2, 2, 20, 6)],
        "97 %": [(2, 3, 30, 9)],
    }
    shown = {row["row"] for row in figures()["1-x-time-to-accuracy"].data["times-1-x-seeds"]}
    assert shown == {"sgd-lr0.01", "adam-lr0.01"}


def test_an_exercise_with_one_row_at_a_target_has_no_figure_of_times():
    assert "2-y-time-to-accuracy" not in figures()


def of_times(run):
    """Returns the figure of times to accuracy of a run of one exercise."""
    (exercise,) = run.summary.exercises
    (figure,) = time_to_accuracy_figures(exercise, lines_of(run, exercise))
    return figure


@pytest.mark.parametrize("count", [39, 40, 41])
def test_of_many_rows_the_soonest_at_the_highest_target_are_shown(count):
    """The first row reaches 90 % alone, the last ones take longest to 97 %, on average over seeds."""
    many = {"low": trained(SGD(0.25), (0.1, 0.9), seconds=(0, 1))}
    for at in range(1, count):
        # Alternately early under one seed and late under the other.
        many[f"r{at}"] = trained(
            SGD(1 / (at + 2)),
            (0.1, 0.97, 0.97),
            (0.1, 0.97 if at % 2 else 0.1, 0.97),
            seconds=(0, at, 3 * at),
        )
    figure = of_times(run_of({FIRST: many}))
    shown = [*dict.fromkeys(row["row"] for row in figure.data["times-1-x"])]
    assert len(shown) == min(count, 40)
    assert ("low" in shown) == (count <= 40)
    assert ("Showing" in figure.notes) == (count > 40)


def test_the_mean_over_seeds_decides_which_rows_are_soonest():
    """Of 41 rows, one takes 1 and 9 s, one 6 s under both seeds, and the others 2 s."""
    rows = {f"r{at}": trained(SGD(1 / (at + 2)), (0.1, 0.97), seconds=(0, 2)) for at in range(39)}
    rows["varied"] = trained(SGD(0.7), (0.1, 0.97, 0.97), (0.1, 0.1, 0.97), seconds=(0, 1, 9))
    rows["even"] = trained(SGD(0.8), (0.1, 0.97, 0.97), (0.1, 0.97, 0.97), seconds=(0, 6, 9))
    figure = of_times(run_of({FIRST: rows}))
    shown = {row["row"] for row in figure.data["times-1-x"]}
    assert ("varied" in shown, "even" in shown) == (True, False)  # 5 s and 6 s


# Against a setting ------------------------------------------------------------------------------------

SETTING = "1-x-learning-rate"


def test_results_by_rate():
    sgd, adam = (f"setting-1-x-learning-rate-{at}" for at in (0, 1))
    first = only(SETTING, sgd, "sgd-lr0.01")
    assert (first["value"], first["accuracy"], first["error"]) == (0.01, 93, 7)
    assert (first["accuracy_high"], first["error_low"]) == (100, 0.007)
    assert first["error_high"] == pytest.approx(7 + 4.3027 * THIRD_OF_13, abs=1e-3)
    assert first["accuracy_low"] == pytest.approx(93 - 4.3027 * THIRD_OF_13, abs=1e-2)
    assert (first["published_accuracy"], first["published_error"]) == (55, 45)
    second = only(SETTING, adam, "adam-lr0.1")
    assert (second["accuracy"], second["error"], second["published_error"]) == (98.5, 1.5, 1)
    assert "error_low" not in second
    assert "published_error" not in only(SETTING, adam, "adam-lr1")


def test_times_by_rate_are_to_the_highest_target_that_two_rows_reach_under_all_seeds():
    """Both Adam rows reach 97 %; of SGD's first row, one of three seeds does."""
    labels = [*figures()[SETTING].variants]
    assert labels[2:] == ["epochs to 97 %", "seconds to 97 %"]
    sgd, adam = (f"setting-1-x-learning-rate-{at}" for at in (0, 1))
    assert {(row["epochs"], row["seconds"]) for row in figures()[SETTING].data[sgd]} == {(None, None)}
    assert [(row["epochs"], row["seconds"]) for row in figures()[SETTING].data[adam]] == [
        (3, 6),
        (3, 6),
        (None, None),
    ]


def by_rate(rows):
    run = run_of({FIRST: rows}, published={})
    (exercise,) = run.summary.exercises
    (figure,) = setting_figures(exercise, lines_of(run, exercise))
    return figure


def lines_in(figure):
    """Returns the rows that a line joins in each panel of a figure, by the panel's number."""
    found = {}
    for name, rows in figure.data.items():
        if name.endswith(("0", "1")):
            panel = next(
                each for each in figure.variants["final error"]["concat"] if name in json.dumps(each)
            )
            (line,) = [
                layer
                for layer in panel["layer"]
                if layer["mark"].get("type") == "line" and "strokeDash" in layer["encoding"]
            ]
            left_out = [each["filter"] for each in line.get("transform", []) if "filter" in each]
            found[name[-1]] = {row["line"] for row in rows if row["line"] not in str(left_out)}
    return found


@pytest.mark.parametrize(("rates", "joined"), [((0.1, 0.2, 0.4), True), ((0.1, 0.4), False)])
def test_no_line_passes_for_results_that_only_other_rows_have(rates, joined):
    rows = {f"a{rate}": trained(Adam(rate), (0.1, 0.9), seconds=(0, 1)) for rate in (0.1, 0.2, 0.4)}
    rows |= {f"s{rate}": trained(SGD(rate), (0.1, 0.8), seconds=(0, 1)) for rate in rates}
    found = lines_in(by_rate(rows))
    assert [bool(lines) for lines in found.values()] == [True, joined]


def test_a_target_that_some_seeds_miss_is_not_the_one_to_time():
    """Three rows reach 95 % under both seeds, and 97 % under one of them."""
    rows = {
        f"r{rate}": trained(SGD(rate), (0.1, 0.96, 0.97), (0.1, 0.95, 0.96), seconds=(0, 1, 2))
        for rate in (0.1, 0.2, 0.3)
    }
    assert [*by_rate(rows).variants][2:] == ["epochs to 95 %", "seconds to 95 %"]
    # One row alone is no target for all.
    rows["r0.3"] = trained(SGD(0.3), (0.1, 0.97, 0.97), (0.1, 0.97, 0.97), seconds=(0, 1, 2))
    assert [*by_rate(rows).variants][2:] == ["epochs to 95 %", "seconds to 95 %"]


def test_lines_with_panels_of_their_own_do_not_coincide():
    """Two optimizers with the same accuracies at three rates; with a third, they share a panel."""
    rows = {
        f"{name}{rate}": trained(make(rate), (0.1, end), seconds=(0, 1))
        for name, make in (("sgd", SGD), ("adam", Adam))
        for rate, end in ((0.1, 0.5), (0.2, 0.9), (0.3, 0.95))
    }
    assert "coincide" not in by_rate(rows).notes
    third = {
        f"rms{rate}": trained(RMSprop(rate), (0.1, end), seconds=(0, 1))
        for rate, end in ((0.1, 0.4), (0.2, 0.8), (0.3, 0.85))
    }
    assert "Nearly coincide: “SGD” and “Adam” (test errors differ by less than 0.1 % on average)." in (
        by_rate(rows | third).notes
    )


def test_spans_are_around_the_best_rate():
    """SGD ends at 93, 50 and 10 %, Adam at 97, 98.5 and 10 %."""
    data = figures()[SETTING].data
    sgd, adam = (data[f"setting-1-x-learning-rate-{at}-spans"] for at in (0, 1))
    assert [(row["within"], row["span"], row["decades"]) for row in sgd] == [
        ("5 points", "0.01 to 0.01", 0),
        ("1 point", "0.01 to 0.01", 0),
    ]
    assert [(row["within"], row["span"], row["decades"]) for row in adam] == [
        ("5 points", "0.01 to 0.1", 1),
        ("1 point", "0.1 to 0.1", 0),
    ]
    # Drawn wider by a fortieth of the two decades.
    assert adam[0]["low"] == pytest.approx(0.01 * 10**-0.05, rel=1e-4)
    assert adam[0]["high"] == pytest.approx(0.1 * 10**0.05, rel=1e-4)


def test_notes_say_which_group_is_best_at_an_end():
    notes = figures()[SETTING].notes
    assert "Best at the lowest learning rate tried: SGD." in notes
    assert "Best at the highest" not in notes


def test_the_seeds_of_a_row_are_at_its_rate():
    found = rows(SETTING, "setting-1-x-learning-rate-0-seeds", "sgd-lr0.01")
    assert [(row["value"], row["seed"], row["accuracy"], row["error"]) for row in found] == [
        (0.01, 0, 90, 10),
        (0.01, 1, 92, 8),
        (0.01, 2, 97, 3),
    ]


def test_of_many_groups_those_with_the_best_row_are_shown():
    """Fifteen momenta at three rates: one too many. The momentum whose best row is worst is left out."""
    rows = {
        f"m{at}-lr{rate}": trained(
            SGD(rate, momentum=0.05 * (at + 1)), (0.1, end, end), seconds=(0, 1, 2)
        )
        for at in range(15)
        for rate, end in (
            (0.01, 0.9 - 0.01 * at),
            (0.1, 0.94 if at else 0.91),  # of the first momentum, the best is its lowest
            (1, 0.5),
        )
    }
    run = run_of({FIRST: rows}, published={})
    (exercise,) = run.summary.exercises
    (figure,) = [
        each for each in setting_figures(exercise, lines_of(run, exercise)) if each.name == SETTING
    ]
    shown = {row["row"] for name, of in figure.data.items() if "seeds" not in name for row in of}
    assert {row.partition("-")[0] for row in shown} == {f"m{at}" for at in range(1, 15)}
    assert "Showing 14 of 15 such lines" in figure.notes


# An exercise's own figures ----------------------------------------------------------------------------


def test_accuracies_per_class_are_means_over_seeds():
    module = bench_module("class_accuracy_figure")
    accuracies = np.zeros((3, 10, 2))
    accuracies[1, 4], accuracies[2, 9] = (0.2, 0.6), (0.5, 1.0)
    training = trained(
        SGD(0.1),
        (0.1, 0.5),
        (0.1, 0.5),
        seconds=(0, 1),
        observed={
            "stream_class_accuracy": accuracies,
            "stream_examples": np.array([[0, 0], [2741, 2741], [60000, 60000]]),
        },
    )
    other = trained(SGD(0.01), (0.1, 0.5), seconds=(0, 1))
    figure = module.draw_class_accuracy(Results("3-x", {"other": other, "sorted": training}, {}))
    found = figure.data["classes-3-x-0"]
    assert len(found) == 30
    of = {(row["class"], row["seen"]): row["accuracy"] for row in found}
    assert {key: value for key, value in of.items() if value} == {(4, 2.7): 40, (9, 60.0): 75}
    assert figure.notes.endswith(" Means over 2 seeds.")
    assert module.draw_class_accuracy(Results("3-x", {"other": other}, {})) is None


def tooltip(layer):
    """Returns the tooltip of a layer of a panel: each entry's field, title and format."""
    entries = layer["encoding"]["tooltip"]
    return [(each["field"], each.get("title"), each.get("format")) for each in entries]


def test_accuracies_per_class_are_labelled():
    module = bench_module("class_accuracy_figure")
    observed = {
        "stream_class_accuracy": np.zeros((2, 10, 1)), "stream_examples": np.array([[0], [60000]])
    }  # fmt: skip
    by_rate = {
        f"at {rate}": trained(SGD(rate), (0.1, 0.5), seconds=(0, 1), observed=observed)
        for rate in (0.1, 0.01)
    }
    figure = module.draw_class_accuracy(Results("3-x", by_rate, {}))
    panels = figure.variants["all"]["concat"]
    assert [panel["title"] for panel in panels] == ["rate 0.1", "rate 0.01"]
    alone = module.draw_class_accuracy(Results("3-x", {"at 0.1": by_rate["at 0.1"]}, {}))
    assert [panel["title"] for panel in alone.variants["all"]["concat"]] == ["at 0.1"]
    assert not alone.notes.endswith("seeds.")
    for at, panel in enumerate(panels):
        (layer,) = panel["layer"]
        assert layer["data"]["name"] == f"classes-3-x-{at}"
        x, y, colour = (layer["encoding"][channel] for channel in ("x", "y", "color"))
        assert (x["field"], x["title"]) == ("seen", "examples seen in the epoch (thousands)")
        assert (y["field"], y["title"]) == ("class", "class")
        assert (colour["field"], colour["title"]) == ("accuracy", "test accuracy (%)")
        assert tooltip(layer) == [
            ("class", "class", None),
            ("seen", "thousand examples seen", None),
            ("accuracy", "test accuracy (%)", ".1f"),
        ]
    # All panels have one scale, whatever their accuracies, and the first has it.
    (layer,) = panels[0]["layer"]
    assert layer["encoding"]["color"]["scale"]["domain"] == [0, 100]


def test_the_bias_of_gradients_over_two_seeds():
    """The unbiased line starts at the first shuffled error, 6, and falls to a tenth at 100 gradients."""
    module = bench_module("gradient_bias_figure")

    def seed(add):
        return {
            order: {
                "checkpoints": [0, 0.55],
                "counts": [1, 10, 100],
                "relative_error": [[1, 1, 1], [start + add, 3 + add, 2 + add]],
                "cosine": [[0, 0, 0], [0.1, 0.9, 1.0 - add / 10]],
            }
            for order, start in (("by_class", 8), ("shuffled", 5))
        }

    figure = module.draw_gradient_bias(Results("3-x", {}, {"gradient-bias": [seed(0), seed(2)]}))
    assert [*figure.data] == ["bias-3-x-0", "bias-3-x-1"]
    found = figure.data["bias-3-x-1"]
    shuffled = [row for row in found if row["line"] == "shuffled"]
    assert [(row["k"], row["relative_error"]) for row in shuffled] == [(1, 6), (10, 4), (100, 3)]
    assert shuffled[0]["relative_error_high"] == pytest.approx(6 + 12.7062, abs=1e-3)
    assert shuffled[0]["relative_error_low"] == 0
    assert (shuffled[1]["cosine"], "cosine_low" in shuffled[1]) == (0.9, False)
    assert (shuffled[2]["cosine"], shuffled[2]["cosine_high"]) == (0.9, 1)
    by_class = [row["relative_error"] for row in found if row["line"] == "sorted by class"]
    assert by_class == [9, 4, 3]
    unbiased = [(row["k"], row["relative_error"]) for row in found if row["line"] == "unbiased: 1/√k"]
    assert unbiased == [(1, 6), (100, 0.6)]
    assert figure.notes.endswith(" Bands: 95 % intervals over 2 seeds.")


def along(errors, cosines):
    """Returns the bias of the gradients of both orders, at two checkpoints."""
    each = {"checkpoints": [0, 0.55], "counts": [1, 10], "cosine": cosines, "relative_error": errors}
    return {"by_class": each, "shuffled": each}


def bias_figure(*measured):
    module = bench_module("gradient_bias_figure")
    return module.draw_gradient_bias(Results("3-x", {}, {"gradient-bias": [*measured]}))


def test_intervals_of_the_bias_end_where_its_values_do():
    """No distance is below 0 and no cosine outside -1 to 1; a logarithmic axis has no distance of 0."""
    low, high = (along([[5, 0], [5 + add, 1]], [[-0.9 + add, 0], [0.5, 0.5]]) for add in (0.0, 0.1))
    figure = bias_figure(low, high)
    first, last, *_ = figure.data["bias-3-x-0"]
    # Student's t: 12.7062 times half the difference.
    assert (first["cosine"], first["cosine_low"]) == (-0.85, -1)
    assert first["cosine_high"] == pytest.approx(-0.85 + 12.7062 * 0.05, abs=1e-4)
    assert (first["relative_error"], last["relative_error"]) == (5, None)
    # A distance of 1 is none of 0, and is shown.
    assert [row["relative_error"] for row in figure.data["bias-3-x-1"]][:2] == [5.05, 1]


def test_an_unbiased_mean_starts_from_a_distance():
    figure = bias_figure(along([[0, 0], [4, 2]], [[1, 1], [1, 1]]))
    lines = [{row["line"] for row in rows} for rows in figure.data.values()]
    assert lines == [{"sorted by class", "shuffled"}, {"sorted by class", "shuffled", "unbiased: 1/√k"}]


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_bias_of_gradients_is_labelled(seeds):
    measured = [along([[800 + at, 4], [900, 3]], [[-0.3 - at, 0.9], [0.1, 0.9]]) for at in range(seeds)]
    figure = bias_figure(*measured)
    names = ["sorted by class", "shuffled", "unbiased: 1/√k"]
    titles = {
        "relative error": "relative distance from the full gradient",
        "cosine": "cosine to the full gradient",
    }
    assert [*figure.variants] == [*titles]
    for (quantity, spec), key in zip(figure.variants.items(), ("relative_error", "cosine"), strict=True):
        panels = spec["concat"]
        assert [panel["title"] for panel in panels] == ["after 0 epochs", "after 0.55 epochs"]
        # A band where seeds differ: at the first checkpoint, under two seeds.
        assert [len(panel["layer"]) for panel in panels] == [2 if seeds == 1 else 3, 2]
        for at, panel in enumerate(panels):
            *bands, line, rule = panel["layer"]
            for layer in (*bands, line):
                assert layer["data"]["name"] == f"bias-3-x-{at}"
                assert layer["encoding"]["color"]["field"] == "line"
                assert layer["encoding"]["x"]["field"] == "k"
                assert layer["encoding"]["x"]["title"] == "k, gradients averaged"
                assert layer["encoding"]["x"]["axis"]["format"] == "~s"  # 10k
                assert layer["encoding"]["y"]["title"] == titles[quantity]
                assert layer["transform"][0] == {"filter": f"isValid(datum.{key})"}
            for band in bands:
                assert band["encoding"]["y"]["field"] == f"{key}_low"
                assert band["encoding"]["y2"]["field"] == f"{key}_high"
                assert band["transform"][1] == {"filter": f"isValid(datum.{key}_low)"}
            assert line["encoding"]["y"]["field"] == key
            assert line["encoding"]["strokeDash"]["field"] == "line"
            pivot = rule["transform"][-1]
            assert (pivot["pivot"], pivot["groupby"], pivot["value"]) == ("line", ["k"], key)
            assert tooltip(rule) == [("k", None, ","), *((name, name, ".3~g") for name in names)]
            # The first layer has the panel's scales.
            x, y = (panel["layer"][0]["encoding"][channel] for channel in ("x", "y"))
            assert x["scale"]["type"] == "log"
            if quantity == "relative error":
                assert y["scale"]["type"] == "log"
                assert y["axis"]["values"][:3] == [5, 10, 20]
            else:
                # From the lowest cosine, and somewhat below 0 in any case.
                lowest = -0.1 if at == 1 else -0.3 if seeds == 1 else -0.8
                assert y["scale"]["domain"] == [lowest, 1]
        for channel in ("color", "strokeDash"):
            (scale,) = {
                json.dumps(layer["encoding"][channel]["scale"])
                for panel in panels
                for layer in panel["layer"]
                if "scale" in layer["encoding"].get(channel, {})
            }
            looks = json.loads(scale)
            assert looks["domain"] == names
            assert len({str(each) for each in looks["range"]}) == 3  # each line has its own
            # One legend explains both: neither it nor another has a title.
            legends = [
                layer["encoding"][channel]["legend"]
                for layer in panels[0]["layer"]
                if "legend" in layer["encoding"].get(channel, {})
            ]
            assert [legend["title"] for legend in legends] == [None]


# Engines ----------------------------------------------------------------------------------------------


def test_times_per_step_and_shares_of_the_bound():
    like = reports.speed()["rows"][0]

    def row(engine, size, us, bound, **changes):
        share = None if bound is None else bound / us
        return like | {
            "engine": engine,
            "batch_size": size,
            "us_per_step": us,
            "roofline_us_per_step": bound,
            "share_of_roofline": share,
            **changes,
        }

    speed = SpeedFile.model_validate(
        {
            "machine": reports.MACHINE,
            "rows": [
                row("numba", 1, 20.0, 5.0),
                row("eager", 1, 80.0, 5.0),
                row("numba", 100, 400.0, 100.0),
                row("numba", 1, 30.0, 10.0, cores=4, replicates=2),
                row("numba", 1, 50.0, None, optimizer="NAdam"),
            ],
        }
    )
    (figure,) = per_step_figures(speed)
    one, two, unknown = figure.data.values()
    assert [(row["engine"], row["batch"], row["seconds"], row.get("share")) for row in one] == [
        ("numba", 1, 2e-5, 25),
        ("eager", 1, 8e-5, 6.25),
        ("numba", 100, 4e-4, 25),
        ("roofline bound", 1, 5e-6, None),
        ("roofline bound", 100, 1e-4, None),
    ]
    assert [(row["engine"], row["seconds"]) for row in two] == [
        ("numba", 3e-5),
        ("roofline bound", 1e-5),
    ]
    assert [(row["engine"], row["share"]) for row in unknown] == [("numba", None)]
    titles = [panel["title"] for panel in figure.variants["time per step"]["concat"]]
    assert titles == [
        "SGD, 1 replicate on 1 core",
        "SGD, 2 replicates on 4 cores",
        "NAdam, 1 replicate on 1 core",
    ]


def test_the_trainings_are_those_of_the_second_exercise_too():
    assert [row["seconds"] for row in rows("2-y-seconds", "curves-2-y", "large")] == [0, 30, 60]
    found = figures()["2-y-error"].data["curves-2-y-published"]
    assert [(row["row"], row["test_error"]) for row in found] == [("large", 5)]
    assert {*TRAININGS} == {FIRST, SECOND}
