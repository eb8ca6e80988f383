"""What the page, the index and the captions say of a made-up run, in memory; figures are stand-ins."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.exercise import Published
from harness.files.record import AddedSeeds, Block
from harness.files.speeds import SpeedFile
from harness.report import tables, terminal
from harness.report.claim_list import MEANINGS, figure_of, first_figure, in_reading_order
from harness.report.differences import is_uneven
from harness.report.figure_names import check_shown_in
from harness.report.figures import Figure
from harness.report.legend import legend_of, shown_lines
from harness.report.next_steps import next_steps
from harness.report.nodes import counts_of_nodes, rows_of_nodes
from harness.report.page import _ends, _moment, _signed, render_page
from harness.report.page_exercise import exercise_on_page
from harness.report.site import _in_words
from harness.report.verdict_table import format_verdicts
from harness.verdicts import (
    DOES_NOT_HOLD,
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
)
from model.dataset import FASHION_MNIST
from model.experiment import Experiment
from tests import reports
from tests.made_up_runs import (
    CASES,
    FIRST,
    ONE,
    RUN,
    SECOND,
    SGD,
    TRAININGS,
    TWO,
    Adam,
    claim,
    run_of,
    trained,
)


def row(optimizer, *ends, **how):
    """Returns a training of one epoch of a second that ends at these accuracies, by seed."""
    return trained(optimizer, *[(0.1, end) for end in ends or [0.5]], seconds=(0, 1), **how)


def figure(name):
    return Figure(title=name, notes="", variants={"": {"layer": []}}, data={}, name=name)


def shown_in(name, verdict=REPRODUCED, where="learning-rate"):
    return claim(FIRST, name, verdict).model_copy(update={"shown_in": where})


# Claims and their figures -----------------------------------------------------------------------------


def test_the_figure_of_a_claim_is_that_which_it_names():
    figures = [figure("1-x-error"), figure("1-x-learning-rate"), figure("1-x-")]
    assert figure_of(shown_in("a"), ONE, figures) is figures[1]
    assert figure_of(shown_in("a", where="loss"), ONE, figures) is None
    assert figure_of(shown_in("a", where=""), ONE, figures) is None


def test_the_first_figure_is_that_of_the_first_claim_with_one():
    figures = [figure("1-x-error"), figure("1-x-loss"), figure("1-x-learning-rate")]
    claims = [shown_in("a", where=""), shown_in("b"), shown_in("c", where="loss")]
    assert first_figure(claims, ONE, figures) is figures[2]
    assert first_figure(claims[:1], ONE, figures) is figures[0]
    assert first_figure(claims, ONE, []) is None
    # In the order in which they are declared; those that did not come back are listed first.
    run = run_of(TRAININGS, [claims[1], shown_in("d", NOT_REPRODUCED, "loss")])
    found = exercise_on_page(run, run.summary.exercises[0], figures)
    assert [each["figure"] for each in found["claims"]] == [figures[1], figures[2]]
    assert found["first_figure"] is figures[2]
    assert found["other_figures"] == figures[:2]


def test_every_verdict_has_a_place_and_a_meaning():
    verdicts = [NOT_REPRODUCED, DOES_NOT_HOLD, INCONCLUSIVE, NOT_TESTABLE, REPRODUCED, HOLDS]
    claims = [SimpleNamespace(verdict=each) for each in reversed(verdicts)]
    assert [each.verdict for each in in_reading_order(claims)] == verdicts
    assert {*MEANINGS} == {*verdicts}


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ("", True),
        ("error", True),
        ("time-to-accuracy", True),
        ("learning-rate", True),
        ("beta-1", True),
        ("momentum", False),  # no row has one
        ("optimizer", False),  # not a number
        ("own", True),
        ("rate", False),
    ],
)
def test_a_claim_is_shown_in_a_figure_that_its_exercise_can_have(where, accepted):
    rows = [SimpleNamespace(experiment=Experiment(optimizer=Adam(0.1), batch_size=10, epochs=1))]
    exercise = SimpleNamespace(rows=rows, figures={"own": None})
    declared = SimpleNamespace(shown_in=where)
    if accepted:
        check_shown_in("test_a", declared, exercise)
    else:
        message = f"^test_a: shown_in is '{where}'; expected one of error, seconds, loss, .*, own$"
        with pytest.raises(ValueError, match=message):
            check_shown_in("test_a", declared, exercise)


def test_an_epoch_of_twice_the_median_marks_a_time():
    slowest = [None, 1.999, 2.0]
    assert [is_uneven(SimpleNamespace(slowest_epoch=each)) for each in slowest] == [False, False, True]


# A figure's legend ------------------------------------------------------------------------------------


def with_lines(*layers, shown=("a", "b")):
    parameter = {"name": "shown", "value": [{"line": each} for each in shown]}
    panel = {"layer": [{"params": [parameter]}, *layers]}
    return Figure(title="", notes="", variants={"x": {"concat": [panel]}, "y": {}}, data={})


def test_a_legend_has_the_colour_and_dash_of_every_line():
    scales = {
        channel: {"field": "line", "scale": {"domain": ["a", "b"], "range": values}}
        for channel, values in (("color", ["red", "blue"]), ("strokeDash", [[1, 0], [6, 3]]))
    }
    assert legend_of(with_lines({"encoding": scales})) == [
        ("a", "red", "1 0"),
        ("b", "blue", "6 3"),
    ]
    # Scales of other fields, and channels without a scale, say nothing about lines.
    others = {"color": {**scales["color"], "field": "target"}, "strokeDash": {"value": 1}}
    assert legend_of(with_lines({"encoding": others})) == [
        ("a", "currentColor", ""),
        ("b", "currentColor", ""),
    ]
    # A layer of a few lines may be dashed as a whole; a scale counts more.
    chosen = [{"filter": "datum.x > 0"}, {"filter": {"field": "line", "oneOf": ["b"]}}]
    dashed = {"mark": {"strokeDash": [2, 2]}, "transform": chosen}
    assert [each.dash for each in legend_of(with_lines(dashed))] == ["", "2 2"]
    both = with_lines(dashed, {"encoding": scales})
    assert [each.dash for each in legend_of(both)] == ["1 0", "6 3"]
    elsewhere = [{"filter": {"field": "row", "oneOf": ["b"]}}]
    assert [e.dash for e in legend_of(with_lines({**dashed, "transform": elsewhere}))] == ["", ""]


def test_lines_that_can_be_hidden():
    assert shown_lines(with_lines()) == ["a", "b"]
    assert shown_lines(with_lines(shown=())) == []
    # An own figure's file may hold anything there.
    parameter = {"name": "shown", "value": [{"row": "a"}, "line", {"line": "b"}]}
    own = Figure(title="", notes="", variants={"": {"params": [parameter]}}, data={})
    assert shown_lines(own) == ["b"]
    other = {"params": [{"name": "other", "value": [{"line": "a"}]}, {"name": "shown"}]}
    assert shown_lines(Figure(title="", notes="", variants={"": {"layer": [other]}}, data={})) == []


# An exercise on the page ------------------------------------------------------------------------------


def on_page(rows, published=None, **changes):
    run = run_of({FIRST: rows}, published=published or {})
    (exercise,) = run.summary.exercises
    return exercise_on_page(run, exercise.model_copy(update=changes), [])


def test_columns_that_no_row_needs_are_left_out():
    found = on_page({"one": row(SGD(0.1))})
    columns = ("published", "several_seeds", "published_seconds", "reasons", "named")
    assert [found[each] for each in columns] == [False] * 5
    more = on_page(
        {"one": row(SGD(0.1), 0.5, 0.6), "two": row(SGD(0.2))}, {"two": Published(0.9, 5, "Why.")}
    )
    assert [more[each] for each in columns] == [True] * 5


def test_rows_with_unlike_targets_learn_at_their_own():
    other = {"b": row(SGD(0.2), 0.9, dataset=FASHION_MNIST)}
    assert on_page({"a": row(SGD(0.1))})["target"] == "90 %"
    assert on_page({"a": row(SGD(0.1)), **other})["target"] == "learn"
    assert on_page(other)["target"] == "80 %"
    # A file of a run may lack them.
    run = run_of({FIRST: {"a": row(SGD(0.1))}}, published={})
    without = {
        name: each.model_copy(update={"time_to_accuracy": {}}) for name, each in run.cases.items()
    }
    found = exercise_on_page(replace(run, cases=without), run.summary.exercises[0], [])
    assert (found["target"], [each["epochs"] for each in found["rows"]]) == ("learn", ["–"])


def test_a_resumed_row_and_the_story_of_an_exercise():
    run = run_of({FIRST: {"a": row(SGD(0.1)), "b": row(SGD(0.2))}}, published={})
    (exercise,) = run.summary.exercises
    assert tables.RESUMED_NOTE not in exercise_on_page(run, exercise, [])["notes"]
    cases = {
        name: case.model_copy(update={"resumed": name.endswith("[b]")})
        for name, case in run.cases.items()
    }
    told = exercise.model_copy(update={"story": "At 0.5 it ends. Then more. And more."})
    found = exercise_on_page(replace(run, cases=cases), told, [])
    assert tables.RESUMED_NOTE in found["notes"]
    assert [each["accuracy"] for each in found["rows"]] == ["0.5000", "0.5000"]
    assert (found["story"], found["in_short"]) == (told.story, "At 0.5 it ends.")


def test_the_nodes_that_trained_the_rows_are_named():
    run = run_of({FIRST: {"a": row(SGD(0.1)), "b": row(SGD(0.2))}}, published={})
    (exercise,) = run.summary.exercises
    cases = {
        name: case.model_copy(update={"blocks": [Block(**block(f"node-{name[-2]}", 0))]})
        for name, case in run.cases.items()
    }
    line = "Trained on node-a: a; on node-b: b."
    assert line in exercise_on_page(replace(run, cases=cases), exercise, [])["notes"]


def test_an_engine_is_named_if_all_rows_have_the_same():
    assert on_page({"a": row(SGD(0.1)), "b": row(SGD(0.2))})["engine"] == "numba on cpu"
    assert on_page({"a": row(SGD(0.1)), "b": row(SGD(0.2), engine="eager")})["engine"] == ""


# The whole page ---------------------------------------------------------------------------------------


def page_of(run, **how):
    """Returns the text of a page without figures, and the page."""
    page = render_page(
        run, {each.module: [] for each in run.summary.exercises}, [], how.pop("compared", []), {}, ""
    )
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", page)
    return " ".join(re.sub(r"<[^<>]*>", " ", body).split()), page


def test_a_page_says_how_its_run_was_made():
    """Rows took 12, 4, 8, 8, 7, 4, 20 and 60 s with three seeds, two engines and 2 to 4 epochs."""
    text, _ = page_of(RUN)
    made = text.partition("How this run was made pytest bench/ created 2026")[2].partition("Glossary")[0]
    assert "seeds 3: number 0, 1, 2 epochs 2 to 4 " in made
    assert "engine eager on cpu, numba on cpu training 2 min in total timing exclusive" in made
    assert "8 rows, trained" in text
    assert (
        "Quick scale, 2 to 4 epochs, 3 seeds each, on a machine (2 cores), 2026-01-02 03:04 UTC" in text
    )


def test_the_training_time_of_a_page_includes_seeds_that_were_added():
    added = [AddedSeeds(seeds=[1], seconds=300.0)]
    run = run_of({FIRST: {"a": row(SGD(0.1), 0.5, 0.6)}}, published={})
    (case,) = run.summary.cases
    changed = case.model_copy(update={"added": added})
    text, _ = page_of(replace(run, cases={case.id: changed}))
    assert "training 5 min in total" in text


def test_a_page_counts_verdicts_and_claims_that_were_not_decided():
    claims = [claim(FIRST, "a", REPRODUCED), claim(FIRST, "b", NOT_REPRODUCED)]
    claims += [claim(SECOND, "c", INCONCLUSIVE)]
    run = run_of(TRAININGS, claims)
    assert "1 of 3 claims holds, 1 does not, 1 stays open" in page_of(run)[0]
    assert "not decided in this run" not in page_of(run)[0]
    more = [
        each.model_copy(update={"claims": [*each.claims, f"{each.module}::test_x"]})
        for each in run.summary.exercises
    ]
    changed = replace(run, summary=run.summary.model_copy(update={"exercises": more}))
    assert "Claims not decided in this run: 2." in page_of(changed)[0]


@pytest.mark.parametrize("count", [9, 10, 11])
def test_a_page_lists_the_ten_largest_differences(count):
    rows = {f"r{at}": row(SGD(0.1 + at), 0.5) for at in range(count)}
    run = run_of({FIRST: rows}, published={f"r{at}": Published(0.5 + at / 50) for at in range(count)})
    text, page = page_of(run)
    listed = page.partition('id="differences"')[2].partition("</ol>")[0]
    points = re.findall(r", (\S+) points", listed)
    assert points == [f"{-2.0 * at + 0.0:+.1f}".replace("-", "−") for at in reversed(range(count))][:10]
    assert ("The 10 largest of all 11 published accuracies" in text) == (count == 11)


@pytest.mark.parametrize(("numbers", "ends"), [([], []), ([3], [3]), ([3, 3], [3]), ([5, 2, 4], [2, 5])])
def test_the_lowest_and_the_highest_number(numbers, ends):
    assert _ends(numbers) == ends


def test_moments_and_signed_numbers():
    assert _moment("2026-01-02T03:04:05+02:00") == "2026-01-02 01:04 UTC"
    assert _moment("yesterday") == "yesterday"
    assert [_signed(each) for each in (-1.234, 0.0, 2.0)] == ["−1.23", "+0.00", "+2.00"]


# Captions, and what is said of rows -------------------------------------------------------------------


def summary_with(**changes):
    return RUN.summary.model_copy(update=changes)


def lines_of_caption(summary):
    return tables.format_caption(summary).splitlines()


def test_the_lines_of_a_caption():
    assert lines_of_caption(RUN.summary) == [
        "Scale quick, mnist, on a machine (2 cores, torch 2.13.0, Python 3.11.7).",
        "Accuracies are final test accuracies, means over 3 seeds with 95 % intervals.",
        "Times are of training alone, for all seeds together, each on its own cores or GPU. Preparing "
        "the engines (compiling, building networks) took another 4 s in total.",
        "–: not published, or not reached.",
    ]
    alone = [case for case in RUN.summary.cases if len(case.seeds) == 1]
    found = lines_of_caption(summary_with(cases=alone, timing="shared"))
    assert found[1].endswith(", from one seed; so are all comparisons.")
    assert found[2].startswith("Times are of training alone, SHARED with other processes.")
    two = lines_of_caption(summary_with(cases=[CASES["adam-lr0.01"]]))
    assert two[1].endswith(", means over 2 seeds with 95 % intervals.")
    assert "for all seeds together" in two[2]
    resumed = [alone[0].model_copy(update={"resumed": True})]
    assert lines_of_caption(summary_with(cases=resumed))[3].endswith(tables.RESUMED_NOTE)
    assert lines_of_caption(summary_with(cases=[]))[1].endswith("one seed; so are all comparisons.")


def test_a_caption_with_added_seeds_says_which_are_timed():
    added = [AddedSeeds(seeds=[1, 2], seconds=1.0)]
    cases = [CASES["sgd-lr0.01"].model_copy(update={"added": added}), CASES["sgd-lr0.1"]]
    _, means, looks, times, *_ = lines_of_caption(summary_with(cases=cases, seeds_until_decided=3))
    assert means == (
        "Accuracies are final test accuracies, means with 95 % intervals: one seed each, and up to 3 "
        "for 1 row on which claims were open."
    )
    # Three looks of 5/3 % each.
    assert looks == (
        "Each claim is decided with the first of 1, 2 and 3 seeds that suffice, by 98.33 % intervals, "
        "so that all looks together have 95 % confidence (Bonferroni)."
    )
    assert times.startswith("Times are of training alone, for the first seed, each on its own")


def test_a_shard_and_engines_that_were_left_out():
    left_out = {"numba": "it has no optimizer Mine"}
    cases = [case.model_copy(update={"engines_left_out": left_out}) for case in RUN.summary.cases[:2]]
    shard, engine = lines_of_caption(summary_with(cases=cases, shard="2/3"))[-2:]
    assert shard.startswith("Shard 2 of 3: 2 rows. The other rows, and claims on them, are in the other")
    kind = cases[0].experiment.kind
    assert engine == f"Engine numba was left out for {kind}: it has no optimizer Mine."


@pytest.mark.parametrize("count", [1, 12, 13])
def test_twelve_rows_on_another_data_set_are_named(count):
    rows = {f"r{at}": row(SGD(0.1 + at), dataset=FASHION_MNIST) for at in range(count)}
    run = run_of({FIRST: {"mine": row(SGD(0.1)), **rows}}, published={})
    named = (
        [f"{each} on fashion-mnist" for each in rows] if count <= 12 else ["13 rows on fashion-mnist"]
    )
    assert tables.other_data(run.summary.cases, "mnist") == [f"Not on mnist: {', '.join(named)}."]
    assert tables.other_data(run.summary.cases[:1], "mnist") == []


def test_claims_have_a_table_and_those_not_decided_a_count():
    run = run_of(TRAININGS, [claim(FIRST, "a", REPRODUCED)])
    *exercises, found = tables.format_tables(run.summary)
    assert len(exercises) == 2
    assert "| It is a. | Table 1 | reproduced | So." in re.sub(" +", " ", found)
    assert "Not decided" not in found
    more = [ONE.model_copy(update={"claims": ["x::test_y", "x::test_z"]}), TWO]
    some = tables.format_tables(summary_with(exercises=more, claims=run.summary.claims))[-1]
    assert some.endswith("Not decided in this run: 1 of 2.")
    none = tables.format_tables(summary_with(exercises=more, claims=[]))[-1]
    assert none.endswith("Not decided in this run: 2 of 2.")
    assert "|" not in none
    assert len(tables.format_tables(RUN.summary)) == 2


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (("sgd-lr1", "adam-lr1"), ["name", "seconds"]),
        (("sgd-lr1", "adam-lr0.01"), ["name", "paper", "seconds"]),
        (("sgd-lr0.01", "sgd-lr1"), ["name", "paper", "seconds", "paper (s)"]),
    ],
)
def test_columns_of_published_figures_need_one(rows, columns):
    headers = {"name": "name", "published": "paper", "seconds": "seconds"}
    headers["published_seconds"] = "paper (s)"
    found = tables.rows_table([CASES[each] for each in rows], headers).splitlines()
    head, *_, last = ([cell[1:-1] for cell in line.strip("|").split("|")] for line in found)
    assert [cell.strip() for cell in head] == columns
    # Names are on the left, numbers on the right.
    assert not last[0].startswith(" ")
    assert not any(cell.endswith(" ") for cell in last[1:])


@pytest.mark.parametrize(
    ("full", "source"),
    [(None, "Table 1"), (4, "Table 1"), (8, "Table 1, after 8 epochs"), (1, "Table 1, after 1 epoch")],
)
def test_a_source_with_other_epochs_says_so(full, source):
    assert tables.source_of(ONE.model_copy(update={"full_epochs": full})) == source


def test_texts_in_other_encodings():
    assert tables.encodable("± – † …", "utf-8") == "± – † …"
    assert tables.encodable("1 ± 2 – † … µ", "ascii") == "1 +- 2 - + ~ u"
    assert tables.encodable("± ×", "latin-1") == "± ×"
    assert tables.encodable("✓ –", "ascii") == "? -"


def test_what_rounds_to_a_hundred_seconds_has_no_point():
    assert [tables.format_seconds(each) for each in (99.94, 99.95)] == ["99.9", "100"]


def test_a_row_that_reaches_the_lowest_target_is_in_the_table_of_times():
    rows = {"low": row(SGD(0.1), 0.9), "high": row(SGD(0.2), 0.97), "never": row(SGD(0.3), 0.8)}
    rows["other"] = row(SGD(0.4), dataset=FASHION_MNIST)
    mnist = {name: each for name, each in rows.items() if name != "other"}
    summary = run_of({FIRST: mnist}, published={}).summary
    _, _, times, never, *_ = tables.exercise_parts(summary.exercises[0], summary)
    assert [line.split()[1] for line in times.splitlines()[2:]] == ["low", "high"]
    assert never == "Never reached 90%: never."
    summary = run_of({FIRST: rows}, published={}).summary
    parts = tables.exercise_parts(summary.exercises[0], summary)
    assert "Not on mnist: other on fashion-mnist." in parts


# At the end of a session ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "longest", "short"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcde…hijk"),
        ("abcdefghijk", 9, "abcd…hijk"),
    ],
)
def test_a_long_name_loses_its_middle(name, longest, short):
    assert terminal._shortened(name, longest) == short


def header_of(summary, rows=None):
    first, second = terminal._table(rows or summary.cases, summary).splitlines()[:2]
    return first.split(), second.split()


def test_the_columns_of_a_terminal():
    summary = run_of({FIRST: TRAININGS[FIRST]}).summary
    assert header_of(summary) == (
        ["row", "test", "paper", "time", "paper", "epochs", "outcome"],
        ["accuracy", "(s)", "(s)", "to", "90%"],
    )
    # Columns without a figure are left out.
    plain = run_of({FIRST: {"a": row(SGD(0.1))}}, published={}).summary
    assert header_of(plain)[0] == ["row", "test", "time", "outcome"]
    reached = run_of({FIRST: {"a": row(SGD(0.1), 0.9)}}, published={}).summary
    lines = terminal._table(reached.cases, reached).splitlines()
    assert lines[0].split() == ["row", "test", "time", "epochs", "outcome"]
    assert lines[-1].split() == ["a", "0.9000", "1", "1", "partial"]


def test_columns_go_before_names_are_shortened():
    """The published times go first, then the epochs to the target, then the outcome and accuracies."""
    cases = run_of({FIRST: TRAININGS[FIRST]}).summary.cases
    headers = set()
    for length in range(1, 90):
        named = [
            each.model_copy(update={"id": f"{FIRST}::test_training[{'x' * length}{at}]"})
            for at, each in enumerate(cases)
        ]
        text = terminal._table(named, RUN.summary)
        assert max(map(len, text.splitlines())) <= 80
        headers.add(tuple(text.splitlines()[0].split()))
        assert ("…" in text) <= (text.splitlines()[0].split() == ["row", "test", "time"])
    assert headers == {
        ("row", "test", "paper", "time", "paper", "epochs", "outcome"),
        ("row", "test", "paper", "time", "epochs", "outcome"),
        ("row", "test", "paper", "time", "outcome"),
        ("row", "test", "time", "outcome"),
        ("row", "test", "time"),
    }


def test_rows_that_did_not_run_in_a_terminal():
    ids = [f"{FIRST}::test_training[gone{at}]" for at in range(21)]
    none = ONE.model_copy(update={"cases": ids})
    assert terminal.format_exercise(none, RUN.summary).endswith("Did not run: all rows.")
    some = ONE.model_copy(update={"cases": [*ONE.cases, *ids]})
    found = " ".join(terminal.format_exercise(some, RUN.summary).split())
    assert found.endswith("gone18, gone19 and 1 more.")
    assert found.startswith("Exercise 1 (4 epochs; paper: Table 1, after 8 epochs) row")
    plain = ONE.model_copy(update={"source": ""})
    assert terminal.format_exercise(plain, RUN.summary).startswith("Exercise 1 (4 epochs)\n")


def test_six_rows_with_an_epoch_out_of_line_are_named():
    summary = run_of(
        {
            FIRST: {
                f"r{at}": trained(SGD(0.1 + at), (0.1, 0.2, 0.3, 0.4), seconds=(0, 1, 2, 4))
                for at in range(7)
            }
        },
        published={},
    ).summary
    note = "† An epoch took twice the median or more: r0, r1, r2, r3, r4, r5"
    assert f"{note} and 1 more." in " ".join(terminal.format_ending(summary).split())
    six = summary.model_copy(update={"cases": summary.cases[:6]})
    assert f"{note}." in " ".join(terminal.format_ending(six).split())
    (exercise,) = summary.exercises
    assert terminal.format_exercise(exercise, summary).count("†4") == 7


def test_evidence_is_grouped_by_verdict():
    claims = [
        claim(FIRST, "a", INCONCLUSIVE),
        claim(FIRST, "b", NOT_REPRODUCED),
        claim(FIRST, "c", REPRODUCED),
        claim(FIRST, "d", NOT_REPRODUCED),
    ]
    found = [line for line in terminal.format_claims(claims).splitlines() if "It is" in line]
    assert found == [
        "not reproduced: It is b.",
        "not reproduced: It is d.",
        "inconclusive: It is a.",
    ]


def test_without_claims_or_published_figures_an_ending_has_the_caption_alone():
    summary = run_of({FIRST: {"a": row(SGD(0.1))}}, published={}).summary
    assert terminal.format_ending(summary).startswith("Engine: numba on cpu.\nScale quick")


def test_numbers_are_on_the_right_of_a_terminals_columns():
    summary = run_of({FIRST: TRAININGS[FIRST]}).summary
    _, _, rule, *body = terminal._table(summary.cases, summary).splitlines()
    spans = [found.span() for found in re.finditer("-+", rule)]
    columns = [[line[begin:end].ljust(end - begin) for line in body] for begin, end in spans]
    right = [all(not cell.endswith(" ") for cell in cells) for cells in columns]
    left = [all(not cell.startswith(" ") for cell in cells) for cells in columns]
    assert right[1:-1] == [True] * 5
    assert (left[0], left[-1], right[0], right[-1]) == (True, True, False, False)


def test_notes_on_engines_and_data_sets_are_under_a_terminals_table():
    rows = {"a": row(SGD(0.1)), "b": row(SGD(0.2), engine="eager", dataset=FASHION_MNIST)}
    summary = run_of({FIRST: rows}, published={}).summary
    _, _, engines, other = terminal.format_exercise(summary.exercises[0], summary).split("\n\n")
    assert " ".join(engines.split()) == (
        "Times are not comparable: b used eager on cpu; all other rows used numba on cpu."
    )
    assert other == "Not on mnist: b on fashion-mnist."


@pytest.mark.parametrize(
    ("epochs", "span"), [([4], "4"), ([4, 4], "4"), ([2, 4], "2 to 4"), ([4, 2, 3], "2 to 4")]
)
def test_epochs_of_the_largest_differences(epochs, span):
    exercises = [ONE.model_copy(update={"epochs": each, "full_epochs": 8}) for each in epochs]
    ending = terminal.format_ending(summary_with(exercises=exercises))
    assert f"Largest differences from the paper, after {span} of 8 epochs:" in ending
    done = [ONE.model_copy(update={"full_epochs": each}) for each in (4, None)]
    ending = terminal.format_ending(summary_with(exercises=done))
    assert "Largest differences from the paper:" in ending


def test_long_evidence_is_indented():
    long = claim(FIRST, "a " + "x" * 60 + " b", NOT_REPRODUCED, "So " + "y" * 70 + " it is.")
    lines = terminal.format_claims([long]).splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines]
    assert indents == [0, 2, 4, 4]
    assert "Not decided" not in terminal.format_ending(run_of(TRAININGS, [long]).summary)


# Other tables -----------------------------------------------------------------------------------------


def block(node, *seeds, lost=()):
    return {
        "seeds": [*seeds],
        "node": node,
        "device_name": "a machine",
        "seconds": 1.0,
        "begun_seconds": 0.0,
        "busy_seconds": 1.0,
        "lost": [*lost],
    }


def on_nodes(name, *blocks):
    case = CASES["sgd-lr0.1"].model_dump()
    seeds = [seed for each in blocks for seed in each["seeds"]]
    content = case | {"id": f"x::t[{name}]", "blocks": [*blocks], "seeds": seeds}
    content |= {key: case[key] * len(seeds) for key in ("test_accuracy", "train_accuracy", "outcomes")}
    return SimpleNamespace(
        id=content["id"], seeds=seeds, blocks=[SimpleNamespace(**each) for each in blocks]
    )


@pytest.mark.parametrize("count", [10, 11])
def test_ten_nodes_and_twenty_rows_are_named(count):
    cases = [on_nodes(f"r{at}", block(f"n{at:02}", 0)) for at in range(count)]
    more = " and 1 more" * (count == 11)
    last = min(count, 10) - 1
    assert counts_of_nodes(cases)[0].endswith(f", 1 row on n{last:02}{more}.")
    assert rows_of_nodes(cases)[0].endswith(f"; on n{last:02}: r{last}{more}.")
    lost = [on_nodes(f"r{at}", block("a", 0, lost=["b", "c", "b"])) for at in range(count + 10)]
    assert counts_of_nodes(lost)[1].endswith(f", r19 (b, c){more}; the lost attempts count in no time.")


def test_a_run_in_the_index_of_a_site():
    claims = [claim(FIRST, "a", REPRODUCED), claim(FIRST, "b", INCONCLUSIVE)]
    assert _in_words(run_of(TRAININGS, claims).summary) == (
        "scale quick, 3 seeds each, on a machine, 2026-01-02, 1 reproduced, 1 inconclusive"
    )
    assert _in_words(RUN.summary) == "scale quick, 3 seeds each, on a machine, 2026-01-02"


def test_verdicts_are_in_the_order_of_the_exercises_and_of_the_first_run():
    """A claim that the first run lacks has its text from another; those of both have the first's."""
    rows = {FIRST: {"a": row(SGD(0.1))}}
    here = [claim(FIRST, "b", REPRODUCED), claim(FIRST, "a", HOLDS)]
    there = [
        claim(FIRST, "c", INCONCLUSIVE),
        claim(FIRST, "a", REPRODUCED).model_copy(update={"text": "Other."}),
    ]
    text = format_verdicts([run_of(rows, here), run_of(rows, there, dataset="kmnist")])
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| It")
    ]
    assert lines == [
        ["It is b.", "reproduced", "–"],
        ["It is a.", "holds", "reproduced"],
        ["It is c.", "–", "inconclusive"],
    ]


# Forecasts --------------------------------------------------------------------------------------------


def speeds(*rows):
    like = reports.speed()["rows"][0]
    return SpeedFile.model_validate(
        {"machine": reports.MACHINE, "rows": [like | {"optimizer": "SGD", **each} for each in rows]}
    )


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({}, "about 2 min"),  # 3 s of numba are 120 s of eager, and 3 s of eager stay
        ({"engine": "cuda-graph"}, "more than 6 s"),
        ({"optimizer": "Adam"}, "more than 6 s"),
        ({"batch_size": 10}, "more than 6 s"),
        ({"replicates": 1}, "more than 6 s"),
        ({"device": "cuda"}, "more than 6 s"),
    ],
)
def test_eagers_time_is_that_of_the_same_step_on_the_same_device(changes, about):
    rows = {
        name: trained(SGD(0.1), (0.1, 0.5), (0.1, 0.5), seconds=(0, 3.0), engine=name)
        for name in ("numba", "eager")
    }
    claims = [claim(FIRST, "a", INCONCLUSIVE, "Times are not comparable: b used another.")]
    summary = run_of({FIRST: rows}, claims, full={FIRST: 1}, scale="paper").summary
    measured = {"engine": "numba", "batch_size": 100, "replicates": 2, "ratio_to_eager": 40.0}
    (step,) = next_steps(summary, speeds(measured | changes))
    assert f"1 claim about time: {about} of training, as eager" in step.why


def test_a_shard_suggests_nothing_and_a_full_run_no_more_epochs():
    assert next_steps(summary_with(shard="1/2")) == []
    for changes, count in (({}, 1), ({"scale": "paper"}, 0), ({"full_scale": ""}, 0)):
        found = [each.command for each in next_steps(summary_with(**changes))]
        assert sum("--scale" in command for command in found) == count
