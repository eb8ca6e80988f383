"""Rows to which `--seeds-until-decided` has added seeds: which of their figures are of which seeds.

Their times are those of the seeds that were trained first, their accuracies those of all seeds.
"""

from dataclasses import replace

import pytest

from harness.export.columns import results_table
from harness.files.record import AddedSeeds, Hardware
from harness.history.past_runs import _of_report
from harness.report.changes import compare_runs
from harness.report.next_steps import next_steps
from harness.report.tables import format_caption
from harness.verdicts import INCONCLUSIVE, SEEDS_LEAVE_IT_OPEN
from tests.made_up_runs import FIRST, RUN, TRAININGS, claim, run_of

(NAME,) = [name for name in RUN.cases if name.endswith("[sgd-lr0.01]")]


def timed(count):
    """Returns a run of one row, with three seeds, whose 12 s are of the first `count` of them."""
    added = [AddedSeeds(seeds=list(range(count, 3)), seconds=5.0)] if count < 3 else []
    return replace(RUN, cases={NAME: RUN.cases[NAME].model_copy(update={"added": added})})


@pytest.mark.parametrize(("here", "there"), [(1, 3), (3, 1)])
def test_times_are_compared_per_seed_that_was_timed(here, there):
    (found,) = compare_runs(timed(here), timed(there)).differences
    assert found.ratio == pytest.approx(there / here)
    assert found.points == 0


def test_exported_replicates_are_those_that_were_timed():
    values = results_table(timed(2)).values()
    assert values["seed"] == [0, 1, 2]
    assert values["replicates"] == [2, 2, 2]
    assert values["seconds"] == [12, 12, 12]
    assert values["test_accuracy"] == [0.9, 0.92, 0.97]


def test_more_seeds_are_suggested_than_a_row_was_given():
    """The first row has five seeds, of which three were added for a claim that is still open."""
    claims = [claim(FIRST, "open", INCONCLUSIVE, f"So. {SEEDS_LEAVE_IT_OPEN}")]
    summary = run_of(TRAININGS, claims, command="pytest bench/ --seeds-until-decided 5").summary
    first, *others = summary.cases
    added = [AddedSeeds(seeds=[2, 3, 4], seconds=1.0)]
    five = first.model_copy(update={"seeds": [0, 1, 2, 3, 4], "added": added})
    *_, step = next_steps(summary.model_copy(update={"cases": [five, *others]}))
    assert step.command == "pytest bench/ --seeds-until-decided 20"


@pytest.mark.parametrize(("count", "predicted"), [(3, "20 s"), (2, "30 s"), (1, "60 s")])
def test_the_time_of_more_seeds_is_predicted_from_those_that_were_timed(count, predicted):
    """Five seeds of a row whose 12 s are of `count` seeds."""
    claims = [claim(FIRST, "open", INCONCLUSIVE, f"So. {SEEDS_LEAVE_IT_OPEN}")]
    summary = run_of(TRAININGS, claims, command="pytest bench/").summary
    one = summary.model_copy(update={"cases": [*timed(count).cases.values()]})
    *_, step = next_steps(one)
    assert step.command == "pytest bench/ --replicates 5"
    assert f"at most {predicted} of training" in step.why


@pytest.mark.parametrize(("count", "mean"), [(1, 2), (2, 3), (3, None)])
def test_in_histories_epochs_to_an_accuracy_are_those_of_the_timed_seeds(count, mean):
    run = timed(count)
    case = run.cases[NAME]
    target = max(case.time_to_accuracy)
    reached = case.time_to_accuracy[target].model_copy(update={"epochs": [2, 4, None]})
    times = {**case.time_to_accuracy, target: reached}
    found = _of_report(
        replace(run, cases={NAME: case.model_copy(update={"time_to_accuracy": times})})
    ).rows[NAME]
    assert (found.target, found.epochs_to_target) == (target, mean)


@pytest.mark.parametrize(
    ("count", "seeds", "times", "looks"),
    [
        (
            1,
            "one seed each, and up to 3 for 1 row on which claims were open",
            "the first seed",
            "1, 2 and 4",
        ),
        (
            2,
            "2 seeds each, and up to 3 for 1 row on which claims were open",
            "the first 2 seeds",
            "2 and 4",
        ),
    ],
)
def test_the_caption_says_which_seeds_are_in_which_figure(count, seeds, times, looks):
    cases = [*timed(count).cases.values()]
    summary = RUN.summary.model_copy(update={"cases": cases, "seeds_until_decided": 4})
    caption = format_caption(summary)
    assert f"means with 95 % intervals: {seeds}." in caption
    assert f"Times are of training alone, for {times}, each on its own cores or GPU." in caption
    assert f"with the first of {looks} seeds that suffice" in caption


def test_a_row_of_other_hardware_has_it_in_histories():
    own = Hardware(device_name="Another CPU", cores=3)
    cases = {NAME: RUN.cases[NAME].model_copy(update={"hardware": own})}
    machine = dict(_of_report(replace(RUN, cases=cases)).rows[NAME].machine)
    assert (machine["device_name"], machine["cores"]) == ("Another CPU", "3")
    here = dict(_of_report(RUN).rows[NAME].machine)
    assert here["device_name"] == RUN.summary.machine.device_name
    assert here["cores"] == str(RUN.summary.machine.cores)
