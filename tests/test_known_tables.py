"""The cells of every table and the figures in every sentence on a made-up run, by arithmetic on paper.

Student's t for a 95 % interval is 4.3027 for three values (and for Welch's two pairs), 12.7062 for two.
"""

import math
from types import SimpleNamespace

import pytest

from harness.engine_speeds.comparable import NOT_COMPARABLE
from harness.exercise import Published
from harness.files import sealed
from harness.files.summary import Reached
from harness.report import page, quotes, tables, terminal
from harness.report.alike import best, best_few
from harness.report.changes import RowChange, compare_runs
from harness.report.claim_list import in_reading_order
from harness.report.differences import likely_reason, points_from_published, uneven_note
from harness.report.headline import headline
from harness.report.next_steps import next_steps, open_without
from harness.report.page_exercise import exercise_on_page
from harness.report.series import lines_of
from harness.report.tables import best_of, cells_of, format_reached, format_seconds
from harness.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    ONE_SEED_IS_TOO_FEW,
    REPRODUCED,
    SEEDS_LEAVE_IT_OPEN,
)
from harness.wording import counted, first_few, format_duration, format_rate
from tests import reports
from tests.made_up_runs import (
    CASES,
    FIRST,
    FULL,
    ONE,
    PUBLISHED,
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


def table_of(text):
    """Returns the cells of a Markdown table, without the line under its header."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if "--" not in line
    ]


# Tables -----------------------------------------------------------------------------------------------


def test_cells_of_a_row():
    found = cells_of(CASES["sgd-lr0.01"])
    assert found[:6] == ("sgd-lr0.01", "0.9300 (0.8404 to 1)", "0.550", "12", "600", "learned")
    assert cells_of(CASES["adam-lr0.01"])[1:5] == ("0.9700 (0.8429 to 1)", "0.900", "8", "–")
    assert cells_of(CASES["sgd-lr1"])[1:] == ("0.1000", "–", "8", "–", "diverged", "eager", "cpu")


def test_an_exercises_tables():
    title, rows, times, never, unlike = tables.exercise_parts(ONE, RUN.summary)
    assert title == "## Exercise 1 (4 epochs; paper: Table 1, after 8 epochs)"
    header, *body = table_of(rows)
    assert header == [
        "row",
        "test accuracy",
        "paper",
        "time (s)",
        "paper (s)",
        "outcome",
        "engine",
        "device",
    ]
    assert [line[0] for line in body] == [*TRAININGS[FIRST]]
    assert [line[3] for line in body] == ["12", "4", "8", "8", "7", "4"]
    header, *body = table_of(times)
    assert header[1:4] == ["90% epochs", "90% steps", "90% seconds"]
    # The interval of 3, 2 and 1 epochs is 2.48 wide on each side, ten times that in steps.
    assert body == [
        ["sgd-lr0.01", "2 ± 2.48", "20 ± 24.8", "6 ± 7.45", *3 * ["1 of 3"], *3 * ["1 of 3"]],
        [
            "adam-lr0.01",
            "1 ± 0",
            "10 ± 0",
            "2 ± 0",
            "1 ± 0",
            "10 ± 0",
            "2 ± 0",
            "3 ± 0",
            "30 ± 0",
            "6 ± 0",
        ],
        ["adam-lr0.1", "1", "10", "4", "2", "20", "5", "3", "30", "6"],
    ]
    assert never == "Never reached 90%: sgd-lr0.1, sgd-lr1, adam-lr1."
    assert unlike == (
        "Times are not comparable: sgd-lr1 used eager on cpu; all other rows used numba on cpu."
    )


def test_a_row_that_did_not_run_is_named():
    run = run_of({FIRST: TRAININGS[FIRST]})
    missing = ONE.model_copy(update={"cases": [*ONE.cases, f"{FIRST}::test_training[gone]"]})
    assert tables.exercise_parts(missing, run.summary)[-1] == "Did not run: gone."
    assert exercise_on_page(run, missing, [])["missing"] == ["gone"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([None, None], "–"),
        ([3, None], "1 of 2"),
        ([None, 3, 5], "2 of 3"),
        ([2, 4], "3 ± 12.7"),
        ([2.5], "2.50"),
        ([0], "0"),
        ([250.4, 250.6], "250 ± 1.27"),
    ],
)
def test_what_seeds_reached(values, text):
    assert format_reached(values) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (99.94, "99.9"),
        (99.96, "100"),
        (100.4, "100"),
        (12.0, "12"),
        (0.01234, "0.0123"),
        (1234.5, "1234"),
    ],
)
def test_seconds_to_three_digits(seconds, text):
    assert format_seconds(seconds) == text


def test_the_caption_has_the_most_seeds_and_all_preparations():
    caption = tables.format_caption(RUN.summary)
    assert "means over 3 seeds with 95 % intervals" in caption
    assert "took another 4 s in total" in caption  # 1.5 and 2.5 s
    assert "each on its own cores" in caption
    alone = run_of({SECOND: TRAININGS[SECOND]}, timing="shared")
    assert "from one seed; so are all comparisons" in tables.format_caption(alone.summary)
    assert "SHARED with other processes" in tables.format_caption(alone.summary)


def test_the_best_rows_are_those_with_the_highest_means():
    assert [case.id for case in best_of(RUN.summary.cases, 3)] == [
        CASES[name].id for name in ("adam-lr0.01", "adam-lr0.1", "small")
    ]
    lines = lines_of(RUN, ONE)
    assert best(lines).name == "adam-lr0.1"
    assert [line.name for line in best_few(lines, 2)] == ["adam-lr0.01", "adam-lr0.1"]
    assert best(lines[:2]).name == "sgd-lr0.01"
    # One seed of this row is at 99 %, but on average it is worse.
    varied = {
        "varied": trained(SGD(0.1), (0.1, 0.99), (0.1, 0.9), seconds=(0, 1)),
        "even": trained(SGD(0.2), (0.1, 0.96), (0.1, 0.96), seconds=(0, 1)),
    }
    run = run_of({FIRST: varied})
    assert best(lines_of(run, run.summary.exercises[0])).name == "even"


@pytest.mark.parametrize("count", [59, 60, 61])
def test_of_many_rows_a_terminal_lists_the_best_sixty(count):
    many = {f"r{at}": trained(SGD(1 + at), (0.1, at / 100), seconds=(0, 1)) for at in range(count)}
    run = run_of({FIRST: many}, published={})
    text = terminal.format_exercise(run.summary.exercises[0], run.summary)
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("r") and line[1].isdigit()]
    assert shown == [*many][max(0, count - 60) :]
    assert ("Showing the 60 rows" in text, "1 more are in summary.md" in text) == 2 * (count > 60,)


# The end of a session ---------------------------------------------------------------------------------


def test_the_largest_differences_come_first():
    ending = terminal.format_ending(RUN.summary)
    assert "Largest differences from the paper, after 2 to 4 of 20 epochs:" in ending
    lines = [line.split() for line in ending.splitlines() if line[:2] in ("1.", "2.")]
    assert [(line[1], line[-1]) for line in lines] == [
        ("sgd-lr0.01", "+38.0"),
        ("large", "-35.0"),
        ("sgd-lr0.1", "-13.0"),
        ("adam-lr0.01", "+7.0"),
        ("adam-lr0.1", "-0.5"),
    ]
    assert "† An epoch took twice the median or more: adam-lr0.1." in ending
    assert "Engine:" not in ending  # two


def test_five_of_six_differences_are_listed():
    run = run_of(TRAININGS, published={**PUBLISHED, "small": Published(0.9399)})
    ending = terminal.format_ending(run.summary)
    assert len([line for line in ending.splitlines() if line[:3] in ("1. ", "2. ")]) == 5
    assert "+0.0" not in ending


def test_verdicts_are_counted_and_those_open_explained():
    claims = [
        claim(FIRST, "a", REPRODUCED),
        claim(FIRST, "b", NOT_REPRODUCED, "It is 3."),
        claim(FIRST, "c", REPRODUCED),
        claim(SECOND, "d", INCONCLUSIVE, "It is 4."),
    ]
    run = run_of(TRAININGS, claims)
    undecided = [
        each.model_copy(update={"claims": [*each.claims, "x::test_y"]}) for each in run.summary.exercises
    ]
    summary = run.summary.model_copy(update={"exercises": undecided})
    assert terminal.format_ending(summary).startswith(
        "Claims: 2 reproduced, 1 not reproduced, 1 inconclusive. Not decided in this run:\n"
        "  2 of 6 claims."
    )
    assert terminal.format_claims(run.summary.claims).split("\n") == [
        "not reproduced: It is b.",
        "    It is 3.",
        "inconclusive: It is d.",
        "    It is 4.",
    ]
    assert tables.format_tables(summary)[-1].startswith(
        "## Claims: 2 reproduced, 1 not reproduced, 1 inconclusive, 0 not testable at this scale"
    )
    assert [each.verdict for each in in_reading_order(claims)] == [
        NOT_REPRODUCED,
        INCONCLUSIVE,
        REPRODUCED,
        REPRODUCED,
    ]
    counts = exercise_on_page(run, run.summary.exercises[0], [])["counts"]
    assert counts == {REPRODUCED: 2, NOT_REPRODUCED: 1}


# The page ---------------------------------------------------------------------------------------------


def test_an_exercise_on_the_page():
    found = exercise_on_page(RUN, ONE, [])
    rows = {row["name"]: row for row in found["rows"]}
    assert [(row["epochs"], row["difference"], row["seconds"]) for row in rows.values()] == [
        ("2", "+38.0", "12"),
        ("–", "−13.0", "4"),
        ("–", "–", "8"),
        ("1", "+7.0", "8"),
        ("1", "−0.5", "7 †"),
        ("–", "–", "4"),
    ]
    assert [row["reason"] for row in rows.values()] == [
        "after 4 of 8 epochs. It was interrupted.",  # which may explain what comes later
        "after 4 of 8 epochs",
        "",
        "",
        "",
        "",
    ]
    assert (found["published"], found["published_seconds"], found["reasons"]) == (True, True, True)
    assert (found["target"], found["engine"]) == ("90 %", "")
    assert found["notes"] == [
        "† Adam, rate 0.1: its slowest epoch took 4.0 times the median one.",
        "Times are not comparable: SGD, rate 1 used eager on cpu; all other rows used numba on cpu.",
    ]
    other = exercise_on_page(RUN, TWO, [])
    assert (other["published"], other["published_seconds"], other["engine"]) == (
        True,
        False,
        "numba on cpu",
    )
    assert [row["epochs"] for row in other["rows"]] == ["1", "–"]
    assert other["notes"] == []


def test_epochs_are_shown_only_if_all_seeds_reach_the_target():
    rows = {
        "all": trained(SGD(0.1), (0.1, 0.9, 0.95), (0.1, 0.5, 0.92), seconds=(0, 1, 2)),
        "one": trained(SGD(0.2), (0.1, 0.9, 0.95), (0.1, 0.5, 0.6), seconds=(0, 1, 2)),
    }
    run = run_of({FIRST: rows})
    found = exercise_on_page(run, run.summary.exercises[0], [])["rows"]
    assert [row["epochs"] for row in found] == ["1.5", "–"]


def test_a_claim_on_the_page_names_the_rows_that_it_does_not_use():
    of = claim(FIRST, "a", REPRODUCED).model_copy(update={"rows": ["adam-lr0.1", "sgd-lr1"]})
    run = run_of({FIRST: TRAININGS[FIRST]}, [of])
    (found,) = exercise_on_page(run, run.summary.exercises[0], [])["claims"]
    assert found["unused"] == ["sgd-lr0.01", "sgd-lr0.1", "adam-lr0.01", "adam-lr1"]
    assert (found["test"], found["anchor"], found["figure"]) == ("test_a", "1-x-test_a", None)


def test_the_headline_has_the_best_row_and_the_best_published_one_of_each_group():
    assert headline(lines_of(RUN, ONE)) == (
        "Best test accuracy: SGD 0.930 (0.840 to 1) at rate 0.01, the lowest tried (published: 0.630 at "
        "rate 0.1); Adam 0.985 at rate 0.1 (published: 0.990 in the same row). 3 of 6 rows learned "
        "(90 % test accuracy or more)."
    )
    assert headline(lines_of(RUN, TWO)) == (
        "Best test accuracy: 0.940 at batch 10 (published: 0.950 at batch 1000). 1 of 2 rows learned "
        "(90 % test accuracy or more)."
    )
    assert headline([]) == "No row of this exercise ran."


def test_ten_differences_on_the_page_the_largest_first():
    points = [3.0, -20.0, None, 0.5, 12.0, -1.0, 2.0, -4.0, 5.0, -6.0, 7.0, 0.1, -0.2]
    exercises = [
        {"title": title, "rows": [{"points": each} for each in part]}
        for title, part in (("one", points[:4]), ("two", points[4:]))
    ]
    found = page._by_difference(exercises)[: page._DIFFERENCES]
    assert [row["points"] for _, row in found] == [
        -20.0,
        12.0,
        7.0,
        -6.0,
        5.0,
        -4.0,
        3.0,
        2.0,
        -1.0,
        0.5,
    ]
    assert [exercise["title"] for exercise, _ in found[:2]] == ["one", "two"]


@pytest.mark.parametrize(
    ("published", "epochs", "reason"),
    [
        (0.599, 8, ""),
        (0.6001, 8, "after 4 of 8 epochs"),
        (0.6001, 4, "Unexplained."),
        (0.399, 8, "after 4 of 8 epochs. Unexplained."),
        (0.4, 8, ""),
    ],
)
def test_a_difference_of_more_than_ten_points_has_a_reason(published, epochs, reason):
    paper = CASES["sgd-lr0.1"].paper.model_copy(update={"test_accuracy": published})
    case = CASES["sgd-lr0.1"].model_copy(update={"paper": paper})
    assert likely_reason(case, ONE.model_copy(update={"full_epochs": epochs})) == reason


def test_a_difference_of_exactly_ten_points_needs_no_reason():
    """0.1 from 0 is the only such difference that is exactly ten points in binary, too."""
    paper = CASES["sgd-lr1"].paper.model_copy(update={"test_accuracy": 0.0, "remark": "Why."})
    case = CASES["sgd-lr1"].model_copy(update={"paper": paper})
    assert points_from_published(case) == 10
    assert likely_reason(case, ONE) == ""


def test_an_epoch_of_exactly_twice_the_median_is_out_of_line():
    def line(times):
        return SimpleNamespace(label=f"{times}", case=SimpleNamespace(slowest_epoch=times))

    assert uneven_note([line(1.999), line(None)]) == ""
    assert (
        uneven_note([line(2.0), line(1.0)]) == "† 2.0: its slowest epoch took 2.0 times the median one."
    )
    assert uneven_note([line(2.0), line(3.04), line(1.0)]) == (
        "† The slowest epoch took much longer than the median one (2.0: 2.0 times; 3.04: 3.0 times)."
    )


# Next steps -------------------------------------------------------------------------------------------


def test_the_full_scale_is_forecast_from_each_rows_own_epochs():
    """Epochs take 3, 1, 2, 2, 1.75 and 1 s, and 10 and 30 s: 8 * 10.75 + 20 * 40 = 886 s."""
    (step,) = next_steps(RUN.summary)
    assert step.why == "20 epochs: about 15 min of training"
    assert step.command == "pytest bench/ --scale paper"
    claims = [claim(FIRST, "a", NOT_TESTABLE), claim(SECOND, "b", NOT_TESTABLE)]
    step = next_steps(run_of(TRAININGS, claims).summary)[0]
    assert step.why == "20 epochs, which may decide 2 more claims: about 15 min of training"
    assert step.claims == (*claims,)


def test_more_seeds_are_forecast_from_each_rows_own_seeds():
    """A seed takes 4, 4, 8, 4, 7 and 4 s, and 20 and 60 s: 111 s for all rows, so 555 s for five."""
    claims = [
        claim(FIRST, "a", INCONCLUSIVE, f"The intervals of 3 {SEEDS_LEAVE_IT_OPEN}"),
        claim(FIRST, "b", REPRODUCED, f"The intervals of 3 {SEEDS_LEAVE_IT_OPEN}"),
        claim(SECOND, "c", INCONCLUSIVE, ONE_SEED_IS_TOO_FEW),
        claim(SECOND, "d", INCONCLUSIVE, "They reach it in the same epoch."),
    ]
    *_, step = next_steps(run_of(TRAININGS, claims).summary)
    assert step.why == "5 seeds, may decide 2 inconclusive claims: at most 9 min of training"
    assert step.command == "pytest bench/ --replicates 5"
    assert step.claims == (claims[0], claims[2])
    assert open_without([step], run_of(TRAININGS, claims).summary) == [claims[3]]


@pytest.mark.parametrize(("seeds", "steps"), [(1, 1), (2, 0), (3, 0)])
def test_without_open_claims_two_seeds_are_enough(seeds, steps):
    rows = {"a": trained(SGD(0.1), *seeds * [(0.1, 0.5)], seconds=(0, 6.0))}
    summary = run_of({FIRST: rows}, full={FIRST: 1}, scale="paper").summary
    assert [step.why for step in next_steps(summary)] == steps * [
        "5 seeds, 95 % intervals: at most 30 s of training"
    ]


@pytest.mark.parametrize(("engine", "steps"), [("numba", 0), ("eager", 1)])
def test_another_engine_is_suggested_only_if_engines_differ(engine, steps):
    """On two devices, times cannot be compared either, but another engine does not help."""
    rows = {
        "a": trained(SGD(0.1), (0.1, 0.5), (0.1, 0.5), seconds=(0, 6.0)),
        "b": trained(SGD(0.2), (0.1, 0.5), (0.1, 0.5), seconds=(0, 6.0), engine=engine, device="cuda:0"),
    }
    claims = [claim(FIRST, "a", INCONCLUSIVE, f"{NOT_COMPARABLE}: b used another.")]
    summary = run_of({FIRST: rows}, claims, full={FIRST: 1}, scale="paper").summary
    assert [step.command for step in next_steps(summary)] == steps * ["pytest bench/ --engine eager"]
    assert [step.claims for step in next_steps(summary)] == steps * [(*claims,)]


def with_open_claim(seeds, rows):
    trainings = {
        name: trained(SGD(0.1), *seeds * [(0.1, 0.5)], seconds=(0, 6.0 * seeds)) for name in ("a", "b")
    }
    open_claim = claim(FIRST, "a", INCONCLUSIVE, f"The intervals of them {SEEDS_LEAVE_IT_OPEN}")
    claims = [open_claim.model_copy(update={"rows": rows}), claim(FIRST, "b", REPRODUCED)]
    return run_of({FIRST: trainings}, claims, full={FIRST: 1}, scale="paper").summary


@pytest.mark.parametrize(
    ("seeds", "rows", "seconds"), [(5, ["a"], 120), (6, ["a", "b"], 288), (5, [], 240)]
)
def test_from_five_seeds_on_only_the_rows_of_open_claims_get_more(seeds, rows, seconds):
    """All rows, if an earlier report does not name them."""
    (step,) = next_steps(with_open_claim(seeds, rows))
    assert step.command == f"pytest bench/ --seeds-until-decided {4 * seeds}"
    assert step.why == (
        f"up to {4 * seeds} seeds for the rows of 1 inconclusive claim: at most "
        f"{format_duration(seconds)} of training for these"
    )


@pytest.mark.parametrize(("seeds", "more"), [(1, 5), (4, 5)])
def test_up_to_five_seeds_for_all_rows(seeds, more):
    (step,) = next_steps(with_open_claim(seeds, ["a"]))
    gives = "may decide 1 inconclusive claim"
    assert step.why == f"{more} seeds, {gives}: at most {format_duration(2 * 6.0 * more)} of training"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (89.4, "89 s"),
        (89.999, "90 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (9000, "2.5 h"),
    ],
)
def test_durations_in_words(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(4, "0, 1, 2, 3"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 and 1 more")]
)
def test_the_first_few_of_many_names(count, text):
    assert first_few(map(str, range(count))) == text


# Comparison with another run --------------------------------------------------------------------------


def test_times_are_compared_per_seed_and_accuracies_by_their_intervals():
    other = run_of(
        {
            FIRST: {
                "sgd-lr0.01": trained(SGD(0.01), (0.1, 0.5, 0.8, 0.9, 0.9), seconds=(0, 1, 2, 2.5, 3)),
                "adam-lr0.01": trained(
                    Adam(0.01),
                    (0.1, 0.95, 0.96, 0.97, 0.97),
                    (0.1, 0.95, 0.96, 0.97, 0.95),
                    seconds=(0, 4, 8, 12, 16),
                ),
                "adam-lr0.1": trained(Adam(0.1), (0.1, 0.9), seconds=(0, 7)),
                "new": trained(SGD(3), (0.1, 0.9), seconds=(0, 7)),
            }
        }
    )
    found = compare_runs(RUN, other)
    sgd, adam = found.differences  # the slower one first
    # 12 s for three seeds, and 3 s for one; 93 % and 90 %.
    assert (sgd.name, sgd.interval, sgd.slower, sgd.learns) == ("sgd-lr0.01", None, True, "better")
    assert (sgd.ratio, sgd.points) == (pytest.approx(4 / 3), pytest.approx(3))
    # 8 s and 16 s for two seeds; 97 % and 96 %, with a variance of 2 points squared each.
    assert (adam.name, adam.slower, adam.learns) == ("adam-lr0.01", False, "same")
    assert (adam.ratio, adam.points) == (0.5, pytest.approx(1))
    half = 4.3027 * math.sqrt(2 / 2 + 2 / 2)
    assert adam.interval == pytest.approx((1 - half, 1 + half), abs=1e-3)
    assert ("seeds", 3, 2) in found.settings
    assert "adam-lr0.1: epochs 4 here, 1 there" in found.left_out
    assert "sgd-lr1: not in run" in found.left_out
    assert "new: not in run" in found.left_out


def test_a_run_without_rows_has_no_seeds():
    none = run_of({})
    assert ("seeds", 3, 0) in compare_runs(RUN, none).settings


def test_regressions_come_first_the_worst_accuracies_before_the_slowest_times():
    """By row: the accuracy here, and the seconds here and there; there it is 0.9 in 10 s."""
    rows = {
        "faster": (0.9, 5, 10),
        "untimed": (0.9, 10, 0),
        "slower": (0.9, 12, 10),
        "unchanged": (0.9, 10, 10),
        "worse": (0.85, 10, 10),
        "slowest": (0.9, 20, 10),
        "worst": (0.8, 10, 10),
        "worse and slow": (0.84, 30, 10),
    }

    def run(which):
        return run_of(
            {
                FIRST: {
                    name: trained(SGD(0.1), (0.1, (ours, 0.9)[which]), seconds=(0, times[which]))
                    for name, (ours, *times) in rows.items()
                }
            },
            published={},
        )

    found = [each.name for each in compare_runs(run(0), run(1)).differences]
    assert found == [
        "worst", "worse and slow", "worse", "slowest", "slower", "unchanged", "faster", "untimed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "interval", "learns"),
    [
        (-1.0, None, "worse"),
        (-0.99, None, "same"),
        (0.99, None, "same"),
        (1.0, None, "better"),
        (-5.0, (-10.0, 0.0), "same"),
        (-0.2, (-0.3, -0.1), "worse"),
        (0.2, (0.1, 0.3), "better"),
        (5.0, (0.0, 10.0), "same"),
    ],
)
def test_whether_a_row_learns_worse(points, interval, learns):
    change = RowChange("row", CASES["small"], CASES["small"], points, interval, 1.0)
    assert change.learns == learns


@pytest.mark.parametrize(("ratio", "slower"), [(None, False), (1.099, False), (1.1, True), (2.0, True)])
def test_whether_a_row_is_slower(ratio, slower):
    assert RowChange("row", CASES["small"], CASES["small"], 0.0, None, ratio).slower is slower


# Passages ---------------------------------------------------------------------------------------------


def written(run, folder):
    (folder / "runs").mkdir(parents=True)
    for each in run.curves.values():
        reports.write_record(folder, each.model_dump(mode="json"))
    sealed.write_content(folder / "summary.json", run.summary.to_json())
    return folder


def test_an_overview_in_sentences(tmp_path):
    """Rows with a published time took 12, 4 and 7 s here, and 600, 100 and 10 s there."""
    assert quotes.OF_A_RUN["overview"](written(RUN, tmp_path / "run")) == (
        "`pytest bench/` on a machine, 2 cores (PyTorch 2.13.0, Python 3.11.7): 8 rows of 2 to 4 "
        "epochs, 3 seeds each, in 123 s of training. The 3 rows with a time in the paper took 23 s, "
        "compared with 710 s there."
    )


def test_accuracies_after_the_same_numbers_of_steps(tmp_path):
    """Epochs of 10, 5 and 1 steps; after 20 steps, the first row ends its second epoch."""
    rows = {
        f"batch{size}": trained(
            SGD(0.1), *curves, seconds=(0, 1, 2, 3, 4), batch_size=size, steps=4 * steps
        )
        for size, steps, curves in (
            (6000, 10, [(0.1, 0.2, 0.31, 0.4, 0.5), (0.1, 0.2, 0.33, 0.4, 0.5)]),
            (12000, 5, [(0.1, 0.2, 0.3, 0.4, 0.6)]),
            (60000, 1, [(0.1, 0.2, 0.3, 0.4, 0.7)]),
        )
    }
    published = {row: Published(0.9, 10) for row in rows}
    folder = written(run_of({FIRST: rows}, published=published), tmp_path / "run")
    found = table_of(quotes.OF_AN_EXERCISE["steps"](folder, "test_1_x"))
    assert found[0] == ["batch size", "20 steps"]
    assert [line for line in found[1:] if "--" not in line[0]] == [
        ["6,000", "0.320 (2 epochs)"],
        ["12,000", "0.600 (4 epochs)"],
        ["60,000", "–"],
    ]


def by_batch_size(**published):
    """Returns a run of two batch sizes with SGD, and of one with Adam."""

    def of(optimizer, size, end):
        return trained(optimizer, (0.1, 0.2, end), seconds=(0, 1, 2), batch_size=size)

    rows = {
        "sgd-10": of(SGD(0.1), 10, 0.5),
        "sgd-1000": of(SGD(0.1), 1000, 0.6),
        "adam-1000": of(Adam(0.01), 1000, 0.7),
    }
    return run_of({FIRST: rows}, published={row: Published(*of) for row, of in published.items()})


def test_accuracies_by_batch_size(tmp_path):
    """Rows that differ in the batch size alone share a line, and its published figure."""
    figures = {"sgd-10": (0.9,), "sgd-1000": (0.9,), "adam-1000": (0.8,)}
    folder = written(by_batch_size(**figures), tmp_path / "run")
    assert table_of(quotes.OF_AN_EXERCISE["batches"](folder, "test_1_x")) == [
        ["row", "paper", "10", "1,000"],
        ["SGD, rate 0.1", "0.900", "0.5000", "0.6000"],
        ["Adam, rate 0.01", "0.800", "–", "0.7000"],
    ]


def test_a_line_with_two_published_figures_shows_none(tmp_path):
    folder = written(by_batch_size(**{"sgd-10": (0.9,), "sgd-1000": (0.8,)}), tmp_path / "run")
    header, *lines = table_of(quotes.OF_AN_EXERCISE["batches"](folder, "test_1_x"))
    assert header == ["row", "10", "1,000"]
    assert [line[0] for line in lines] == ["SGD, rate 0.1", "Adam, rate 0.01"]


def test_one_batch_size_has_no_table_of_them(tmp_path):
    rows = {"a": trained(SGD(0.1), (0.1, 0.5), seconds=(0, 1))}
    folder = written(run_of({FIRST: rows}, published={}), tmp_path / "run")
    with pytest.raises(LookupError, match="needs rows of several batch sizes, which the run lacks"):
        quotes.OF_AN_EXERCISE["batches"](folder, "test_1_x")


def test_the_made_up_run_is_what_it_claims():
    assert {case.engine for case in RUN.summary.cases} == {"eager", "numba"}
    assert {len(case.seeds) for case in RUN.summary.cases} == {1, 2, 3}
    assert CASES["sgd-lr0.01"].time_to_accuracy["0.95"] == Reached(
        epochs=[None, None, 2], steps=[None, None, 20], seconds=[None, None, 6]
    )
    assert {*FULL} == {FIRST, SECOND}


def test_rows_of_two_exercises_with_one_experiment_and_equal_results_say_so():
    fields = {"curve": (0.1, 0.5, 0.9), "seconds": (0, 1, 2)}
    same = trained(SGD(0.1), fields["curve"], seconds=fields["seconds"])
    slower = trained(SGD(0.1), fields["curve"], seconds=(0, 2, 5))
    unlike = trained(SGD(0.1), (0.1, 0.5, 0.8), seconds=fields["seconds"])
    other = trained(Adam(0.1), fields["curve"], seconds=fields["seconds"])
    first, second = ("bench/test_1_x.py", "bench/test_2_y.py")
    run = run_of(
        {first: {"mine": same, "other": other}, second: {"theirs": slower, "near": unlike}},
        published={},
        full={first: 4, second: 4},
    )
    notes = [exercise_on_page(run, each, [])["notes"] for each in run.summary.exercises]
    begins = "The same experiment as in another table, with the same accuracies: "
    assert [note for note in notes[0] if note.startswith(begins)] == [
        f"{begins}mine in 2 s (2. theirs in 5 s)."
    ]
    assert [note for note in notes[1] if note.startswith(begins)] == [
        f"{begins}theirs in 5 s (1. mine in 2 s)."
    ]


def test_small_rates_are_written_in_decimals_down_to_1e_9():
    assert [format_rate(rate) for rate in (1e-3, 1e-4, 1e-5, 1e-9, 9e-10)] == [
        "0.001",
        "0.0001",
        "0.00001",
        "0.000000001",
        "9e-10",
    ]


def test_numbers_agree_with_their_nouns():
    found = [counted(number, noun) for noun in ("row", "process") for number in (0, 1, 1234)]
    assert found == ["0 rows", "1 row", "1,234 rows", "0 processes", "1 process", "1,234 processes"]


def test_long_durations_are_in_hours():
    assert format_duration(2000 * 3600) == "2000.0 h"
