"""A/B: both sides take turns on the same examples, and their ratios are decided correctly."""

import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import harness.ab.comparison as comparison
import model.data.mnist
from harness.__main__ import main
from harness.ab import interpreter, output, turns
from harness.ab.decision import LOOKS, alarm_level, decide_learning, decide_speeds
from harness.ab.payload import Trainer as Worker
from harness.ab.progress import PassProgress, summary_of
from harness.ab.provenance import Provenance, provenance_of
from harness.ab.selection import select
from harness.ab.side import Checkout, Pair, Side, SideError
from harness.ab.turns import Pass, SelectedRow, take_turns
from harness.ab.worktree import python_of, worktree
from harness.commands.ab import compare_revisions as compare_with
from harness.hardware.lock_file import LockError
from harness.paths import ROOT
from harness.processes import as_ctrl_c, environment
from model.experiment import Experiment
from model.optimizers import SGD
from model.train import train
from tests.data import EXAMPLES, made_up
from tests.processes import wait_for_the_end_of

SETTINGS = {
    "scale": "quick",
    "dataset": "mnist",
    "device": "cpu",
    "engine": "eager",
    "replicates": 1,
    "data_root": "data",
    "cores": 1,
}
ROW = SelectedRow("bench/test_x.py::test_training[sgd]", "bench.test_x", "sgd", SETTINGS)


class Made(Pass):
    """A pass with a single ratio."""

    def __init__(self, ratio, curves=([[0.5]], [[0.5]]), seeds=(0,)):
        super().__init__(list(seeds), ("eager", "eager"), [(1.0, math.exp(ratio))], curves, (0.9, 0.97))


class TestDecision:
    def drawn(self, seed, size=0.0, noise=0.02, passes=4, rows=20):
        rng = np.random.default_rng(seed)
        ratios = {f"row {index}": rng.normal(0, noise, passes) for index in range(rows)}
        ratios["row 0"] += math.log1p(size)
        return {case: values.tolist() for case, values in ratios.items()}

    def test_equal_sides_are_the_same(self):
        """200 seeded comparisons, each with a false alarm in 300."""
        speeds = [
            {each.speed for each in decide_speeds(self.drawn(seed), 10, 4).values()}
            for seed in range(200)
        ]
        assert sum("slower" in found for found in speeds) <= 3
        assert sum(found == {"same"} for found in speeds) > 150

    @pytest.mark.parametrize(("size", "speed"), [(0.1, "slower"), (-0.1, "faster"), (0.03, "same")])
    def test_differences_are_detected(self, size, speed):
        found = [
            decide_speeds(self.drawn(seed, size, 0.015), 10, 4)["row 0"].speed for seed in range(100)
        ]
        assert found.count(speed) >= 90

    def test_too_much_noise_leaves_rows_undecided(self):
        found = decide_speeds(self.drawn(0, noise=0.2), 10, 4)
        assert {each.speed for each in found.values()} == {"undecided"}

    def test_one_disturbed_pass_causes_no_alarm(self):
        ratios = self.drawn(1, noise=0.005)
        ratios["row 3"][2] += 1
        assert decide_speeds(ratios, 10, 4)["row 3"].speed != "slower"

    def test_a_single_row_is_decided_by_its_own_noise(self):
        assert decide_speeds({"row": [0.10, 0.11, 0.10, 0.11]}, 10, 4)["row"].speed == "slower"
        assert decide_speeds({"row": [0.001, -0.001, 0.002, 0.0]}, 10, 4)["row"].speed == "same"

    def test_two_passes_show_what_is_the_same_but_not_what_is_slower(self):
        ratios = {**self.drawn(0, noise=0.003, passes=2), "slow": [0.3, 0.301]}
        found = decide_speeds(ratios, 10, 2)
        assert found.pop("slow").speed == "undecided"
        assert {each.speed for each in found.values()} == {"same"}

    @pytest.mark.parametrize(("size", "speed"), [(0.09, "slower"), (-0.09, "faster")])
    def test_a_change_that_is_known_exactly_is_not_the_same(self, size, speed):
        """Although a change of 10 % is excluded, after two passes already."""
        ratios = {**self.drawn(0, noise=0.003), "row": [size, size + 1e-4, size, size - 1e-4]}
        two = {case: values[:2] for case, values in ratios.items()}
        assert decide_speeds(two, 10, 2)["row"].speed == "undecided"
        assert decide_speeds(ratios, 10, 4)["row"].speed == speed

    def test_equal_ratios_are_no_proof_after_two_passes(self):
        assert decide_speeds({"row": [0.2, 0.2]}, 10, 2)["row"].speed == "undecided"

    def test_the_looks_share_the_rate_of_false_alarms(self):
        levels = [alarm_level(look) for look in LOOKS]
        assert levels[0] == 0
        assert min(levels[1:]) > 0
        assert math.fsum(levels) == pytest.approx(0.01)

    def test_learning_is_compared_over_all_seeds_of_whole_passes(self):
        better, worse = [[0.5], [0.98]], [[0.5], [0.95]]
        passes = [Made(0, (better, worse), [seed]) for seed in range(4)]
        assert decide_learning({"row": passes}, 1.0, 4)["row"].outcome == "fell"
        same = [Made(0, (better, better), [0]), Made(0, ([], []), [1])]
        assert decide_learning({"row": same}, 1.0, 2)["row"].outcome == "identical"


class TestKeptNoise:
    """Whole comparisons, with the noise of kept ones of two cores of a virtual machine.

    Passes are drawn from each row's own, with some noise added, so that three are never equal. The kept
    comparisons of unchanged and of slower code were made while the machine was quiet, and busy.
    """

    def compared(self, kept, rng, slower):
        """Returns the decisions of a comparison in which some rows are 10 % slower, and its passes."""
        rows = {}
        for row in kept["rows"]:
            logs = np.log(row["pass_ratios"])
            spread = (logs - logs.mean()) * (len(logs) / (len(logs) - 1)) ** 0.5
            drawn = rng.choice(spread, LOOKS[-1]) * rng.choice([-1, 1], LOOKS[-1])
            drawn += 0.5 * spread.std() * rng.standard_normal(LOOKS[-1])
            name = f"{row['id']} {len(rows)}"
            rows[name] = drawn / 1.25**0.5 + (math.log(1.1) if len(rows) in slower else 0.0)
        found = comparison.ABComparison(10, 1, {name: [] for name in rows})
        for number in range(1, LOOKS[-1] + 1):
            for name, ratios in rows.items():
                if found.is_open(name):
                    found.passes[name].append(Made(ratios[number - 1], seeds=[number]))
            if number in LOOKS:
                found.decide(number)
        speeds = [found.speeds[name].speed for name in rows]
        return speeds, [len(passes) for passes in found.passes.values()]

    @pytest.mark.parametrize(
        ("kept", "alarms", "detected", "missed", "passes"),
        [("ab-same", 2, 0.93, 0.05, 3.0), ("ab-slower", 4, 0.75, 0.05, 5.0)],
    )
    def test_false_alarms_and_detections(self, kept, alarms, detected, missed, passes):
        """In 40 comparisons each. Of fixed looks after 4, 6 and 8 passes, 94 % and 71 % detected."""
        path = ROOT / "reports" / "gates" / "epyc-2-cores" / kept / "ab.json"
        content, rng = json.loads(path.read_text()), np.random.default_rng(0)
        unchanged = [self.compared(content, rng, ()) for _ in range(40)]
        assert sum("slower" in speeds for speeds, _ in unchanged) <= alarms
        assert np.mean([counts for _, counts in unchanged]) <= passes
        changed = [self.compared(content, rng, range(0, 31, 4))[0][::4] for _ in range(40)]
        assert np.mean(np.array(changed) == "slower") >= detected
        assert np.mean(np.array(changed) == "same") <= missed


class FakeSide:
    """A side that takes `seconds` per example, by its own clock, and logs its turns."""

    def __init__(self, name, seconds, log, changed=None):
        self.name, self.seconds, self.log = name, seconds, log
        self.row = {"engine": "eager", "cores": 1, "epochs": 2, "batch_size": 10, "examples": 1000}
        self.row |= {"experiment": {"optimizer": "SGD"}, "targets": [0.9, 0.97], **(changed or {})}

    def ask(self, do, **request):
        if do == "turn":
            self.log.append((self.name, request["examples"]))
            return {"seconds": self.seconds * request["examples"]}
        return {"prepare": self.row, "build": {}, "evaluate": {"accuracy": [0.5]}}[do]


@pytest.fixture
def log():
    return []


def fake_pair(log, base=1e-3, head=1.1e-3, **changed):
    sides = FakeSide("base", base, log), FakeSide("head", head, log, changed)
    return SimpleNamespace(sides=lambda: sides)


class TestTurns:
    def test_both_sides_train_the_same_and_alternate_in_going_first(self, log):
        found = take_turns(ROW, fake_pair(log), [0], whole=True)
        pairs = [log[index : index + 2] for index in range(0, len(log), 2)]
        assert all({name for name, _ in pair} == {"base", "head"} for pair in pairs)
        assert all(len({size for _, size in pair}) == 1 for pair in pairs)
        assert [pair[0][0] for pair in pairs[:4]] == ["base", "head", "base", "head"]
        assert sum(size for name, size in log if name == "base") == 2000
        assert found.ratio == pytest.approx(math.log(1.1))
        assert [len(curve) for curve in found.curves] == [2, 2]

    def test_a_turn_is_long_enough_and_ends_with_its_epoch(self, log):
        found = take_turns(ROW, fake_pair(log), [0], whole=True)
        sizes = [size for name, size in log if name == "base"]
        assert sizes[:4] == [10, 20, 40, 80]
        assert {*sizes[4:]} == {80, 1000 - 10 - 20 - 40 - 11 * 80, 1000 % 80}
        assert np.median(found.turns, axis=0) == pytest.approx([1.0, 1.1])

    def test_a_slow_first_turn_does_not_shorten_the_others(self, log):
        """It may have to load or to compile."""

        class SlowToBegin(FakeSide):
            def ask(self, do, **request):
                reply = super().ask(do, **request)
                return {"seconds": 5.0} if log == [(self.name, 10)] and do == "turn" else reply

        sides = SlowToBegin("base", 1e-3, log), FakeSide("head", 1e-3, log)
        take_turns(ROW, SimpleNamespace(sides=lambda: sides), [0], whole=True)
        assert [size for name, size in log if name == "base"][:4] == [10, 20, 40, 80]

    def test_a_row_that_is_not_trained_whole_takes_less_than_half_a_second(self, log):
        found = take_turns(ROW, fake_pair(log), [0], whole=False)
        assert len(found.turns) == int(0.4 / (1.1e-3 * 80))
        assert found.curves == ([], [])

    def test_a_batch_that_is_a_whole_epoch_is_a_turn(self, log):
        pair = fake_pair(log, 1.0, 2.0)
        for side in pair.sides():
            side.row["batch_size"] = 5000
        found = take_turns(ROW, pair, [0], whole=False)
        assert found.turns == [(1000.0, 2000.0)] * 2
        assert len(log) == 6, "the first turn is a warm-up"

    def test_an_epoch_that_is_shorter_than_a_turn_is_one(self, log):
        found = take_turns(ROW, fake_pair(log, 1e-6, 2e-6), [0], whole=True)
        assert found.ratio == pytest.approx(math.log(2))
        assert {size for _, size in log[-4:]} == {1000}

    def test_rows_that_differ_are_not_compared(self, log):
        other = {"experiment": {"optimizer": "Adam"}}
        with pytest.raises(SideError, match="base: optimizer is SGD, but Adam in the head"):
            take_turns(ROW, fake_pair(log, **other), [0], whole=True)
        with pytest.raises(SideError, match="base: epochs is 2, but 3 in the head"):
            take_turns(ROW, fake_pair(log, epochs=3), [0], whole=True)


def test_the_worker_trains_as_train_does(monkeypatch):
    """It trains in parts of epochs, and the results agree to the last digit."""
    experiment = Experiment(optimizer=SGD(0.1), batch_size=32, epochs=2)
    monkeypatch.setattr(model.data.mnist, "load", lambda *_: made_up())
    monkeypatch.setattr(turns, "_TURN_SECONDS", 0.0)
    declared = SimpleNamespace(
        rows=[SimpleNamespace(name="sgd")], experiment=lambda row, scale, dataset: experiment
    )
    monkeypatch.setitem(sys.modules, "bench.test_x", SimpleNamespace(EXERCISE=declared))
    monkeypatch.setattr(Path, "exists", lambda _: True)
    sides = Worker(), Worker()
    for side in sides:
        side.ask = lambda do, side=side, **request: getattr(side, do)(**request)
    pair = SimpleNamespace(sides=lambda: sides)
    row = SelectedRow(ROW.case, ROW.module, ROW.name, {**SETTINGS, "replicates": 2})
    threads, cores = torch.get_num_threads(), None
    if hasattr(os, "sched_getaffinity"):
        cores = os.sched_getaffinity(0)
    try:
        found = take_turns(row, pair, [0, 1], whole=True)
    finally:
        torch.set_num_threads(threads)
        for thread in os.listdir("/proc/self/task") if cores else []:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)
    expected = train(experiment, made_up(), seeds=(0, 1), engine="eager").test_accuracy[1:].tolist()
    assert found.curves == (expected, expected)
    assert len(found.turns) > EXAMPLES // 64


class TestSide:
    """The protocol, with a real process but no checkout to train in."""

    @pytest.fixture
    def side(self, tmp_path):
        side = Side(Checkout("base", tmp_path, Path(sys.executable)))
        yield side
        side.close()

    def test_a_row_that_the_checkout_lacks(self, side):
        message = r"base: LookupError: the checkout has no bench\.test_x"
        with pytest.raises(SideError, match=message) as lacks:
            side.ask("prepare", module="bench.test_x", row="sgd", settings=SETTINGS)
        assert lacks.value.kind == "lacks it"

    def test_an_error_in_a_side_is_its_failure(self, side):
        with pytest.raises(SideError, match="base: AttributeError: ") as failed:
            side.ask("evaluate")
        assert failed.value.kind == "failed"

    def test_a_killed_side(self, side):
        side.process.send_signal(signal.SIGKILL)
        side.process.wait()
        with pytest.raises(SideError, match="base: killed by signal 9") as killed:
            side.ask("evaluate")
        assert killed.value.kind == "killed"

    def test_the_output_of_a_side_that_ends_is_its_reason(self, tmp_path):
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
        python.chmod(0o755)
        with pytest.raises(SideError, match="head: ended with status 3: no such module"):
            Side(Checkout("head", tmp_path, python)).ask("evaluate")

    def test_the_reason_is_the_line_with_the_error(self, tmp_path):
        (tmp_path / "sitecustomize.py").write_text("")
        python = tmp_path / "python"
        lines = "Traceback (most recent call last):\\n  File\\nImportError: \\033[1mno\\n\\nhint: try\\n"
        python.write_text(f"#!/bin/sh\nprintf '{lines}' >&2\nexit 1\n")
        python.chmod(0o755)
        with pytest.raises(SideError) as failed:
            Side(Checkout("head", tmp_path, python)).ask("evaluate")
        assert failed.value.reason == r"ended with status 1: ImportError: \x1b[1mno"

    @pytest.mark.parametrize("answer", ["welcome", "5", ""])
    def test_a_side_with_an_invalid_reply_is_killed(self, tmp_path, monkeypatch, answer):
        monkeypatch.setattr("harness.ab.side._EXIT_SECONDS", 0.2)
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\necho {answer}\nexec sleep 30 >&2\n")
        python.chmod(0o755)
        side = Side(Checkout("head", tmp_path, python))
        with pytest.raises(SideError, match=r"^head: (invalid reply '.+'|no reply), so it was killed"):
            side.ask("evaluate")
        assert side.process.poll() == -signal.SIGKILL
        side.close()

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            ("raise SystemExit('no')", "SystemExit: no"),
            ("import pytest; pytest.skip('not here', allow_module_level=True)", "Skipped: not here"),
            ("raise ValueError", "ValueError"),
        ],
    )
    def test_a_module_that_ends_its_process(self, side, tmp_path, code, why):
        (tmp_path / "bench").mkdir()
        (tmp_path / "bench" / "__init__.py").touch()
        (tmp_path / "bench" / "test_x.py").write_text(code)
        with pytest.raises(SideError) as failed:
            side.ask("prepare", module="bench.test_x", row="sgd", settings=SETTINGS)
        assert (failed.value.reason, failed.value.kind) == (why, "failed")

    def test_a_side_imports_from_its_own_checkout(self, side, tmp_path, monkeypatch):
        """Even if this process has the head's checkout on its path."""
        (tmp_path / "model.py").write_text("raise ImportError('the base')")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PYTHONSAFEPATH", "1")
        other = Side(Checkout("base", tmp_path, Path(sys.executable)))
        with pytest.raises(SideError, match="ImportError: the base"):
            other.ask("evaluate")
        other.close()

    def test_if_the_second_side_cannot_be_started_the_first_is_ended(self, tmp_path):
        pair = Pair(
            Checkout("base", tmp_path, Path(sys.executable)), Checkout("head", tmp_path, tmp_path / "no")
        )
        with pytest.raises(SideError, match="no cannot be run"):
            pair.sides()
        (first,) = pair._sides
        pair.close()
        assert first.process.poll() is not None

    def test_a_missing_interpreter(self, tmp_path):
        with pytest.raises(SideError, match="nowhere cannot be run: No such file"):
            Pair(*[Checkout("base", tmp_path, tmp_path / "nowhere")] * 2).sides()


class TestComparison:
    """Passes over rows, with made-up turns."""

    @pytest.fixture
    def run(self, monkeypatch):
        monkeypatch.setattr(comparison, "available_cores", lambda: [0])

        def run(made, names=("a", "b", "c"), seeds=None):
            asked = []
            settings = SimpleNamespace(seeds=seeds or (0,))

            def take(row, pair, trained, *, whole):
                asked.append((row.case, trained[0], whole))
                return made(row.case, trained[0] if seeds is None else trained)

            monkeypatch.setattr(comparison, "take_turns", take)
            rows = [SelectedRow(name, "bench.test_x", name, SETTINGS) for name in names]
            checkout = Checkout("base", Path(), Path(sys.executable))
            selection = SimpleNamespace(rows=rows, settings=settings)
            return comparison.compare_checkouts(
                selection, checkout, checkout, percent=10, points=1
            ), asked

        return run

    def ratio(self, case, seed):
        return 0.001 * math.sin(ord(case[0]) + seed)

    def test_equal_rows_are_decided_at_the_first_look(self, run):
        found, asked = run(lambda case, seed: Made(self.ratio(case, seed), seeds=[seed]))
        assert found.outcome == "held"
        assert len(asked) == 3 * LOOKS[0] == 6
        assert [whole for _, seed, whole in asked if seed == 0] == [True] * 3
        assert not any(whole for _, seed, whole in asked if seed > 0)

    def test_a_slower_row(self, run):
        found, _ = run(
            lambda case, seed: Made(self.ratio(case, seed) + 0.2 * (case == "b"), seeds=[seed])
        )
        assert found.outcome == "worse"
        assert {case: each.speed for case, each in found.speeds.items()} == {
            "a": "same",
            "b": "slower",
            "c": "same",
        }

    def test_a_row_that_stays_undecided_has_all_passes(self, run):
        found, asked = run(
            lambda case, seed: Made((case == "b") * (-1) ** seed * 0.5 + self.ratio(case, seed))
        )
        assert found.outcome == "undecided"
        assert sum(case == "b" for case, *_ in asked) == LOOKS[-1]
        assert sum(case == "a" for case, *_ in asked) < LOOKS[-1] + 1

    def learned(self, drops):
        """Returns made-up passes whose final accuracy drops by `drops(case, seed)`."""

        def made(case, seed):
            now = 0.9 + seed / 1000 - drops(case, seed)
            return Made(self.ratio(case, seed), ([[0.9 + seed / 1000]], [[now]]), [seed])

        return made

    def test_a_row_that_learns_differently_is_trained_whole_until_that_is_decided(self, run):
        found, asked = run(self.learned(lambda case, seed: (case == "c") * (0.03 + seed % 3 / 1000)))
        assert found.outcome == "worse"
        assert found.changes["c"].outcome == "fell"
        assert 3 <= found.changes["c"].seeds < LOOKS[-1]
        assert all(whole for case, _, whole in asked if case == "c")

    def test_a_row_that_needs_far_more_seeds_than_there_are_is_not_trained_on(self, run):
        """Its speed is decided, and that of its learning is reported as what it is."""
        found, asked = run(self.learned(lambda case, seed: (case == "c") * 0.2 * (-1) ** seed))
        assert found.outcome == "undecided"
        assert found.changes["c"].outcome == "underpowered"
        assert found.speeds["c"].speed == "same"
        assert sum(case == "c" for case, *_ in asked) == 3

    def test_a_row_whose_learning_is_decided_is_trained_in_part_for_its_speed(self, run):
        def made(case, seed):
            passed = self.learned(lambda case, seed: (case == "c") * (0.03 + seed % 3 / 1000))
            found = passed(case, seed)
            noise = (case == "c") * 0.5 * (-1) ** seed
            return Made(self.ratio(case, seed) + noise, found.curves, found.seeds)

        found, asked = run(made)
        wholes = [whole for case, _, whole in asked if case == "c"]
        assert found.speeds["c"].speed == "undecided"
        seeds = found.changes["c"].seeds
        assert wholes == [True] * seeds + [False] * (LOOKS[-1] - seeds)

    @pytest.mark.parametrize("replicates", [1, 3])
    def test_no_two_passes_share_a_seed(self, run, replicates):
        trained = []

        def made(case, seeds):
            trained.extend(seeds)
            curves = [[0.5] * replicates]
            return Made(0.5 * (-1) ** (seeds[0] // replicates), (curves, curves), seeds)

        run(made, "a", seeds=tuple(range(replicates)))
        assert trained == list(range(LOOKS[-1] * replicates))

    @pytest.mark.parametrize(
        ("side", "kind", "outcome"),
        [
            ("base", "failed", "undecided"),
            ("head", "failed", "worse"),
            ("head", "killed", "undecided"),
            ("base", "lacks it", "held"),
        ],
    )
    def test_if_a_side_cannot_train_a_row_the_others_continue(self, run, side, kind, outcome):
        def made(case, seed):
            if case == "b" and seed == 1:
                raise SideError(side, "the reason", kind)
            return Made(self.ratio(case, seed), seeds=[seed])

        found, asked = run(made)
        assert found.outcome == outcome
        assert sum(case == "b" for case, *_ in asked) == 2
        assert {case: each.speed for case, each in found.speeds.items()} == {"a": "same", "c": "same"}
        row, after = [row for row in output.rows_of(found) if row["id"] in "bc"]
        assert after["pass_ratios"] == pytest.approx(
            [math.exp(self.ratio("c", number)) for number in range(LOOKS[0])]
        )
        assert (row["speed"], row["reason"]) == (f"{side} {kind}", "the reason")

    def test_a_base_that_lacks_every_row_is_refused(self, run):
        def made(case, seed):
            raise SideError("base", "LookupError: the checkout has no bench.test_x", "lacks it")

        with pytest.raises(ValueError, match="nothing can be compared: base: LookupError: the checkout"):
            run(made)

    def test_an_error_that_is_not_a_sides_ends_the_comparison(self, run):
        def made(case, seed):
            raise LockError("the locks are another user's")

        with pytest.raises(LockError, match="another user's"):
            run(made)

    def test_a_row_whose_sides_are_ended_reports_nothing(self, run, capsys, monkeypatch):
        """As after Ctrl-C: the thread that asked them finds their files closed."""
        begun, ended = threading.Event(), threading.Event()
        monkeypatch.setattr(Pair, "close", lambda _: ended.set())
        threads = []

        def made(case, seed):
            threads.append(threading.current_thread())
            begun.set()
            ended.wait(10)
            raise ValueError("I/O operation on closed file.")

        def join(_):
            begun.wait(10)
            raise KeyboardInterrupt

        with monkeypatch.context() as interrupted:
            interrupted.setattr(threading.Thread, "join", join)
            interrupted.setattr(threading, "excepthook", lambda args: pytest.fail(str(args)))
            with pytest.raises(KeyboardInterrupt):
                run(made)
        for thread in threads:
            thread.join(10)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("errors", "outcome"),
        [
            ({"abc": ("base", "failed")}, "base: the reason$"),
            ({"abc": ("base", "killed")}, "base: the reason$"),
            ({"abc": ("head", "killed")}, "head: the reason$"),
            (
                {"a": ("base", "lacks it"), "bc": ("base", "failed")},
                r"base: the reason \(and 2 more\)$",
            ),
            ({"abc": ("head", "failed")}, None),
            ({"ab": ("base", "failed"), "c": ("head", "failed")}, None),
        ],
    )
    def test_if_nothing_was_measured_there_is_no_outcome(self, run, errors, outcome):
        """Not even "undecided"; but a head that cannot train is "worse"."""

        def made(case, seed):
            side, kind = next(of for cases, of in errors.items() if case in cases)
            raise SideError(side, "the reason" if kind != "lacks it" else "it has no row", kind)

        if outcome is None:
            assert run(made)[0].outcome == "worse"
        else:
            with pytest.raises(ValueError, match=f"^nothing can be compared: {outcome}"):
                run(made)

    def test_the_table_the_files_and_the_annotations(self, run, tmp_path, capsys, monkeypatch):
        def made(case, seed):
            if case == "c":
                raise SideError("base", "the reason", "failed")
            return Made(self.ratio(case, seed) + 0.2 * (case == "b"), seeds=[seed])

        summary = tmp_path / "summary.md"
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
        found, _ = run(made)
        settings = SimpleNamespace(
            report_dir=tmp_path / "report", scale="quick", dataset="mnist", device="cpu"
        )
        sides = (
            Provenance(revision, 4 * "0123456789", dirty, "c0de", "/bin/python", {"torch": torch})
            for revision, dirty, torch in (("main", False, "2.12.0"), (None, True, "2.13.0"))
        )
        output.write_comparison(found, settings, *sides)
        text = capsys.readouterr().out
        pytest.LineMatcher(text.splitlines()).fnmatch_lines(
            [
                "A/B: regression (base: main, 0123456789)",
                "row *base (s/epoch) *head (s/epoch) *ratio (95 % interval)  speed *learning",
                "a * 1.000 (*)  same *identical",
                "b * 1.22? (*)  slower *identical",
                "c *base failed *the reason",
                "Head is the working tree, 0123456789 with changes. *",
                "Versions differ: torch was 2.12.0, is now 2.13.0.",
                "::error title=Minibatch bench%2C slower::b: slower: 1 s per epoch in the base, 1.22 s "
                "now, ratio 1.22? (*); learning: identical",
                "::warning title=Minibatch bench%2C inconclusive::could not be decided: c",
            ]
        )
        assert summary.read_text().startswith("## A/B: regression")
        assert (tmp_path / "report" / "ab.md").read_text() == summary.read_text()
        assert "<svg" in (tmp_path / "report" / "ab.svg").read_text()
        written = json.loads((tmp_path / "report" / "ab.json").read_text())
        assert written["base"] | {"versions": 0} == {
            "revision": "main",
            "commit": 4 * "0123456789",
            "dirty": False,
            "code": "c0de",
            "interpreter": "/bin/python",
            "versions": 0,
        }
        assert (written["head"]["revision"], written["head"]["dirty"]) == (None, True)
        assert written["head"]["versions"] == {"torch": "2.13.0"}
        assert written["machine"]["cores"] >= 1

    def test_what_is_inconclusive_says_what_would_have_been_detected(self, run):
        noisy = [0.3, -0.2, 0.25, -0.3, 0.2, -0.25, 0.35, -0.1, 0.3, -0.3, 0.1, -0.2]
        found, _ = run(lambda case, seed: Made(self.ratio(case, seed) + (case == "b") * noisy[seed]))
        row = next(row for row in output.rows_of(found) if row["id"] == "b")
        assert row["speed"] == "undecided"
        assert row["detectable_percent"] > 20
        assert f"inconclusive, detects {row['detectable_percent']:.0f} %" in output._cells(row)


class TestProgress:
    """Which row, how far, how long still."""

    @pytest.fixture
    def clock(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("harness.ab.progress.time.monotonic", lambda: now[0])
        return now

    def test_a_log_has_a_line_every_half_minute(self, clock, capsys):
        progress = PassProgress(1, 4)
        for number in range(4):
            progress.begin(f"row-{number}")
            clock[0] += 16
            progress.finish(f"row-{number}")
        progress.close()
        assert capsys.readouterr().err.splitlines() == [
            "Pass 1 (of up to 12): 2 of 4 rows, 32 s left in this pass",
        ]

    def test_a_terminal_has_one_line(self, clock, monkeypatch):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = PassProgress(3, 2)
        progress.begin("row-0")
        progress.begin("row-1")
        clock[0] += 10
        progress.finish("row-0")
        progress.close()
        shown = terminal.getvalue()
        assert shown.count("\n") == 1
        lines = [line.rstrip() for line in shown.split("\r")]
        assert lines[2] == "Pass 3 (of up to 12): 0 of 2 rows, now row-0, row-1"
        assert lines[3] == "Pass 3 (of up to 12): 1 of 2 rows, now row-1, 10 s left in this pass"

    def test_after_each_look_it_says_what_is_left(self, capsys, monkeypatch):
        assert summary_of(3, 31, []) == "After pass 3: 31 of 31 rows decided."
        assert (
            summary_of(4, 5, ["a", "b"]) == "After pass 4: 3 of 5 rows decided; up to 8 more of: a, b."
        )
        assert summary_of(12, 2, ["a"]) == "After pass 12: 1 of 2 rows decided; inconclusive: a."


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "requirements.lock").write_text("one")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        run_git(folder, *command)
    return folder


def run_git(folder, *arguments):
    command = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment())
    return ran.stdout.decode()


def worktrees(repository):
    return len(run_git(repository, "worktree", "list").splitlines()) - 1


class TestWorktree:
    @pytest.mark.parametrize("ending", [None, KeyboardInterrupt, ValueError])
    def test_a_worktree_is_always_removed(self, repository, ending):
        (repository / "requirements.lock").write_text("dirty")
        try:
            with worktree(repository, "HEAD") as folder:
                assert (folder / "requirements.lock").read_text() == "one"
                assert worktrees(repository) == 1
                if ending:
                    raise ending
        except (KeyboardInterrupt, ValueError):
            assert ending
        assert worktrees(repository) == 0
        assert not folder.exists()
        assert (repository / "requirements.lock").read_text() == "dirty"

    @pytest.mark.parametrize("revision", ["no-such-branch", "", "--help", "HEAD:requirements.lock"])
    def test_an_invalid_revision_is_refused(self, repository, revision):
        with (
            pytest.raises(ValueError, match=f"BASE is '{revision}'; expected a commit, branch or tag"),
            worktree(repository, revision),
        ):
            pass

    @pytest.mark.parametrize("linked", [False, True])
    def test_in_a_hook_the_index_and_the_folder_are_unchanged(self, repository, monkeypatch, linked):
        """Git passes its hooks the index and the repository in variables."""
        folder = repository
        if linked:
            folder = repository.parent / "linked"
            run_git(repository, "worktree", "add", "-q", str(folder))
        (folder / "requirements.lock").write_text("staged")
        (folder / "new.txt").write_text("staged, too")
        run_git(folder, "add", ".")
        (folder / "requirements.lock").write_text("changed since")
        (git_folder,) = run_git(folder, "rev-parse", "--absolute-git-dir").splitlines()
        index, status = Path(git_folder, "index"), run_git(folder, "status", "--porcelain")
        before = index.read_bytes()
        monkeypatch.setenv("GIT_DIR", git_folder)
        monkeypatch.setenv("GIT_INDEX_FILE", str(index))
        monkeypatch.setenv("GIT_WORK_TREE", str(folder))
        with worktree(folder, "HEAD") as base:
            assert (base / "requirements.lock").read_text() == "one"
            assert not (base / "new.txt").exists()
            assert index.read_bytes() == before
        assert index.read_bytes() == before
        assert run_git(folder, "status", "--porcelain") == status
        assert worktrees(repository) == linked

    def test_worktrees_that_were_moved_away_are_kept(self, repository, tmp_path):
        run_git(repository, "worktree", "add", "-q", str(tmp_path / "theirs"))
        (tmp_path / "theirs").rename(tmp_path / "away")
        with worktree(repository, "HEAD"):
            pass
        (tmp_path / "away").rename(tmp_path / "theirs")
        assert worktrees(repository) == 1
        assert run_git(tmp_path / "theirs", "status", "--porcelain") == ""

    def test_hooks_are_not_run(self, repository, tmp_path):
        hook = repository / ".git" / "hooks" / "post-checkout"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
        hook.chmod(0o755)
        with worktree(repository, "HEAD"):
            pass
        assert not (tmp_path / "run").exists()

    def test_an_incomplete_worktree_is_removed(self, repository):
        with worktree(repository, "HEAD") as folder:
            (folder / ".git").unlink()
        assert worktrees(repository) == 0
        assert not [*(repository / ".git").glob("worktrees/*")]

    def test_a_worktree_that_is_being_created_is_removed(self, repository):
        with worktree(repository, "HEAD") as folder:
            run_git(repository, "worktree", "lock", "--reason", "initializing", str(folder))
        assert worktrees(repository) == 0

    def test_gits_errors_are_reported(self, repository, tmp_path, monkeypatch):
        def message(folder, revision="HEAD"):
            with pytest.raises(ValueError, match=r"\w") as refused, worktree(folder, revision):
                pass
            (line,) = str(refused.value).splitlines()
            return line

        (tmp_path / "plain").mkdir()
        (tmp_path / "empty").mkdir()
        run_git(tmp_path / "empty", "init", "-q")
        assert "not a git repository" in message(tmp_path / "plain")
        assert message(tmp_path / "empty").endswith("empty, which has no commit yet")
        (repository / "more").touch()
        run_git(repository, "add", ".")
        run_git(repository, "commit", "-qm", "second")
        run_git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
        assert "a shallow clone: `git fetch --unshallow`" in message(tmp_path / "shallow", "HEAD~1")
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        assert "dubious ownership" in message(repository)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert message(repository) == "git is not in PATH"

    def test_a_folder_that_cannot_be_created_is_reported(self, repository, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(repository / "nowhere"))
        with (
            pytest.raises(ValueError, match="a worktree of HEAD cannot be created: "),
            worktree(repository, "HEAD"),
        ):
            pass

    def test_a_checkout_that_fails_is_reported_and_leaves_nothing(self, repository):
        (repository / ".git" / "worktrees").write_text("in the way")
        with (
            pytest.raises(ValueError, match="a worktree of HEAD cannot be created: "),
            worktree(repository, "HEAD"),
        ):
            pass
        assert not list((repository.parent / "tmp").iterdir())

    def test_with_equal_lock_files_the_interpreter_is_this_one(self, repository):
        with worktree(repository, "HEAD") as folder:
            assert python_of(folder, repository) == Path(sys.executable)

    def test_with_other_lock_files_the_base_gets_its_own_environment(self, repository):
        (repository / "requirements.lock").write_text("two")
        with worktree(repository, "HEAD") as folder:
            with pytest.raises(ValueError, match=r"the base's environment cannot be set up: .*No rule"):
                python_of(folder, repository)
            (folder / "Makefile").write_text(".venv/installed:\n\t@mkdir -p .venv\n")
            assert python_of(folder, repository) == folder / ".venv" / "bin" / "python"

    def test_why_an_environment_cannot_be_set_up(self, repository, monkeypatch):
        def reason(recipe):
            (folder / "Makefile").write_text(f"VENV := .venv\n$(VENV)/installed:\n\t{recipe}\n")
            with pytest.raises(ValueError, match="the base's environment cannot be set up: ") as failed:
                python_of(folder, repository)
            return str(failed.value).removeprefix("the base's environment cannot be set up: ")

        (repository / "requirements.lock").write_text("two")
        monkeypatch.setenv("MAKEFLAGS", "VENV=/elsewhere")  # as of `make ab VENV=...`
        with worktree(repository, "HEAD") as folder:
            pip = "ERROR: No matching distribution found for torch==0"
            assert reason(f"@echo '{pip}' >&2; false") == "No matching distribution found for torch==0"
            needed = "Python 3.11 or newer is needed"
            assert reason(f"@echo '{needed}'; false") == needed
            monkeypatch.setenv("PATH", "")
            assert reason("true") == "make is not in PATH"

    def test_an_interruption_while_make_runs_leaves_no_process(self, repository, tmp_path):
        """Including the processes that make started."""
        (repository / "requirements.lock").write_text("two")
        pid = tmp_path / "pid"
        threading.Thread(target=interrupt_when, args=(pid, signal.SIGTERM), daemon=True).start()
        with (  # noqa: PT012
            pytest.raises(KeyboardInterrupt),
            as_ctrl_c(),
            worktree(repository, "HEAD") as folder,
        ):
            # The shell's parent is make, which leads a process group.
            recipe = f"@echo $$PPID > {pid}.new; mv {pid}.new {pid}; sleep 70; true"
            (folder / "Makefile").write_text(f".venv/installed:\n\t{recipe}\n")
            python_of(folder, repository)
        assert worktrees(repository) == 0
        assert not [*(repository.parent / "tmp").iterdir()]
        wait_for_the_end_of(int(pid.read_text()))

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interruption_during_checkout_removes_the_worktree(
        self, repository, tmp_path, monkeypatch, end
    ):
        """Git is slow here, as with a large checkout, and is interrupted."""
        begun, real = tmp_path / "begun", shutil.which("git")
        slow = tmp_path / "bin" / "git"
        slow.parent.mkdir()
        slow.write_text(
            f'#!/bin/sh\n{real} "$@" || exit\n'
            f'case "$*" in *"worktree add"*) touch {begun}; exec sleep 30;; esac\n'
        )
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
        threading.Thread(target=interrupt_when, args=(begun, end), daemon=True).start()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also if nohup runs the tests
        try:
            with pytest.raises(KeyboardInterrupt), as_ctrl_c(), worktree(repository, "HEAD"):
                pass
        finally:
            signal.signal(signal.SIGINT, before)
            signal.signal(signal.SIGHUP, hangup)
        assert worktrees(repository) == 0
        assert not [*(repository.parent / "tmp").iterdir()]


def interrupt_when(exists, number):
    while not exists.exists():
        time.sleep(0.02)
    os.kill(os.getpid(), number)


PROBE = """#!/bin/sh
{before}
exec {python} -c "import sys; sys.version_info = {version}
sys.modules.update(dict.fromkeys(({without})))
exec(sys.argv[1])" "$2"
"""


class TestProvenance:
    def test_both_sides_are_described(self, repository):
        (repository / "model").mkdir()
        (repository / "model" / "code.py").write_text("")
        with worktree(repository, "HEAD") as folder:
            sides = [
                provenance_of(Checkout(name, path, Path(sys.executable)), revision, [ROW])
                for name, path, revision in (("base", folder, "main"), ("head", repository, None))
            ]
        base, head = sides
        commit = run_git(repository, "rev-parse", "HEAD").strip()
        assert (base.commit, base.dirty, base.revision) == (commit, False, "main")
        assert (head.commit, head.dirty) == (commit, False)
        assert base.code != head.code, "an untracked file, which git calls no change"
        assert base.versions["python"] == ".".join(map(str, sys.version_info[:3]))
        assert base.versions["torch"] == torch.__version__
        (repository / "requirements.lock").write_text("changed")
        head = provenance_of(Checkout("head", repository, Path(sys.executable)), None, [ROW])
        assert head.dirty
        assert head.words == f"the working tree, {commit[:10]} with changes"

    def test_an_interpreter_that_does_not_run(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"^nothing can be compared: base: .*no cannot be run: No s"
        ):
            provenance_of(Checkout("base", tmp_path, tmp_path / "no"), None, [ROW])

    def test_without_git(self, tmp_path):
        found = provenance_of(Checkout("head", tmp_path, Path(sys.executable)), None, [ROW])
        assert (found.commit, found.dirty) == (None, False)
        assert found.words == "the working tree, no commit"


class TestInterpreter:
    """`--base-python` is checked before anything else."""

    @pytest.fixture
    def python(self, tmp_path):
        def python(before="", version="(3, 11)", without=()):
            path = tmp_path / "python"
            path.write_text(
                PROBE.format(python=sys.executable, before=before, version=version, without=without)
            )
            path.chmod(0o755)
            return path

        return python

    def refused(self, path, capsys, monkeypatch):
        monkeypatch.setattr("harness.commands.ab.select", lambda _: pytest.fail("rows were selected"))
        assert main(["ab", "HEAD", "--base-python", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"--base-python is {str(path)!r}")
        return line

    def test_a_path_that_is_not_an_interpreter(self, tmp_path, capsys, monkeypatch):
        (tmp_path / "file").touch()
        (tmp_path / "text").write_text("no program")
        (tmp_path / "text").chmod(0o755)
        (tmp_path / "link").symlink_to("nowhere")
        os.mkfifo(tmp_path / "pipe")
        expected = "; expected the path of a Python interpreter"
        for path, why in {
            tmp_path / "nope": f", and there is no file {tmp_path}/nope{expected}",
            tmp_path: f", which is a folder{expected}",
            tmp_path / "file": f", which is not executable{expected}",
            tmp_path / "text": ", which cannot be run: Exec format error",
            tmp_path / "link": f", which is a broken link{expected}",
            tmp_path / "pipe": f", which is not a regular file{expected}",
            Path("/bin/true"): ", which does not run Python code: it prints nothing",
            Path("/bin/false"): ", which does not run Python code: it ended with status 1",
            Path("~nobody-here/python"): ", but there is no such home folder",
        }.items():
            assert self.refused(path, capsys, monkeypatch) == f"--base-python is {str(path)!r}{why}"

    def test_an_interpreter_that_cannot_be_a_side(self, python, capsys, monkeypatch):
        assert self.refused(python(version="(3, 8)"), capsys, monkeypatch).endswith(
            ", which is Python 3.8; expected 3.11 or newer"
        )
        assert ", which cannot import torch: ModuleNotFoundError: " in self.refused(
            python(without=("torch",)), capsys, monkeypatch
        )
        assert self.refused(python("kill -9 $$"), capsys, monkeypatch).endswith(
            ", which does not run Python code: killed by signal 9"
        )
        escape = python("echo '\033[31mno license' >&2; exit 1")
        assert self.refused(escape, capsys, monkeypatch).endswith(r"code: \x1b[31mno license")

    def test_an_interpreter_that_does_not_answer(self, python, capsys, monkeypatch):
        monkeypatch.setattr(interpreter, "_SECONDS", 0.2)
        assert ", which does not answer within 0.2 s" in self.refused(
            python("exec sleep 30"), capsys, monkeypatch
        )

    def test_an_interpreter_keeps_its_path(self, tmp_path, monkeypatch):
        """A virtual environment's interpreter is a link, which determines its packages."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.setattr(interpreter, "_ask", lambda python, *_: ((3, 11), []))
        for given in ("python", "~/python", "./a/../python"):
            assert interpreter.checked_interpreter(Path(given), tmp_path) == tmp_path / "python"


class TestSelection:
    """If pytest selects no rows, its explanation is passed on."""

    @pytest.fixture
    def selected(self, suite, monkeypatch):
        def selected(*arguments, addopts=""):
            monkeypatch.setenv("PYTEST_ADDOPTS", addopts)
            monkeypatch.chdir(suite.path)
            modules = dict(sys.modules)
            try:
                return [row.name for row in select(arguments).rows]
            except ValueError as error:
                return str(error)
            finally:
                for name in set(sys.modules) - set(modules):
                    if name.partition(".")[0] in ("bench", "conftest"):
                        del sys.modules[name]

        return selected

    @pytest.mark.parametrize("addopts", ["", "--ff", "--lf", "--nf", "-p no:xdist", "-n 2", "-x -v"])
    def test_options_in_the_environment_do_no_harm(self, selected, addopts):
        rows = selected("bench/test_1_fake.py", addopts=addopts)
        assert rows == ["sgd-lr0.25", "sgd-lr0.5", "sgd-lr1.0"]

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("--replicate", "3"), "unrecognized arguments: --replicate"),
            (("--scale", "huge"), "--scale is 'huge'; expected quick or paper"),
            (("bench/nowhere.py",), "file or directory not found: bench/nowhere.py"),
            (("-k", "no such row"), "*: at column 4: expected end of input; got identifier"),
            (("-k", "nothing"), "pytest with -k nothing selects no row; expected arguments that *"),
            (("--version",), "pytest with --version collects nothing; expected arguments that *"),
        ],
    )
    def test_arguments_that_select_nothing(self, selected, arguments, why):
        pytest.LineMatcher([selected(*arguments)]).fnmatch_lines([why.replace("[", "[[]")])

    def test_tests_that_are_not_rows(self, suite, selected):
        suite.add(1, "def test_odd():\n    pass\n")
        assert selected("-k", "odd") == (
            "pytest with -k odd selects no row, only tests that do not train (1); expected arguments "
            "that select rows"
        )

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            ("import nothere", "cannot be collected: ModuleNotFoundError: No module named 'nothere'"),
            ("def f(:\n    pass", "cannot be collected: SyntaxError: invalid syntax"),
            ("class Odd(Exception):\n  pass\nraise Odd('no')", "cannot be collected: *Odd: no"),
            ("import sys; sys.exit(7)", "pytest was ended by SystemExit: 7"),
        ],
    )
    def test_a_module_that_cannot_be_collected_is_named(self, suite, selected, code, why):
        (suite.path / "bench" / "test_9_odd.py").write_text(code)
        name = "bench/test_9_odd.py " if why.startswith("cannot") else ""
        pytest.LineMatcher([selected()]).fnmatch_lines([name + why])


class TestCommand:
    @pytest.fixture
    def ctrl_c_works(self):
        """Restores a terminal's Ctrl-C, in case these tests run in the background of a shell."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_comparison_leaves_no_worktree(
        self, repository, tmp_path, monkeypatch, capsys, end, ctrl_c_works
    ):
        def compare(selection, base, head, **_):
            assert worktrees(repository) == 1
            assert (base.folder.name, head.folder) == ("base", repository)
            os.kill(os.getpid(), end)

        handler = signal.getsignal(signal.SIGTERM)
        settings = SimpleNamespace(report_dir=tmp_path / "report")
        selection = SimpleNamespace(root=repository, rows=[], settings=settings)
        monkeypatch.setattr("harness.commands.ab.select", lambda _: selection)
        monkeypatch.setattr("harness.commands.ab.compare_checkouts", compare)
        assert main(["ab", "HEAD"]) == 130
        assert worktrees(repository) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
        assert capsys.readouterr().err == "Interrupted.\n"

    def test_another_interpreter_for_the_same_revision_needs_no_worktree(
        self, repository, tmp_path, monkeypatch
    ):
        sides = []

        def compare(selection, base, head, **_):
            sides.extend([base, head])
            raise KeyboardInterrupt

        settings = SimpleNamespace(report_dir=tmp_path / "report")
        selection = SimpleNamespace(root=repository, rows=[], settings=settings)
        monkeypatch.setattr("harness.commands.ab.select", lambda _: selection)
        monkeypatch.setattr("harness.commands.ab.compare_checkouts", compare)
        monkeypatch.setattr("harness.commands.ab.checked_interpreter", lambda python, _: python)
        monkeypatch.setattr("harness.commands.ab.provenance_of", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            compare_with(None, Path("/opt/python"), 10, 1, [])
        assert [side.folder for side in sides] == [repository, repository]
        assert [side.python for side in sides] == [Path("/opt/python"), Path(sys.executable)]

    def test_an_empty_base_is_refused(self, repository, tmp_path, monkeypatch):
        """A CI variable may be unset, and comparing the working tree with itself would always pass."""
        settings = SimpleNamespace(report_dir=tmp_path / "report")
        selection = SimpleNamespace(root=repository, rows=[], settings=settings)
        monkeypatch.setattr("harness.commands.ab.select", lambda _: selection)
        with pytest.raises(ValueError, match="BASE is ''; expected a commit"):
            compare_with("", None, 10, 1, [])

    def test_it_needs_a_base(self):
        with pytest.raises(ValueError, match="ab was given nothing to compare with; name a revision"):
            compare_with(None, None, 10, 1, [])

    @pytest.mark.parametrize(
        "option",
        [
            "--percent=0",
            "--percent=x",
            "--points=-1",
            "--percent=inf",
            "--percent=nan",
            "--points=1e-300",
        ],
    )
    def test_bad_thresholds_are_refused(self, option, capsys):
        with pytest.raises(SystemExit):
            main(["ab", "HEAD", option])
        (line,) = capsys.readouterr().err.splitlines()
        assert "; expected a number from 0." in line

    def test_pytests_errors_about_its_arguments_are_passed_on(self, capsys, monkeypatch):
        message = "--scale is 'huge'; expected quick or paper"

        def select(arguments):
            assert arguments == ["--scale", "huge"]
            raise ValueError(message)

        monkeypatch.setattr("harness.commands.ab.select", select)
        assert main(["ab", "HEAD", "--", "--scale", "huge"]) == 2
        assert capsys.readouterr().err.strip() == message
