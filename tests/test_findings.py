"""The gates' messages about made-up runs, word for word; `test_gate` tests the gates in sessions."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.gates import accuracy_gate, time_gate
from harness.gates.baselines import SavedCase, SavedRun
from harness.gates.gate_result import GateResult
from harness.gates.retraining import RetrainingError
from model.experiment import Experiment
from model.optimizers import SGD

NOTHING = (
    "nothing was compared: a row needs 5 saved runs with the same settings and hardware, and no row has "
    "more than {}"
)
INFO = {
    **Experiment(optimizer=SGD(0.1), batch_size=1, epochs=4).to_dict(),
    "scale": "quick",
    "device": "cpu",
    "device_name": "a CPU",
    "cores": 2,
    "engine": "numba",
    "timing": "exclusive",
}


def case(name, accuracies=(0.95,), *, epoch=1.0, late=0, seeds=None, **info):
    """Returns a case with four epochs of `epoch` seconds."""
    seeds = list(seeds or range(len(accuracies)))
    epochs_to = {"0.90": [1 + late] * len(seeds), "0.97": [None] * len(seeds)}
    info = {**INFO, "seeds": seeds, "seconds": 4 * epoch, "epochs_to": epochs_to, **info}
    times = {**dict.fromkeys(("min", "max", "mean", "median"), epoch), "stddev": 0, "iqr": 0}
    return SavedCase.model_validate(
        {
            "fullname": name,
            "stats": {**times, "total": 4 * epoch, "rounds": 4},
            "extra_info": {**info, "test_accuracy": list(accuracies)},
        }
    )


def by_name(*cases):
    return {each.fullname: each for each in cases}


def empty():
    return GateResult(failures=[], underpowered=[], passed=[], notes=[], strict=False)


def summarize(findings):
    return [(each.case, each.verdict, each.text, each.takes) for each in findings]


class TestAccuracy:
    def ask(self, ours, theirs, points=1.0, **options):
        answer = empty()
        run = SavedRun(Path("0007_base.json"), by_name(*theirs))
        accuracy_gate.check_accuracies(answer, by_name(*ours), run, points, **{"bare": False, **options})
        for finding in (*answer.failures, *answer.underpowered, *answer.passed):
            assert finding.gate == "--accuracy-compare-fail"
        return answer

    def test_identical_worse_and_inconclusive_rows(self):
        before, lower = [0.75, 0.875, 0.625], [0.5, 0.625, 0.375]  # exact in binary
        answer = self.ask(
            [case("same", before), case("lower", lower), case("one", [0.9])],
            [case("same", before), case("lower", before), case("one", [0.95])],
        )
        assert summarize(answer.passed) == [("same", "identical", "identical", "")]
        worse = (
            "test accuracy dropped by 25.00 points, from 0.7500 in 0007_base to 0.5000 "
            "(mean of 3 seeds, p = 0)"
        )
        assert summarize(answer.failures) == [("lower", "learns worse", worse, "")]
        undetected = (
            "one seed cannot distinguish a 1-point drop in accuracy from noise; use --replicates to "
            "train more seeds, or --fail-bare-falls to compare accuracies regardless of noise"
        )
        assert summarize(answer.underpowered) == [("one", "underpowered", undetected, "")]
        assert answer.notes == [
            "Learning: 3 rows compared with 0007_base: 1 identical, 1 worse, 1 inconclusive."
        ]
        (fell,) = answer.failures
        assert fell.figures == {
            "before": 0.75,
            "now": 0.5,
            "seeds": 3,
            "p": 0,
            "detectable": 0.5,
            "seeds_needed": 2,
        }

    def test_a_bare_drop_of_one_seed_fails_if_bare_drops_count(self):
        answer = self.ask([case("one", [0.94])], [case("one", [0.95])], 0.5, bare=True)
        worse = "test accuracy dropped by 1.00 points, from 0.9500 in 0007_base to 0.9400 (one seed)"
        assert summarize(answer.failures) == [("one", "learns worse", worse, "")]

    @pytest.mark.parametrize(
        ("now", "by"),
        [
            (0.75, "unchanged"),
            (0.755, "0.50 points higher"),
            (0.77, "2.00 points higher"),
            (0.745, "0.50 points lower"),
        ],
    )
    def test_converging_later_is_learning_worse_whatever_the_accuracy(self, now, by):
        seeds = 200  # every second one reaches it two epochs later
        ours = case("late", [now] * seeds, epochs_to={"0.90": [1, 3] * 100, "0.97": [None] * seeds})
        answer = self.ask([ours], [case("late", [0.75] * seeds)])
        ((_, verdict, text, _),) = summarize(answer.failures)
        p = f"{answer.failures[0].figures['p']:.2g}"
        assert verdict == "learns worse"
        assert text == (
            f"reaches 90% accuracy 1.0 epochs later than in 0007_base; final test accuracy was 0.7500 "
            f"and is now {now:.4f} ({by}, mean of 200 seeds, p = {p})"
        )

    def test_two_seeds_are_several(self):
        answer = self.ask([case("row", [0.5, 0.625])], [case("row", [0.75, 0.875])])
        text = answer.failures[0].text
        assert text.startswith("test accuracy dropped by 25.00 points, ")
        assert text.endswith(" (mean of 2 seeds, p = 0)")

    @pytest.mark.parametrize(
        ("points", "noise", "drop", "takes"),
        [(2, 0.03, "2-point", "about 39"), (0.01, 0.03, "0.01-point", "over 1000")],
    )
    def test_too_few_seeds_to_detect_a_drop(self, points, noise, drop, takes):
        ours = case("noisy", [0.5 + noise, 0.5 - noise, 0.5])
        same = case("same")
        answer = self.ask([ours, same], [case("noisy", [0.5] * 3), same], points)
        text = f"3 seeds cannot reliably detect a {drop} drop in accuracy; seeds needed in parentheses"
        assert summarize(answer.underpowered) == [("noisy", "underpowered", text, takes)]
        assert answer.failures == []
        assert (answer.holds, answer.inconclusive) == (True, True)

    def test_a_gate_that_can_decide_no_row_fails(self):
        answer = self.ask([case("a", [0.9]), case("b", [0.9])], [case("a", [0.8]), case("b", [0.8])])
        text = "no row could be decided: 2 rows compared with 0007_base, all inconclusive"
        assert summarize(answer.failures) == [(None, "inconclusive", text, "")]
        assert not answer.holds

    def test_rows_that_differ_or_are_in_one_run_only_are_not_compared(self):
        answer = self.ask(
            [
                case("new"),
                case("both"),
                case("other", engine="eager", epochs=4),
                case("seeds", seeds=[7]),
            ],
            [case("both"), case("gone"), case("other"), case("seeds", seeds=[8])],
        )
        cannot = "cannot be compared with 0007_base: "
        assert summarize(answer.failures) == [
            ("other", "not compared", f"{cannot}engine was numba and is now eager", ""),
            ("seeds", "not compared", f"{cannot}no seed in common", ""),
        ]
        assert answer.notes == [
            "Not in 0007_base, so not compared: new.",
            "Learning: 1 row compared with 0007_base: 1 identical.",
        ]

    def test_nothing_in_common_is_a_failure(self):
        answer = self.ask([case("a")], [case("b")])
        text = "nothing was compared: this run and 0007_base have no row in common"
        assert summarize(answer.failures) == [(None, "not compared", text, "")]
        assert answer.notes == []


class TestTimes:
    """Six rows, in saved runs that differ by a thousandth."""

    ROWS = "abcdef"

    def saved(self, count, *, first=1, noise=0.001, last="base", **info):
        def epoch(number, index):
            return 1 + noise * (-1) ** number * (index + 1)

        return [
            SavedRun(
                Path(f"{number:04}_{last if number == first + count - 1 else 'base'}.json"),
                by_name(*(case(row, epoch=epoch(number, i), **info) for i, row in enumerate(self.ROWS))),
            )
            for number in range(first, first + count)
        ]

    def ask(self, runs, percent=10.0, retrained=(), **epochs):
        answer, self.asked, rounds = empty(), [], list(retrained)

        def retrain(cases):
            self.asked.append(list(cases))
            if not rounds:
                raise RetrainingError("no space left")
            return by_name(*(case(name, epoch=rounds[0].get(name, 1.0)) for name in cases))

        def again(cases):
            try:
                return retrain(cases)
            finally:
                del rounds[:1]

        current = by_name(*(case(row, epoch=epochs.get(row, 1.0)) for row in (*self.ROWS, *epochs)))
        time_gate.check_times(answer, current, runs, percent, again)
        return answer

    def test_too_few_saved_runs_fail(self):
        answer = self.ask([*self.saved(6, device_name="another CPU"), *self.saved(4, first=7)])
        assert summarize(answer.failures) == [(None, "not compared", NOTHING.format(4), "")]
        assert answer.underpowered == answer.passed == answer.notes == []

    def test_saved_runs_on_other_hardware_are_not_compared(self):
        answer = self.ask(self.saved(6, device_name="another CPU"))
        assert summarize(answer.failures) == [(None, "not compared", NOTHING.format(0), "")]

    def test_a_row_with_too_few_saved_runs_is_inconclusive(self):
        """The other rows are judged, with all of their saved runs."""
        runs = self.saved(6)
        for run in runs[:2]:
            del run.cases["b"]
        answer = self.ask(runs)
        text = "fewer than 5 comparable saved runs; number found in parentheses"
        assert summarize(answer.underpowered) == [("b", "underpowered", text, "4")]
        assert [each.case for each in answer.passed] == [None, *"acdef"]
        assert answer.inconclusive

    def test_a_row_without_comparable_saved_runs_is_inconclusive(self):
        """For example, because another engine trained it."""
        runs = self.saved(6)
        for run in runs:
            run.cases["b"] = case("b", engine="eager")
        assert [(each.case, each.takes) for each in self.ask(runs).underpowered] == [("b", "0")]

    def test_an_accepted_run_affects_only_its_own_rows(self):
        runs = self.saved(6)
        runs[3:3] = [SavedRun(Path("0004_accepted.json"), by_name(case("b", epoch=1.5)))]
        answer = self.ask(runs, b=1.5)
        assert [(each.case, each.takes) for each in answer.underpowered] == [("b", "4")]
        assert [each.figures["saved_runs"] for each in answer.passed if each.case] == [6] * 5

    def test_only_a_run_named_accepted_starts_a_new_baseline(self):
        runs = [*self.saved(6, last="not_accepted"), *self.saved(3, first=7)]
        assert "6 rows compared with 9 saved runs" in self.ask(runs).notes[0]

    def test_a_run_in_which_no_row_can_be_decided_fails(self):
        answer = self.ask(self.saved(6), 0.01)
        text = "no row could be decided: 6 rows compared with 6 saved runs, all inconclusive"
        assert summarize(answer.failures) == [(None, "inconclusive", text, "")]

    def test_the_row_with_most_saved_runs_decides_how_many_could_be_compared(self):
        runs = [*self.saved(4), *self.saved(3, first=5, scale="paper")]
        del runs[0].cases["a"]
        assert time_gate.most_that_could_count(runs, {"scale": "quick", "replicates": 1}) == 4
        assert time_gate.most_that_could_count(runs, {"scale": "quick", "replicates": 2}) == 0
        assert time_gate.most_that_could_count([], {}) == 0

    def test_a_row_that_a_later_whole_run_lacks_is_not_absent(self):
        runs = self.saved(4)
        runs[2] = replace(runs[2], cases=by_name(case("a")), whole=True)
        runs[3] = replace(runs[3], cases=by_name(case("b")))
        current = by_name(case("c"))
        assert time_gate.absent(current, runs, runs) == {"a": "0003_base", "b": "0004_base"}
        assert time_gate.absent(current, runs, runs[:1]) == {"a": "0001_base"}

    def test_five_saved_runs_are_enough(self):
        answer = self.ask(self.saved(5))
        assert summarize(answer.passed) == [
            (row, "not slower", "not slower", "") for row in (None, *self.ROWS)
        ]
        assert [each.gate for each in answer.passed] == ["--time-compare-fail"] * 7
        (note,) = answer.notes
        assert note.startswith(
            "Times: 6 rows compared with 5 saved runs. Smallest detectable slowdown: 6 % in the median "
            "row, 6 % in the noisiest row, 6 % in all rows together; gate.json lists every row."
        )
        assert answer.passed[1].figures.keys() == {
            "percent", "interval", "p", "trainings", "saved_runs", "detectable",
        }  # fmt: skip
        assert answer.passed[1].figures["saved_runs"] == 5
        assert self.asked == []

    def test_the_newest_thirty_runs_are_compared_starting_with_the_accepted_one(self):
        assert "6 rows compared with 30 saved runs" in self.ask(self.saved(31)).notes[0]
        runs = [*self.saved(9, last="accepted"), *self.saved(5, first=10)]
        assert "6 rows compared with 6 saved runs" in self.ask(runs).notes[0]
        runs = [*self.saved(2, last="accepted"), *self.saved(9, first=3, last="accepted")]
        assert summarize(self.ask(runs).failures) == [(None, "not compared", NOTHING.format(1), "")]

    def test_a_slower_row_fails_after_three_more_trainings(self):
        answer = self.ask(self.saved(6), retrained=[{"c": 1.5}] * 4, c=1.5)
        ((name, verdict, text, _),) = summarize(answer.failures)
        assert (name, verdict) == ("c", "slower")
        assert text.startswith("50 % slower than in 6 saved runs (95 % interval ")
        assert text.endswith(" %), trained 4 times")
        low, high = answer.failures[0].figures["interval"]
        assert f"interval {low:.0f} to {high:.0f} %" in text
        assert len(self.asked) == 3
        assert sorted(self.asked[0]) == sorted(self.ROWS)
        assert self.asked[0][0] == "c"

    def test_a_row_that_cannot_be_trained_again_is_judged_by_its_first_training(self):
        answer = self.ask(self.saved(6), c=1.5)
        assert answer.notes[0] == "Rows that look slower could not be trained again: no space left"
        ((_, _, text, _),) = summarize(answer.failures)
        assert text.endswith("trained once")

    def test_all_rows_together(self):
        answer = self.ask(self.saved(6), **dict.fromkeys(self.ROWS, 1.5))
        ((name, verdict, text, _),) = summarize(answer.failures)
        assert (name, verdict) == (None, "slower")
        assert text.startswith("all rows together are 50 % slower than in 6 saved runs (95 % interval ")
        assert text.endswith(" %)")

    def test_slowdowns_that_may_go_undetected(self):
        answer = self.ask(self.saved(6), 1.0)
        first, *_ = summarize(answer.underpowered)
        text = "slowdowns of 1 % may go undetected; smallest detectable slowdown in parentheses"
        assert first[1:3] == ("underpowered", text)
        assert [f"{each.figures['detectable']:.0f} %" for each in answer.underpowered] == [
            each.takes for each in answer.underpowered
        ]
        assert answer.notes[-1] == (
            "To detect smaller slowdowns, save more runs, train more epochs (--scale paper), or use A/B "
            "(make ab BASE=REVISION)."
        )

    def test_rows_that_no_saved_run_has_are_listed(self):
        notes = self.ask(self.saved(5), new=1.0).notes
        assert notes[-1] == "Not in any saved run, so not compared: new."

    def test_too_few_rows_are_not_judged_together(self, monkeypatch):
        monkeypatch.setattr(self.__class__, "ROWS", "abc")
        answer = self.ask(self.saved(5))
        assert [each.case for each in answer.passed] == ["a", "b", "c"]
        assert "in the noisiest row; gate.json" in answer.notes[0]
