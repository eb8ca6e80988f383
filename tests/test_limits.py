"""Constants met from below, exactly and from above; and of what is left out, which part it is."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.ab import comparison
from harness.ab.decision import LOOKS, _learned, decide_learning
from harness.ab.turns import Pass
from harness.commands import noise
from harness.compare.learning import Learning, compare_learning
from harness.exercise import Row
from harness.files import sealed
from harness.files.record import AddedSeeds, Decision
from harness.gates import time_gate
from harness.gates.baselines import SavedRun
from harness.gates.gate_result import GateResult
from harness.gates.slowdown import CONTROLS, Trainings, judge
from harness.history import detection, past_runs
from harness.history.detection import BEFORE, COMPARED, FEWEST_BEFORE, Detection
from harness.plugin import job_summary, preconditions
from harness.report import load
from harness.report.alike import numeric_settings, representatives
from harness.report.figures.curve_rows import _epochs, curve_rows
from harness.report.figures.end_labels import label_positions
from harness.report.figures.figure import interval_note, spans_decades
from harness.report.figures.setting_panel import SettingAxis
from harness.report.headline import headline
from harness.report.inline_svg import that_fit
from harness.report.series import lines_of
from harness.results import exercise_stories
from harness.results.evenness import is_spoilt, slowest_epoch
from harness.stats import format_mean
from model.engines import proof
from model.engines.cuda_graph.rates import STEPS, graphs, schedule
from model.engines.numba_loop import engine as numba_engine
from model.experiment import Experiment
from model.optimizers import SGD, Adam
from tests import reports
from tests.data import made_up
from tests.made_up_runs import FIRST, RUN, claim, run_of, trained

# Gates: which runs, how many, and by what time -------------------------------------------------------


def saved_case(fastest, *, alike=True):
    differing = [] if alike else ["batch_size was 1 and is now 2"]
    return SimpleNamespace(
        stats=SimpleNamespace(min=fastest, mean=1.0), differences=lambda *_: differing
    )


def compared(count, **how):
    """Returns what the time gate compares with: the numbers of the saved runs, and the judgement."""
    runs = [
        SavedRun(Path(f"{number:04}_run.json"), {"a": saved_case(1.0 + number)})
        for number in range(count)
    ]
    judged = []

    def recorded(now, saved, percent):
        judged.append(saved)
        return judge(now, saved, percent)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(time_gate, "judge", recorded)
        result = GateResult(failures=[], underpowered=[], passed=[], notes=[], strict=False)
        used = time_gate.check_times(result, {"a": saved_case(1.0, **how)}, runs, 10.0, lambda _: {})
    return [int(run.path.stem[:4]) for run in used], judged, result


@pytest.mark.parametrize(
    ("count", "used"),
    [
        (5, range(5)),
        (6, range(6)),
        (29, range(29)),
        (30, range(30)),
        (31, range(1, 31)),
        (40, range(10, 40)),
    ],
)
def test_the_newest_thirty_runs_are_compared(count, used):
    found, judged, _ = compared(count)
    assert found == [*used]
    assert judged[0] == [{"a": 1.0 + number} for number in used]  # the fastest epoch, not the mean


def test_four_saved_runs_are_too_few():
    found, judged, result = compared(4)
    assert (found, judged) == ([], [])
    assert "no row has more than 4" in result.failures[0].text


def test_a_single_row_varies_in_the_saved_runs_and_in_this_one():
    """Its error is that of a run and of the mean of five: the deviation times the root of 1 + 1/5."""
    logs = [0.0, 0.02, -0.01, 0.03, 0.01]
    found = judge([Trainings({"a": 1.1})], [{"a": math.exp(each)} for each in logs], 10.0).rows["a"]
    deviation = math.sqrt(sum((each - 0.01) ** 2 for each in logs) / 4)
    assert found.difference.error == pytest.approx(deviation * math.sqrt(1.2))
    assert found.difference.estimate == pytest.approx(math.log(1.1) - 0.01)
    assert (found.difference.freedom, found.saved) == (4, 5)


@pytest.mark.parametrize("rows", [CONTROLS - 1, CONTROLS])
def test_rows_are_judged_together_from_five_on(rows):
    names = "abcdefgh"[:rows]
    saved = [dict.fromkeys(names, 1.0 + 0.01 * run) for run in range(6)]
    judged = judge([Trainings(dict.fromkeys(names, 1.0))], saved, 10.0)
    assert (judged.together is not None) == (rows == 5)


# Learning --------------------------------------------------------------------------------------------


def learned(seeds, accuracies, epochs, *, most=20):
    return Learning([*seeds], most, [*accuracies], {"0.90": [*epochs]})


@pytest.mark.parametrize(("late", "outcome"), [(19, "held"), (20, "fell"), (21, "fell")])
def test_a_delay_of_half_an_epoch_counts(late, outcome):
    """Of 40 seeds, so many reach the target an epoch later: a mean of just under, or exactly, 0.5."""
    before = learned(range(40), [0.95] * 40, [3] * 40)
    now = learned(range(40), [0.95] * 40, [4] * late + [3] * (40 - late))
    found = compare_learning({"a": now}, {"a": before}, 1.0)["a"]
    assert found.outcome == outcome
    assert (found.delay is not None) == (outcome == "fell")


def test_runs_are_compared_under_the_seeds_that_both_have():
    """Seeds 1, 2 and 4 are in both, in another order; the others would make it look worse."""
    ours = learned([4, 1, 2, 9], [0.94, 0.91, 0.92, 0.1], [4, 1, 2, 20])
    theirs = learned([0, 1, 2, 4], [0.99, 0.91, 0.93, 0.94], [1, 1, 2, 4])
    found = compare_learning({"a": ours}, {"a": theirs}, 1.0)["a"]
    assert (found.seeds, found.delay) == (3, None)
    assert found.now == pytest.approx((0.94 + 0.91 + 0.92) / 3)
    assert found.before == pytest.approx((0.94 + 0.91 + 0.93) / 3)
    same = learned([4, 2], [0.94, 0.93], [4, 2])
    assert compare_learning({"a": same}, {"a": theirs}, 1.0)["a"].outcome == "identical"


def test_never_is_later_than_in_the_last_epoch():
    """A row that reached the target in the last epoch, and no longer does, is an epoch later."""
    before = learned(range(20), [0.95] * 20, [20] * 20)
    now = learned(range(20), [0.95] * 20, [None] * 20)
    found = compare_learning({"a": now}, {"a": before}, 1.0)["a"]
    assert (found.outcome, found.delay) == ("fell", "reaches 90% accuracy 1.0 epochs later")


# A/B and noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_every_pass_of_a_comparison_has_seeds_of_its_own(monkeypatch, seeds):
    asked = []

    def take_turns(row, pair, given, *, whole):
        asked.append(given)
        ratio = 0.2 * (-1) ** len(asked)  # undecided, so that there are all passes
        return SimpleNamespace(ratio=ratio, curves=([], []), seeds=given, targets=())

    monkeypatch.setattr(comparison, "take_turns", take_turns)
    row = SimpleNamespace(case="a", name="a", settings={"device": "cpu"})
    selection = SimpleNamespace(rows=[row], settings=SimpleNamespace(seeds=seeds))
    comparison.compare_checkouts(selection, None, None, percent=10.0, points=1.0)
    assert len(asked) == LOOKS[-1]
    assert [seed for each in asked for seed in each] == [*range(LOOKS[-1] * len(seeds))]


def test_learning_is_compared_over_the_seeds_of_all_passes():
    """Of four seeds in two passes, the second pass's two end ten points lower in the head."""
    passes = [
        Pass([0, 1], curves=([[0.5, 0.5], [0.9, 0.92]], [[0.5, 0.5], [0.9, 0.92]]), targets=(0.9,)),
        Pass([2, 3], curves=([[0.5, 0.95], [0.9, 0.94]], [[0.5, 0.5], [0.8, 0.84]]), targets=(0.9,)),
        Pass([4, 5]),  # not trained whole
    ]
    found = decide_learning({"a": passes}, 1.0, LOOKS[-1])["a"]
    assert found.seeds == 4
    assert found.before == pytest.approx((0.9 + 0.92 + 0.9 + 0.94) / 4)
    assert found.now == pytest.approx((0.9 + 0.92 + 0.8 + 0.84) / 4)
    base, head = (_learned(passes[:2], side) for side in (0, 1))
    assert base.epochs_to == {"0.90": [2, 2, 2, 1]}
    assert head.epochs_to == {"0.90": [2, 2, None, None]}
    assert (head.seeds, head.epochs) == ([0, 1, 2, 3], 2)


def test_noise_is_between_runs_and_a_run_is_judged_by_those_before_it(monkeypatch, tmp_path):
    """The fastest epochs take e^0, e^0.1 and e^0.5 s; the means say something else."""
    fastest = [0.0, 0.1, 0.5]
    runs = iter(
        {"a": SimpleNamespace(stats=SimpleNamespace(min=math.exp(each), mean=4.0 - number, stddev=0.4))}
        for number, each in enumerate(fastest)
    )
    settings = SimpleNamespace(device="cpu", scale="quick", report_dir=tmp_path / "report")
    selection = SimpleNamespace(rows=[SimpleNamespace(case="a")], settings=settings, root=tmp_path)
    passes = [SimpleNamespace(ratio=each) for each in (0.01, 0.03, 0.02, 0.06)]
    difference = SimpleNamespace(detectable=lambda level: 0.05)
    compared = SimpleNamespace(
        passes={"a": passes}, errors={}, speeds={"a": SimpleNamespace(difference=difference)}
    )
    judged = []

    def recorded(now, saved, percent):
        judged.append((now, saved))
        return judge(now, saved, percent)

    monkeypatch.setattr(noise, "select", lambda _: selection)
    monkeypatch.setattr(noise, "retrain", lambda *_: next(runs))
    monkeypatch.setattr(noise, "compare_checkouts", lambda *_, **__: compared)
    monkeypatch.setattr(noise, "judge", recorded)
    noise.measure_noise(3, [])
    ((now, saved),) = judged
    assert [each["a"] for each in saved] == [1.0, math.exp(0.1)]
    assert [each.seconds["a"] for each in now] == [math.exp(0.5)]
    (row,) = json.loads((tmp_path / "report" / "noise.json").read_text())["rows"]
    assert row["within"] == pytest.approx(100 * 0.4 / 3)  # the median of 0.4 over 4, 3 and 2
    assert row["between"] == pytest.approx(100 * np.std(fastest, ddof=1))
    assert row["in_turns"] == pytest.approx(100 * math.sqrt(0.0014 / 3))
    assert row["ab_detectable"] == pytest.approx(100 * math.expm1(0.05))
    assert row["ab_passes"] == 4


# Histories --------------------------------------------------------------------------------------------


def test_a_run_of_the_past_has_means_over_seeds():
    """One of three seeds of the first row reaches 97 %: no mean of the others would be fair."""
    found = past_runs._of_report(RUN).rows
    rows = {case.partition("[")[2].rstrip("]"): each for case, each in found.items()}
    first, adam = rows["sgd-lr0.01"], rows["adam-lr0.1"]
    assert (first.accuracy, first.epochs_to_target) == (pytest.approx(0.93), None)
    assert first.accuracy_half_width == pytest.approx(0.043027 * math.sqrt(13 / 3), abs=1e-4)
    assert (first.seconds, first.total) == (3, 12)
    assert (adam.accuracy_half_width, adam.epochs_to_target, adam.target) == (0, 3, "0.97")
    assert (adam.seconds, adam.total) == (1, 7)
    assert dict(first.machine)["replicates"] == "3"


def test_seeds_that_were_added_for_a_claim_are_no_step():
    """The last of three seeds was added: the mean is that of the first two, 0.9 and 0.92."""
    (name,) = [name for name in RUN.cases if name.endswith("[sgd-lr0.01]")]
    added = [AddedSeeds(seeds=[2], seconds=5.0)]
    cases = {**RUN.cases, name: RUN.cases[name].model_copy(update={"added": added})}
    found = past_runs._of_report(replace(RUN, cases=cases)).rows
    assert found[name].accuracy == pytest.approx(0.91)
    assert dict(found[name].machine)["replicates"] == "2"
    assert dict(past_runs._of_report(RUN).rows[name].machine)["replicates"] == "3"


def test_a_resumed_row_is_not_of_the_run():
    case = RUN.summary.cases[0]
    run = run_of({FIRST: {"a": trained(SGD(0.1), (0.1, 0.5), seconds=(0, 1))}})
    resumed = {name: each.model_copy(update={"resumed": True}) for name, each in run.cases.items()}
    assert case.resumed is False
    assert past_runs._of_report(run).rows
    object.__setattr__(run, "cases", resumed)
    assert past_runs._of_report(run).rows == {}


@pytest.mark.parametrize("runs", [218, 219, 220, 221, 230])
def test_a_look_goes_back_two_hundred_and_twenty_runs(monkeypatch, runs):
    assert BEFORE + COMPARED[-1] == 220
    seen = []
    monkeypatch.setattr(
        detection, "_steps", lambda columns, level, least: seen.append(columns[:, 0].tolist()) or {}
    )
    looks = Detection(1, least=1.0, shared=False)
    for number in range(runs):
        looks.look(np.array([float(number)]))
    assert seen[-1] == [float(number) for number in range(max(0, runs - 220), runs)]


@pytest.mark.parametrize("count", [7, 8, 9, 10, 11])
def test_a_step_is_sought_with_five_runs_before_it(monkeypatch, count):
    sizes = []

    def stepped(values, size, level, least):
        sizes.append(size)
        return np.zeros(values.shape[1], bool)

    monkeypatch.setattr(detection, "_stepped", stepped)
    values = np.sin(np.arange(count, dtype=float))[:, None]
    detection._steps(values, 1e-3, 0.1)
    assert sizes == [size for size in (3, 5, 8, 12, 20) if count >= FEWEST_BEFORE + size]


@pytest.mark.parametrize(
    ("before", "since", "change", "found"),
    [(5, 2, 1.0, 2), (4, 2, 1.0, 0), (5, 1, 1.0, 0), (6, 3, 1.0, 3), (5, 2, 0.99, 0), (5, 2, -1.0, 2)],
)
def test_reproducible_values_step_after_two_runs(before, since, change, found):
    values = np.array([3.0] * before + [3.0 + change] * since)
    assert detection._reproducible(values, 1.0) == found
    varied = values.copy()
    varied[0] += 0.001
    assert detection._reproducible(varied, 1.0) == 0


# Times of epochs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "slowest", "spoilt"),
    [
        ([1, 9], None, False),
        ([1, 1, 9], 9, True),
        ([1, 1, 1.75], 1.75, False),
        ([1, 1, 2], 2, True),  # a third of three epochs
        ([1, 1, 1, 1, 2], 2, False),  # a fifth
        ([1, 1, 1, 2], 2, True),  # exactly a quarter
        ([0.125, 0.125, 0.375], 3, True),  # exactly 0.25 s
        ([0.125, 0.125, 0.37], 2.96, False),
    ],
)
def test_epochs_out_of_line(epochs, slowest, spoilt):
    seconds = np.concatenate([[0], np.cumsum(epochs)])
    assert slowest_epoch(seconds) == (None if slowest is None else pytest.approx(slowest))
    assert is_spoilt(seconds) is spoilt


# Engines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "replicates", "available", "cores"),
    [
        (31, 1, 4, 1), (32, 1, 4, 1), (63, 1, 4, 1), (64, 1, 4, 2), (65, 1, 4, 2), (95, 1, 4, 2),
        (96, 1, 4, 3), (128, 1, 4, 4), (60000, 1, 4, 4), (60000, 1, 3, 3),
        (64, 2, 4, 4), (63, 2, 4, 2), (64, 3, 4, 3), (64, 4, 4, 4), (64, 5, 4, 4), (128, 2, 5, 4),
    ],
)  # fmt: skip
def test_a_thread_has_thirty_two_examples_or_more(size, replicates, available, cores):
    case = Experiment(optimizer=SGD(0.1), batch_size=size, epochs=1)
    assert numba_engine.cores(case, replicates, available) == cores


class _ReachedError(Exception):
    """The engine has asked for its workspace."""


@pytest.mark.parametrize(
    ("size", "threads", "each", "examples"),
    [
        (1, 4, 1, 1), (255, 1, 1, 255), (256, 1, 1, 256), (257, 1, 1, 256), (60000, 1, 1, 256),
        (255, 4, 4, 64), (256, 4, 4, 64), (257, 4, 4, 64), (100, 3, 3, 34), (64, 4, 2, 32),
    ],
)  # fmt: skip
def test_a_threads_workspace_has_its_part_of_a_wave(monkeypatch, size, threads, each, examples):
    asked = []

    def zeros(network, count, room):
        asked.append((count, room))
        raise _ReachedError

    monkeypatch.setattr(numba_engine.compilation, "kernels", lambda network: None)
    monkeypatch.setattr(numba_engine, "Chunk", SimpleNamespace(zeros=zeros))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    case = Experiment(optimizer=SGD(0.1), batch_size=size, epochs=1)
    with pytest.raises(_ReachedError):
        numba_engine.Engine(case, made_up(), (0,))
    assert asked == [(each, examples)]


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1100])
@pytest.mark.parametrize("rest", [0, 1])
def test_an_epoch_replays_graphs_that_were_captured(steps, rest):
    size = 10
    examples = steps * size + rest
    captured, replays = graphs(examples, size), schedule(examples, size)
    assert {*replays} <= {*captured}
    assert sum(count * batch for count, batch in replays) == examples
    assert [count for count, batch in captured if batch == size] == [
        each for each in STEPS if each <= steps
    ]
    # No graph is replayed as often as the next longer one has steps.
    for longer, length in ((512, 64), (64, 8), (8, 1)):
        assert replays.count((length, size)) < longer // length


@pytest.mark.parametrize(
    ("by_engine", "limit", "slow"),
    [(1.0, 1.2, False), (1.19, 1.2, False), (1.21, 1.2, True), (1.25, 1.25, True), (1.249, 1.25, False)],
)
def test_an_engine_that_takes_a_fifth_more_than_eager_is_too_slow(monkeypatch, by_engine, limit, slow):
    """Of the turns, the fastest one of each counts. A limit of 1.25 can be met exactly."""
    assert proof._SLOWER == 1.2
    monkeypatch.setattr(proof, "_SLOWER", limit)

    class Clock:
        def __init__(self, _):
            pass

        def running(self):
            return self

        def __enter__(self):
            self.seconds = next(times)

        def __exit__(self, *_):
            pass

    def turns():
        for late in (9.0, 9.0, 9.0, 0.0, 5.0, 0.0, 5.0, 9.0):
            yield 2**-10 * (1 + late)
            yield 2**-10 * (by_engine + late)

    times = turns()
    monkeypatch.setattr(proof, "Stopwatch", Clock)
    monkeypatch.setattr(proof, "distance", lambda *_: 0.0)
    runner = SimpleNamespace(epoch=lambda *_: None, parameters=list)
    engine = SimpleNamespace(NAME="other", Engine=lambda *_: runner)
    monkeypatch.setattr(proof.eager, "Engine", lambda *_: runner)
    case = Experiment(optimizer=SGD(0.1), batch_size=100, epochs=1)
    assert proof._compared(engine, case, made_up()).slow is slow


DAY = 24 * 3600
KEY = {"engine": "other"}


@pytest.mark.parametrize(
    ("ago", "known"), [(0, True), (DAY - 5, True), (DAY + 5, False), (-5, False), (2 * DAY, False)]
)
def test_a_slow_engine_is_tried_again_after_a_day(monkeypatch, tmp_path, ago, known):
    case = Experiment(optimizer=SGD(0.1), batch_size=77, epochs=1)
    engine, device = SimpleNamespace(NAME="other"), torch.device("cpu")
    monkeypatch.setattr(proof, "_folder", lambda: tmp_path)
    monkeypatch.setattr(proof, "_key", lambda *_: KEY)
    monkeypatch.setattr(proof, "_known", {})
    content = {"key": KEY, "left_out_because": "slow", "slow_since": time.time() - ago}
    (tmp_path / proof._name(KEY)).write_text(json.dumps(content))
    found = proof.kept_answer(engine, case, device)
    assert (found is not None) == known


# Reports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [999, 1000, 1001])
def test_the_first_thousand_claims_are_read(count):
    entries = [claim(FIRST, f"c{at}", "reproduced").model_dump() for at in range(count)]
    left_out = []
    found = load._valid(Decision, entries, "claim", left_out)
    assert [each.id for each in found] == [each["id"] for each in entries[:1000]]
    assert left_out == (["1 claims beyond the first 1000"] if count > 1000 else [])


@pytest.mark.parametrize(("spare", "read"), [(-1, 0), (0, 1), (1, 1)])
def test_records_that_just_fit_are_read(tmp_path, spare, read):
    (tmp_path / "runs").mkdir()
    path = reports.write_record(tmp_path, RUN.curves[RUN.summary.cases[1].id].model_dump(mode="json"))
    left_out = []
    found = [*load._records(tmp_path / "runs", path.stat().st_size + spare, left_out)]
    assert (len(found), len(left_out)) == (read, 1 - read)


@pytest.mark.parametrize(("count", "named"), [(1, True), (7, True), (8, True), (9, False)])
def test_eight_lines_have_their_names_at_their_ends(count, named):
    ends = {f"line {at}": 20.0 * at for at in range(count)}
    assert bool(label_positions(ends, 250)) == named


@pytest.mark.parametrize(("length", "named"), [(23, True), (24, True), (25, False)])
def test_names_at_the_ends_have_twenty_four_characters(length, named):
    assert bool(label_positions({"x" * length: 100.0}, 250)) == named


def test_names_are_twelve_pixels_apart_and_fifteen_from_their_lines():
    assert label_positions({"a": 100.0, "b": 112.0}, 250) == {"a": 100.0, "b": 112.0}
    assert label_positions({"a": 100.0, "b": 111.0}, 250) == {"a": 99.5, "b": 111.5}
    # Three at one height: 12 pixels from it; four: 18, which is too far.
    assert label_positions(dict.fromkeys("abc", 100.0), 250) == {"a": 88.0, "b": 100.0, "c": 112.0}
    assert label_positions(dict.fromkeys("abcd", 100.0), 250) == {}
    # Two and one: the middle of a run of three is where their ends are on average.
    assert label_positions({"a": 100.0, "b": 103.0, "c": 103.0}, 250) == {
        "a": 90.0,
        "b": 102.0,
        "c": 114.0,
    }
    # Outside the panel by at most twelve pixels.
    assert label_positions(dict.fromkeys("abc", 0.0), 250) == {"a": -12.0, "b": 0.0, "c": 12.0}
    assert label_positions({**dict.fromkeys("abc", -1.0)}, 250) == {}


@pytest.mark.parametrize("last", [58, 59, 60, 61, 62, 63, 100, 1000])
def test_at_most_sixty_one_points_are_drawn(last):
    found = _epochs(last, 61)
    assert len(found) == min(last + 1, 61)
    assert found[:21].tolist() == [*range(21)]  # the first ones are all there
    assert found[-1] == last
    assert len({*found.tolist()}) == len(found)


@pytest.mark.parametrize(("lines", "points"), [(1, 61), (39, 61), (40, 60), (120, 20), (200, 20)])
def test_many_lines_share_the_points(lines, points):
    many = trained(SGD(0.1), (0.1, *[0.5] * 100), seconds=range(101))
    run = run_of({FIRST: {"a": many}})
    (line,) = lines_of(run, run.summary.exercises[0])
    rows = curve_rows([(line, line.curves)] * lines)
    assert len(rows) == lines * points


@pytest.mark.parametrize(
    ("values", "spread"), [([1, 9.99], False), ([1, 10], False), ([1, 10.01], True), ([0, 0], False)]
)
def test_more_than_a_decade_is_spread(values, spread):
    assert spans_decades([*values, None, 0]) is spread


@pytest.mark.parametrize(("count", "ticks"), [(11, True), (12, True), (13, False)])
def test_an_axis_has_a_tick_for_each_of_twelve_values(count, ticks):
    axis = SettingAxis("rate", [float(at + 1) for at in range(count)]).encoding().to_dict()["axis"]
    assert ("values" in axis) == ticks


def test_drawings_that_just_fit_are_kept():
    svgs = {"a": "x" * 10, "b": "x" * 5, "c": "x" * 7}
    assert {*that_fit(svgs, 22)} == {"a", "b", "c"}
    assert {*that_fit(svgs, 21)} == {"b", "c"}
    assert {*that_fit(svgs, 12)} == {"b", "c"}
    assert {*that_fit(svgs, 11)} == {"b"}


def at_rates(*rates, make=SGD, end=0.5):
    return {f"{make.__name__}{rate}": trained(make(rate), (0.1, end), seconds=(0, 1)) for rate in rates}


def lines(rows):
    run = run_of({FIRST: rows}, published={})
    return lines_of(run, run.summary.exercises[0])


@pytest.mark.parametrize("count", [2, 3])
def test_three_values_of_a_setting_are_worth_a_figure(count):
    found = numeric_settings(lines(at_rates(*(0.1 * (at + 1) for at in range(count)))))
    assert len(found) == (count == 3)


@pytest.mark.parametrize(("count", "shown"), [(13, 13), (14, 14), (15, 14)])
def test_fourteen_lines_can_be_distinguished(count, shown):
    rows = {f"r{at}": trained(SGD(0.1 + at), (0.1, 0.01 * at), seconds=(0, 1)) for at in range(count)}
    few = representatives(lines(rows), 14)
    assert [line.name for line in few.lines] == [*rows][count - shown :]
    assert bool(few.note) == (count > 14)


@pytest.mark.parametrize(("groups", "named"), [(2, True), (8, True), (9, False)])
def test_the_headline_names_the_best_of_eight_groups(groups, named):
    rows = {
        f"m{at}-{rate}": trained(SGD(rate, momentum=0.1 * at), (0.1, 0.5), seconds=(0, 1))
        for at in range(groups)
        for rate in (0.1, 0.2, 0.3)
    }
    found = headline(lines(rows)).partition(": ")[2].partition(". ")[0].count(";")
    assert (found + 1 == groups) == named


@pytest.mark.parametrize(("seeds", "note"), [(1, ""), (2, " Bands: 95 % intervals over 2 seeds.")])
def test_two_seeds_have_an_interval(seeds, note):
    assert interval_note(seeds) == note
    assert format_mean([0.5, 0.52][:seeds]) == ("0.500" if seeds == 1 else "0.510 ± 0.127")


# Files and names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "read"), [(9, True), (10, True), (11, False)])
def test_a_file_of_exactly_the_largest_size_is_read(tmp_path, size, read):
    (tmp_path / "file").write_bytes(b"x" * size)
    if read:
        assert len(sealed.read_bytes(tmp_path / "file", 10)) == size
    else:
        with pytest.raises(ValueError, match="it has more than"):
            sealed.read_bytes(tmp_path / "file", 10)


@pytest.mark.parametrize(("length", "accepted"), [(99, True), (100, True), (101, False)])
def test_a_row_has_a_name_of_a_hundred_characters(length, accepted):
    settings = {"optimizer": Adam(0.1), "batch_size": 10}
    if accepted:
        assert len(Row("x" * length, settings).name) == length
    else:
        with pytest.raises(ValueError, match="100"):
            Row("x" * length, settings)


@pytest.mark.parametrize(("length", "told"), [(999, True), (1000, True), (1001, False)])
def test_a_story_has_a_thousand_characters(length, told):
    exercise = SimpleNamespace(story=lambda _: "x" * length)
    stories, errors = exercise_stories.told({"m": (exercise, None)})
    assert (len(stories), len(errors)) == (told, not told)


@pytest.mark.parametrize(("limit", "refused"), [(63, True), (64, False), (-1, False), (65, False)])
def test_sixty_four_open_files_are_enough(monkeypatch, limit, refused):
    monkeypatch.setattr(preconditions.resource, "getrlimit", lambda _: (limit, limit))
    if refused:
        with pytest.raises(pytest.UsageError, match="expected at least 64"):
            preconditions._check_open_files()
    else:
        preconditions._check_open_files()


def test_a_summary_that_just_fits_is_not_cut(monkeypatch, tmp_path):
    target = tmp_path / "summary"
    target.write_bytes(b"x" * 100)
    text = "é" * 10 + "\n\n" + "y" * 20  # 42 bytes
    monkeypatch.setattr(job_summary, "_MOST", 100 + 200 + 42)
    assert job_summary._fitting(text, target) == text + "\n"
    monkeypatch.setattr(job_summary, "_MOST", 100 + 200 + 41)
    cut = job_summary._fitting(text, target)
    assert cut.startswith("é" * 10 + "\n\nThe rest is in summary.md")
