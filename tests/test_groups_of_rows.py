"""Which rows are compared with which: groups, their best rows, their panels, labels and looks."""

import numpy as np
import pytest

from harness.exercise import Published
from harness.report.alike import numeric_settings, representatives
from harness.report.figures.against_setting import setting_figures
from harness.report.figures.setting_groups import groups_of
from harness.report.headline import headline
from harness.report.series import COLOURS, DASHES, HOLLOW, SHAPES, lines_of
from harness.report.settings import is_number
from model.dataset import FASHION_MNIST, MNIST
from model.network import MLP
from model.optimizers import SGD, Adam
from tests.made_up_runs import FIRST, run_of, trained


def row(optimizer, *ends, **how):
    """Returns a training of one epoch of a second that ends at these accuracies, by seed."""
    curves = [(0.1, end) for end in ends or [0.5]]
    return trained(optimizer, *curves, seconds=(0, 1), **how)


def exercise_with(rows, published=None):
    run = run_of({FIRST: rows}, published=published or {})
    (exercise,) = run.summary.exercises
    return exercise, lines_of(run, exercise)


def lines(rows, published=None):
    return exercise_with(rows, published)[1]


def grid(rates=(0.1, 0.2, 0.3), momenta=(0,), sizes=(10,), **how):
    """Returns rows of SGD; a higher rate, then a higher momentum, then a larger batch ends better."""
    return {
        f"r{rate}-m{momentum}-b{size}": row(
            SGD(rate, momentum=momentum),
            0.5 + rate + momentum / 100 + size / 10**5,
            batch_size=size,
            **how,
        )
        for rate in rates
        for momentum in momenta
        for size in sizes
    }


# A few rows for many ----------------------------------------------------------------------------------

GRID = grid(momenta=(0, 0.3, 0.6, 0.9), sizes=(10, 20, 30))


@pytest.mark.parametrize(
    ("most", "shown", "which"),
    [
        (36, [*GRID], None),
        # The setting with the most values is folded first.
        *(
            (
                most,
                [f"r{rate}-m0.9-b{size}" for rate in (0.1, 0.2, 0.3) for size in (10, 20, 30)],
                "the best of each group of rows that differ only in momentum",
            )
            for most in (35, 9)
        ),
        *(
            (
                most,
                [f"r0.3-m0.9-b{size}" for size in (10, 20, 30)],
                "the best of each group of rows that differ only in momentum and learning rate",
            )
            for most in (8, 3)
        ),
        # One row of all would represent nothing.
        (
            2,
            ["r0.3-m0.9-b20", "r0.3-m0.9-b30"],
            "those with the highest final accuracy, one of each group of rows that differ only in "
            "momentum and learning rate",
        ),
    ],
)
def test_rows_that_differ_in_one_setting_are_represented_by_the_best(most, shown, which):
    few = representatives(lines(GRID), most)
    assert [line.name for line in few.lines] == shown
    assert few.note == (f"Showing {len(shown)} of 36 rows: {which}." if which else "")
    assert " and ".join(few.differing) == (which or " in ").rpartition(" in ")[2]


def test_two_rows_represent_the_others():
    few = representatives(lines(grid(sizes=(10, 20))), 5)
    assert [line.name for line in few.lines] == ["r0.3-m0-b10", "r0.3-m0-b20"]


def test_a_setting_with_two_values_in_a_group_is_drawn_and_with_one_is_not():
    rows = grid() | grid(rates=(0.1, 0.2), momenta=(0.5,)) | grid(rates=(0.1,), momenta=(0.9,))
    (alike,) = [each for each in numeric_settings(lines(rows)) if each.setting == "learning rate"]
    assert [len(group) for group in alike.groups] == [3, 2]


# The sentence on the best rows ------------------------------------------------------------------------


def test_the_best_row_of_each_data_set_is_named():
    """Accuracies on two data sets do not compare, even if optimizers differ, too."""
    rows = {
        f"{optimizer}-{dataset}": row(make(0.1), end, dataset=dataset)
        for dataset, ends in ((MNIST, (0.5, 0.9)), (FASHION_MNIST, (0.8, 0.7)))
        for (optimizer, make), end in zip((("sgd", SGD), ("adam", Adam)), ends, strict=True)
    }
    assert headline(lines(rows)) == (
        "Best test accuracy: mnist 0.900 for Adam; fashion-mnist 0.800 for SGD. None of 4 rows learned "
        "(test accuracy 90 % on mnist, 80 % on fashion-mnist)."
    )


@pytest.mark.parametrize(
    ("rows", "published", "says"),
    [
        # At an end of three values or more.
        (grid(), {}, "0.800 at rate 0.3, the highest tried"),
        ({"a": row(SGD(0.1)), "b": row(SGD(0.2), 0.6), "c": row(SGD(0.3))}, {}, "0.600 at rate 0.2"),
        (grid(rates=(0.1, 0.2)), {}, "0.700 at rate 0.2"),
        # Not for several settings, nor for one without numbers.
        ({"a": row(SGD(0.1)), "b": row(Adam(0.2), 0.6)}, {}, "0.600 for Adam, rate 0.2"),
        (
            {"a": row(SGD(0.1)), "b": row(SGD(0.1, momentum=0.5), 0.6), "c": row(Adam(0.1))},
            {},
            "0.600 for SGD with momentum 0.5",
        ),
        # The highest published accuracy.
        (
            {"a": row(SGD(0.1)), "b": row(SGD(0.2), 0.6)},
            {"a": Published(0.7), "b": Published(0.3)},
            "0.600 at rate 0.2 (published: 0.700 at rate 0.1)",
        ),
        (
            {"a": row(SGD(0.1)), "b": row(SGD(0.2), 0.6)},
            {"a": Published(0.7), "b": Published(0.71)},
            "0.600 at rate 0.2 (published: 0.710 in the same row)",
        ),
        # A row without words for its settings has its name.
        ({"one": row(SGD(0.1))}, {}, "0.500 for one"),
        (
            {"a": row(SGD(0.1), init=0.125), "b": row(SGD(0.1), 0.6, init=0.25)},
            {},
            "0.600 for init 0.25",
        ),
        ({"a": row(SGD(0.1), batch_size=5), "b": row(SGD(0.1), 0.6)}, {}, "0.600 at batch 100"),
    ],
)
def test_the_best_row_in_words(rows, published, says):
    assert headline(lines(rows, published)).startswith(f"Best test accuracy: {says}. None of ")


@pytest.mark.parametrize(
    ("size", "says"),
    [(50, "SGD with momentum 0.5, nesterov and weight decay 2, batch 50"), (500, "b")],
)
def test_words_of_more_than_sixty_characters_give_way_to_the_rows_name(size, says):
    best = SGD(0.1, momentum=0.5, weight_decay=2, nesterov=True)
    rows = {"a": row(SGD(0.1)), "b": row(best, 0.6, batch_size=size)}
    assert f" for {says}. " in headline(lines(rows))
    assert lines(rows)[1].label == says


@pytest.mark.parametrize(
    ("outcomes", "says"),
    [(("learned", "partial"), "1 of 2"), (("learned",) * 2, "2 of 2"), (("chance",) * 2, "None of 2")],
)
def test_rows_that_learned_are_counted(outcomes, says):
    rows = {f"r{at}": row(SGD(0.1 + at), outcome=each) for at, each in enumerate(outcomes)}
    assert f" {says} rows learned (90 % test accuracy or more)." in headline(lines(rows))


# Labels and looks -------------------------------------------------------------------------------------


SMALL = {"network": MLP((784, 20, 10), ("tanh",)), "distance_from_initialisation": np.ones((4, 1))}


def looks(rows):
    return [
        (line.label, COLOURS.index(line.colour), line.dash, line.shape in HOLLOW) for line in lines(rows)
    ]


def test_a_setting_with_two_values_is_shown_by_dashes_and_hollow_shapes():
    rows = {f"{make.__name__}{rate}": row(make(rate)) for make in (SGD, Adam) for rate in (0.1, 0.2)}
    assert looks(rows) == [
        ("SGD, rate 0.1", 0, DASHES[0], False),
        ("SGD, rate 0.2", 1, DASHES[0], False),
        ("Adam, rate 0.1", 0, DASHES[1], True),
        ("Adam, rate 0.2", 1, DASHES[1], True),
    ]
    assert [HOLLOW.index(line.shape) for line in lines(rows)[2:]] == [0, 1]


@pytest.mark.parametrize(("rates", "family"), [(7, True), (8, False)])
def test_colours_show_up_to_seven_values(rates, family):
    rows = {f"{make.__name__}{at}": row(make(0.1 + at)) for at in range(rates) for make in (SGD, Adam)}
    found = looks(rows)
    assert len({look[1:] for look in found}) == (14 if family else len({look[1:] for look in found}))
    assert ([dash for _, _, dash, _ in found] == rates * [DASHES[0], DASHES[1]]) == family


def test_rows_without_a_setting_of_two_values_differ_in_colour_and_shape():
    found = lines({f"r{at}": row(SGD(0.1 + at)) for at in range(9)})
    assert [COLOURS.index(line.colour) for line in found] == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert [DASHES.index(line.dash) for line in found] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert [line.shape for line in found] == [*SHAPES, *HOLLOW[:2]]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ({"a": row(SGD(0.1))}, ["a"]),
        ({"a": row(SGD(0.1)), "b": row(SGD(0.1))}, ["a", "b"]),
        ({"a": row(SGD(0.1)), "b": row(SGD(0.2))}, ["rate 0.1", "rate 0.2"]),
        (
            {"a": row(SGD(0.1), order="by_class"), "b": row(SGD(0.1), init=0.5)},
            ["sorted by class, default init", "shuffled, init 0.5"],
        ),
        (
            {"a": row(SGD(0.1)), "b": row(SGD(0.1), **SMALL)},
            ["784-300-100-10 with relu, sigmoid", "784-20-10 with tanh"],
        ),
    ],
)
def test_labels_have_the_settings_in_which_rows_differ(rows, labels):
    assert [line.label for line in lines(rows)] == labels


def test_only_numbers_are_drawn_along_an_axis():
    assert [is_number(each) for each in (1, 0.5, True, None, "a")] == [True, True, False, False, False]


# Panels against a setting -----------------------------------------------------------------------------


def groups(rows, setting="learning rate"):
    """Returns the panel, the label and the rows' number of each group."""
    found = lines(rows)
    (alike,) = [each for each in numeric_settings(found) if each.setting == setting]
    return groups_of(alike, found)


def panels_of(rows):
    found = {}
    for group in groups(rows):
        found.setdefault(group.panel, []).append(group.look.label)
    return found


def momenta(count):
    return (0, *(at / 10 for at in range(1, count)))


def labels(count):
    return ["SGD", *(f"SGD with momentum {each:g}" for each in momenta(count)[1:])]


@pytest.mark.parametrize(
    ("rows", "panels"),
    [
        (grid(), {"all rows": ["all rows"]}),
        (grid(momenta=momenta(2)), {each: [each] for each in labels(2)}),
        (grid(momenta=momenta(3)), {"": labels(3)}),
        (
            grid(momenta=momenta(3), sizes=(10, 20)),
            {"": [f"{each}, batch {size}" for each in labels(3) for size in (10, 20)]},
        ),
        # With more lines than colours, the setting with fewest values divides them, if it has few.
        (
            grid(momenta=momenta(4), sizes=(10, 20)),
            {"batch 10": labels(4), "batch 20": labels(4)},
        ),
        (
            grid(momenta=momenta(5), sizes=(10, 20, 30, 40)),
            {f"batch {size}": labels(5) for size in (10, 20, 30, 40)},
        ),
    ],
)
def test_panels_of_lines(rows, panels):
    assert panels_of(rows) == panels


def test_seven_lines_are_in_one_panel_and_so_are_those_of_many_values():
    rows = grid(momenta=momenta(4), sizes=(10, 20))
    seven = {name: each for name, each in rows.items() if "m0.3-b20" not in name}
    assert [*panels_of(seven)] == [""]
    many = panels_of(grid(momenta=momenta(5), sizes=(10, 20, 30, 40, 50)))
    assert ([*many], len(many[""])) == ([""], 14)


def test_each_data_set_has_a_panel_with_a_target_of_its_own():
    rows = {
        f"{dataset}-{make.__name__}-{rate}": row(make(rate), end, dataset=dataset)
        for dataset, end in ((MNIST, 0.96), (FASHION_MNIST, 0.86))
        for make in (SGD, Adam)
        for rate in (0.1, 0.2, 0.3)
    }
    found = groups(rows)
    assert [(group.panel, group.look.label) for group in found] == [
        ("mnist", "SGD"),
        ("mnist", "Adam"),
        ("fashion-mnist", "SGD"),
        ("fashion-mnist", "Adam"),
    ]
    assert [group.look.colour for group in found[:2]] == [group.look.colour for group in found[2:]]
    assert found[0].look.colour != found[1].look.colour
    exercise, every = exercise_with(rows)
    (figure,) = setting_figures(exercise, every)
    assert [*figure.variants][2:] == ["epochs to target", "seconds to target"]
    titles = [
        panel["layer"][0]["encoding"]["y"]["title"]
        for panel in figure.variants["epochs to target"]["concat"]
    ]
    assert titles == ["epochs to 95 %", "epochs to 85 %"]


def test_panels_of_one_data_set_have_the_same_target():
    """One row in each of two panels reaches 97 %, under all seeds: together, two."""
    rows = {
        name: row(each.experiment.optimizer, 0.97, batch_size=each.experiment.batch_size)
        if name in ("r0.1-m0-b10", "r0.1-m0-b20")
        else each
        for name, each in grid(momenta=momenta(4), sizes=(10, 20)).items()
    }
    exercise, every = exercise_with(rows)
    (figure,) = [each for each in setting_figures(exercise, every) if "rate" in each.name]
    assert [*figure.variants][2:] == ["epochs to 97 %", "seconds to 97 %"]
    assert "Best at the highest learning rate tried: SGD with momentum 0.1 (batch 10); " in figure.notes


def test_two_groups_with_panels_of_their_own_look_different():
    one, other = groups(grid(momenta=momenta(2)))
    assert one.look.colour != other.look.colour
    assert one.look.shape != other.look.shape
    assert [line.name for line in one.lines] == ["r0.1-m0-b10", "r0.2-m0-b10", "r0.3-m0-b10"]


def test_groups_are_sorted_by_the_setting():
    rows = dict(reversed(grid().items()))
    (group,) = groups(rows)
    assert [line.name for line in group.lines] == ["r0.1-m0-b10", "r0.2-m0-b10", "r0.3-m0-b10"]


def test_settings_that_are_written_alike_have_the_names_of_rows():
    found = groups(grid(momenta=(0, 0.5, 0.5 + 1e-12)))
    assert [group.look.label for group in found] == [
        "r0.1-m0-b10",
        "r0.1-m0.5-b10",
        f"r0.1-m{0.5 + 1e-12}-b10",
    ]


def test_a_label_is_kept_for_its_best_panel():
    """Of fifteen momenta, the first is the worst on one data set and the best on the other."""
    rows = {
        f"{dataset}-{at}-{rate}": row(
            SGD(rate, momentum=at / 20),
            0.5 + at / 100 if at or dataset == MNIST else 0.9,
            dataset=dataset,
        )
        for dataset in (MNIST, FASHION_MNIST)
        for at in range(15)
        for rate in (0.1, 0.2, 0.3)
    }
    shown = {group.look.label for group in groups(rows)}
    assert len(shown) == 14
    assert "SGD" in shown
    assert "SGD with momentum 0.05" not in shown


# Best at an end, and spans ----------------------------------------------------------------------------


def figure_of(ends, outcome="partial"):
    """Returns the figure of SGD at as many rates as there are ends."""
    rows = {
        f"r{at}": row(SGD(0.01 * 10**at), *(end if isinstance(end, tuple) else (end,)), outcome=outcome)
        for at, end in enumerate(ends)
    }
    exercise, every = exercise_with(rows)
    (figure,) = setting_figures(exercise, every)
    return figure


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((0.5, 0.6, 0.7), "highest"),
        ((0.7, 0.6, 0.5), "lowest"),
        ((0.5, 0.7, 0.6), None),
        ((0.7, 0.7, 0.6), None),  # as good at the next
        ((0.7, 0.6, 0.7), None),
    ],
)
def test_best_at_an_end(ends, says):
    notes = figure_of(ends).notes
    assert [which for which in ("lowest", "highest") if f"Best at the {which} learning" in notes] == (
        [says] if says else []
    )


@pytest.mark.parametrize(("outcome", "count"), [("learned", 2), ("partial", 2), ("chance", 0)])
def test_spans_are_around_what_learned(outcome, count):
    data = figure_of((0.85, 0.9, 0.895), outcome).data
    found = data["setting-1-x-learning-rate-0-spans"]
    assert len(found) == count
    assert [(each["span"], each["decades"]) for each in found] == [
        ("0.01 to 1", 2),
        ("0.1 to 1", 1),
    ][:count]


def test_an_interval_of_errors_ends_above_0():
    """Errors of 0 and 20 %: 10 on average, with half a width of 127 points."""
    data = figure_of((0.5, (1.0, 0.8), 0.6)).data
    (point,) = [each for each in data["setting-1-x-learning-rate-0"] if each["row"] == "r1"]
    assert (point["error"], point["error_low"], point["error_high"]) == (10, 0.01, 100)
    assert (point["accuracy"], point["accuracy_low"], point["accuracy_high"]) == (90, 0, 100)
    assert [each["seed"] for each in data["setting-1-x-learning-rate-0-seeds"]] == [0, 1]
    assert "Bars: 95 % intervals over 1 to 2 seeds." in figure_of((0.5, (1.0, 0.8), 0.6)).notes
