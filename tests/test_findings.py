"""What the gates say of made-up runs, to the word; `test_gate` has them in sessions."""

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
    "nothing was compared: needs 5 saved runs of a row with the same settings, on such hardware, and "
    "no row has more than {}"
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
    """A case of four epochs of `epoch` seconds."""
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


def said(findings):
    return [(each.case, each.verdict, each.text, each.takes) for each in findings]


class TestAccuracy:
    def ask(self, ours, theirs, points=1.0, **options):
        answer = empty()
        run = SavedRun(Path("0007_base.json"), by_name(*theirs))
        accuracy_gate.check_accuracies(answer, by_name(*ours), run, points, **{"bare": False, **options})
        for finding in (*answer.failures, *answer.underpowered, *answer.passed):
            assert finding.gate == "--accuracy-compare-fail"
        return answer

    def test_what_is_as_it_was_or_fell_or_cannot_be_told(self):
        before, lower = [0.75, 0.875, 0.625], [0.5, 0.625, 0.375]  # exact in binary
        answer = self.ask(
            [case("same", before), case("lower", lower), case("one", [0.9])],
            [case("same", before), case("lower", before), case("one", [0.95])],
        )
        assert said(answer.passed) == [("same", "identical", "identical", "")]
        accuracies = "test accuracy 0.7500, now 0.5000 (25.00 points lower, mean of 3 seeds, p = 0)"
        worse = f"learns worse: {accuracies}"
        assert said(answer.failures) == [("lower", "learns worse", f"{worse} than in 0007_base", "")]
        unseen = (
            "one seed cannot distinguish a drop of 1 point from noise "
            "(use --replicates, or --fail-bare-falls)"
        )
        assert said(answer.underpowered) == [("one", "underpowered", unseen, "")]
        assert answer.notes == [
            "Learning: 3 rows against 0007_base: 1 identical, 1 worse, 1 inconclusive."
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

    def test_one_seed_fell_where_bare_falls_count(self):
        answer = self.ask([case("one", [0.94])], [case("one", [0.95])], 0.5, bare=True)
        worse = "learns worse: test accuracy 0.9500, now 0.9400 (1.00 points lower, one seed)"
        assert said(answer.failures) == [("one", "learns worse", f"{worse} than in 0007_base", "")]

    @pytest.mark.parametrize(
        ("now", "by"),
        [
            (0.75, "unchanged"),
            (0.755, "0.50 points higher"),
            (0.77, "2.00 points higher"),
            (0.745, "0.50 points lower"),
        ],
    )
    def test_to_be_late_is_to_learn_worse_whatever_the_accuracy(self, now, by):
        seeds = 200  # of which every second one reaches it two epochs later
        ours = case("late", [now] * seeds, epochs_to={"0.90": [1, 3] * 100, "0.97": [None] * seeds})
        answer = self.ask([ours], [case("late", [0.75] * seeds)])
        ((_, verdict, text, _),) = said(answer.failures)
        p = f"{answer.failures[0].figures['p']:.2g}"
        assert verdict == "learns worse"
        assert text == (
            f"reaches 90% 1.0 epochs later; test accuracy 0.7500, now {now:.4f} ({by}, mean of 200 "
            f"seeds, p = {p}) than in 0007_base"
        )

    def test_two_seeds_are_several(self):
        answer = self.ask([case("row", [0.5, 0.625])], [case("row", [0.75, 0.875])])
        assert "(25.00 points lower, mean of 2 seeds, p = 0)" in answer.failures[0].text

    @pytest.mark.parametrize(
        ("points", "noise", "fall", "takes"),
        [(2, 0.03, "2 points", "about 39"), (0.01, 0.03, "0.01 points", "over 1000")],
    )
    def test_what_a_few_seeds_might_have_missed(self, points, noise, fall, takes):
        ours = case("noisy", [0.5 + noise, 0.5 - noise, 0.5])
        same = case("same")
        answer = self.ask([ours, same], [case("noisy", [0.5] * 3), same], points)
        text = f"3 seeds may have missed a drop of {fall}; the seeds needed are in brackets"
        assert said(answer.underpowered) == [("noisy", "underpowered", text, takes)]
        assert answer.failures == []
        assert (answer.holds, answer.inconclusive) == (True, True)

    def test_a_gate_that_can_decide_no_row_fails(self):
        answer = self.ask([case("a", [0.9]), case("b", [0.9])], [case("a", [0.8]), case("b", [0.8])])
        text = "no row could be decided: 2 rows compared with 0007_base, all inconclusive"
        assert said(answer.failures) == [(None, "inconclusive", text, "")]
        assert not answer.holds

    def test_what_is_not_in_both_or_not_alike_is_not_compared(self):
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
        assert said(answer.failures) == [
            ("other", "not compared", f"{cannot}engine numba there, eager here", ""),
            ("seeds", "not compared", f"{cannot}no seed in common", ""),
        ]
        assert answer.notes == [
            "Not in 0007_base, so not compared: new.",
            "Learning: 1 row against 0007_base: 1 identical.",
        ]

    def test_nothing_in_common_is_a_failure(self):
        answer = self.ask([case("a")], [case("b")])
        text = "nothing was compared: this run and 0007_base have no row in common"
        assert said(answer.failures) == [(None, "not compared", text, "")]
        assert answer.notes == []


class TestTimes:
    """Of six rows; the saved runs differ by a thousandth."""

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

    def test_too_few_saved_runs_fail_it(self):
        answer = self.ask([*self.saved(6, device_name="another CPU"), *self.saved(4, first=7)])
        assert said(answer.failures) == [(None, "not compared", NOTHING.format(4), "")]
        assert answer.underpowered == answer.passed == answer.notes == []

    def test_runs_of_another_kind_are_none(self):
        answer = self.ask(self.saved(6, device_name="another CPU"))
        assert said(answer.failures) == [(None, "not compared", NOTHING.format(0), "")]

    def test_a_row_with_too_few_runs_of_its_own_is_inconclusive(self):
        """The others are judged, by all of theirs."""
        runs = self.saved(6)
        for run in runs[:2]:
            del run.cases["b"]
        answer = self.ask(runs)
        text = "a row needs 5 saved runs that can be compared; how many it has is in brackets"
        assert said(answer.underpowered) == [("b", "underpowered", text, "4")]
        assert [each.case for each in answer.passed] == [None, *"acdef"]
        assert answer.inconclusive

    def test_a_row_whose_saved_runs_are_all_of_another_kind_is_inconclusive(self):
        """It was trained by another engine, say, without a word of anybody's."""
        runs = self.saved(6)
        for run in runs:
            run.cases["b"] = case("b", engine="eager")
        assert [(each.case, each.takes) for each in self.ask(runs).underpowered] == [("b", "0")]

    def test_an_accepted_run_counts_for_its_own_rows(self):
        runs = self.saved(6)
        runs[3:3] = [SavedRun(Path("0004_accepted.json"), by_name(case("b", epoch=1.5)))]
        answer = self.ask(runs, b=1.5)
        assert [(each.case, each.takes) for each in answer.underpowered] == [("b", "4")]
        assert [each.figures["saved_runs"] for each in answer.passed if each.case] == [6] * 5

    def test_only_the_name_accepted_accepts(self):
        runs = [*self.saved(6, last="not_accepted"), *self.saved(3, first=7)]
        assert "6 rows against 9 saved runs" in self.ask(runs).notes[0]

    def test_a_run_that_could_decide_no_row_fails(self):
        answer = self.ask(self.saved(6), 0.01)
        text = "no row could be decided: 6 rows compared with 6 saved runs, all inconclusive"
        assert said(answer.failures) == [(None, "inconclusive", text, "")]

    def test_how_many_runs_could_count_is_that_of_the_row_with_most(self):
        runs = [*self.saved(4), *self.saved(3, first=5, scale="paper")]
        del runs[0].cases["a"]
        assert time_gate.most_that_could_count(runs, {"scale": "quick", "replicates": 1}) == 4
        assert time_gate.most_that_could_count(runs, {"scale": "quick", "replicates": 2}) == 0
        assert time_gate.most_that_could_count([], {}) == 0

    def test_rows_that_no_later_whole_run_lacks_are_absent(self):
        runs = self.saved(4)
        runs[2] = replace(runs[2], cases=by_name(case("a")), whole=True)
        runs[3] = replace(runs[3], cases=by_name(case("b")))
        current = by_name(case("c"))
        assert time_gate.absent(current, runs, runs) == {"a": "0003_base", "b": "0004_base"}
        assert time_gate.absent(current, runs, runs[:1]) == {"a": "0001_base"}

    def test_five_are_enough(self):
        answer = self.ask(self.saved(5))
        assert said(answer.passed) == [
            (row, "not slower", "not slower", "") for row in (None, *self.ROWS)
        ]
        assert [each.gate for each in answer.passed] == ["--time-compare-fail"] * 7
        (note,) = answer.notes
        assert note.startswith(
            "Times: 6 rows against 5 saved runs. A slowdown of 6 % in the median row would have been "
            "found, of 6 % in the noisiest, of 6 % in all rows together (gate.json has each row's)."
        )
        assert answer.passed[1].figures.keys() == {
            "percent", "interval", "p", "trainings", "saved_runs", "detectable",
        }  # fmt: skip
        assert answer.passed[1].figures["saved_runs"] == 5
        assert self.asked == []

    def test_the_newest_thirty_count_from_an_accepted_one_on(self):
        assert "6 rows against 30 saved runs" in self.ask(self.saved(31)).notes[0]
        runs = [*self.saved(9, last="accepted"), *self.saved(5, first=10)]
        assert "6 rows against 6 saved runs" in self.ask(runs).notes[0]
        runs = [*self.saved(2, last="accepted"), *self.saved(9, first=3, last="accepted")]
        assert said(self.ask(runs).failures) == [(None, "not compared", NOTHING.format(1), "")]

    def test_a_slower_row_fails_after_three_more_trainings(self):
        answer = self.ask(self.saved(6), retrained=[{"c": 1.5}] * 4, c=1.5)
        ((name, verdict, text, _),) = said(answer.failures)
        assert (name, verdict) == ("c", "slower")
        assert text.startswith("slower by 50 % (95 % interval ")
        assert text.endswith(" %) than in 6 saved runs, trained 4 times")
        low, high = answer.failures[0].figures["interval"]
        assert f"interval {low:.0f} to {high:.0f} %" in text
        assert len(self.asked) == 3
        assert sorted(self.asked[0]) == sorted(self.ROWS)
        assert self.asked[0][0] == "c"

    def test_a_row_that_cannot_be_trained_again_is_judged_by_what_there_is(self):
        answer = self.ask(self.saved(6), c=1.5)
        assert answer.notes[0] == "Suspect rows could not be trained again: no space left"
        ((_, _, text, _),) = said(answer.failures)
        assert text.endswith("trained once")

    def test_all_rows_together(self):
        answer = self.ask(self.saved(6), **dict.fromkeys(self.ROWS, 1.5))
        ((name, verdict, text, _),) = said(answer.failures)
        assert (name, verdict) == (None, "slower")
        assert text.startswith("All rows together are slower by 50 % (95 % interval ")
        assert text.endswith(" %) than in 6 saved runs.")

    def test_what_might_have_been_missed(self):
        answer = self.ask(self.saved(6), 1.0)
        first, *_ = said(answer.underpowered)
        text = "may have missed a slowdown of 1 %; the detectable one is in brackets"
        assert first[1:3] == ("underpowered", text)
        assert [f"{each.figures['detectable']:.0f} %" for each in answer.underpowered] == [
            each.takes for each in answer.underpowered
        ]
        assert answer.notes[-1] == (
            "Smaller slowdowns can be detected with more saved runs, more epochs (--scale paper), or "
            "A/B (make ab BASE=REVISION)."
        )

    def test_rows_that_no_saved_run_has_are_said(self):
        assert self.ask(self.saved(5), new=1.0).notes[-1] == "Not in saved runs, so not compared: new."

    def test_without_all_rows_nothing_is_said_of_them_together(self, monkeypatch):
        monkeypatch.setattr(self.__class__, "ROWS", "abc")
        answer = self.ask(self.saved(5))
        assert [each.case for each in answer.passed] == ["a", "b", "c"]
        assert "in the noisiest (gate.json" in answer.notes[0]
