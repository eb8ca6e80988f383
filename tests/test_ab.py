"""A/B: both sides take turns on the same examples, and what their ratios say is right often enough."""

import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import harness.ab.comparison as comparison
import model.data.mnist
from harness.__main__ import main
from harness.ab import report, turns
from harness.ab.command import main as compare_with
from harness.ab.decision import LOOKS, decide, learning
from harness.ab.side import Checkout, Pair, Side, SideError
from harness.ab.turns import Pass, Row, take_turns
from harness.ab.worker import Side as Worker
from harness.ab.worktree import python_of, worktree
from model.experiment import Experiment
from model.optimizers import SGD
from model.train import train
from tests.data import EXAMPLES, made_up

SETTINGS = {
    "scale": "quick",
    "dataset": "mnist",
    "device": "cpu",
    "engine": "eager",
    "replicates": 1,
    "data_root": "data",
    "cores": 1,
}
ROW = Row("bench/test_x.py::test_training[sgd]", "bench.test_x", "sgd", SETTINGS)


class Made(Pass):
    """A pass with one ratio."""

    def __init__(self, ratio, curves=([[0.5]], [[0.5]]), seeds=(0,)):
        super().__init__(list(seeds), ("eager", "eager"), [(1.0, math.exp(ratio))], curves)


class TestDecision:
    def drawn(self, seed, size=0.0, noise=0.02, passes=LOOKS[0], rows=20):
        rng = np.random.default_rng(seed)
        ratios = {f"row {index}": rng.normal(0, noise, passes) for index in range(rows)}
        ratios["row 0"] += math.log1p(size)
        return {case: values.tolist() for case, values in ratios.items()}

    def test_equal_sides_are_the_same(self):
        """Of 200 seeded comparisons, each with one chance in 300."""
        speeds = [{each.speed for each in decide(self.drawn(seed), 10).values()} for seed in range(200)]
        assert sum("slower" in found for found in speeds) <= 3
        assert sum(found == {"same"} for found in speeds) > 150

    @pytest.mark.parametrize(("size", "speed"), [(0.1, "slower"), (-0.1, "faster"), (0.03, "same")])
    def test_what_differs_is_found(self, size, speed):
        found = [decide(self.drawn(seed, size, 0.015), 10)["row 0"].speed for seed in range(100)]
        assert found.count(speed) >= 90

    def test_too_much_noise_leaves_it_undecided(self):
        found = decide(self.drawn(0, noise=0.2), 10)
        assert {each.speed for each in found.values()} == {"undecided"}

    def test_one_disturbed_pass_makes_no_alarm(self):
        ratios = self.drawn(1, noise=0.005)
        ratios["row 3"][2] += 1
        assert decide(ratios, 10)["row 3"].speed != "slower"

    def test_a_row_alone_is_decided_by_its_own_noise(self):
        assert decide({"row": [0.10, 0.11, 0.10, 0.11]}, 10)["row"].speed == "slower"
        assert decide({"row": [0.001, -0.001, 0.002, 0.0]}, 10)["row"].speed == "same"

    def test_learning_is_compared_over_all_seeds_of_whole_passes(self):
        better, worse = [[0.5], [0.98]], [[0.5], [0.95]]
        passes = [Made(0, (better, worse), [seed]) for seed in range(4)]
        assert learning({"row": passes}, 1.0)["row"].outcome == "fell"
        same = [Made(0, (better, better), [0]), Made(0, ([], []), [1])]
        assert learning({"row": same}, 1.0)["row"].outcome == "identical"


class FakeSide:
    """A side that takes so long for an example, in a clock of its own, and notes what it is asked."""

    def __init__(self, name, seconds, log, said=None):
        self.name, self.seconds, self.log = name, seconds, log
        self.said = {"engine": "eager", "cores": 1, "epochs": 2, "batch_size": 10, "examples": 1000}
        self.said |= said or {}

    def ask(self, do, **request):
        if do == "turn":
            self.log.append((self.name, request["examples"]))
            return {"seconds": self.seconds * request["examples"]}
        return {"prepare": self.said, "build": {}, "evaluate": {"accuracy": [0.5]}}[do]


@pytest.fixture
def log():
    return []


def fake_pair(log, base=1e-3, head=1.1e-3, **said):
    sides = FakeSide("base", base, log), FakeSide("head", head, log, said)
    return SimpleNamespace(sides=lambda: sides)


class TestTurns:
    def test_both_sides_train_the_same_and_who_begins_alternates(self, log):
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

    def test_a_slow_first_turn_makes_the_others_no_shorter(self, log):
        """It may have to load, or to compile, what the others find."""

        class SlowToBegin(FakeSide):
            def ask(self, do, **request):
                said = super().ask(do, **request)
                return {"seconds": 5.0} if log == [(self.name, 10)] and do == "turn" else said

        sides = SlowToBegin("base", 1e-3, log), FakeSide("head", 1e-3, log)
        take_turns(ROW, SimpleNamespace(sides=lambda: sides), [0], whole=True)
        assert [size for name, size in log if name == "base"][:4] == [10, 20, 40, 80]

    def test_a_row_that_is_not_trained_whole_takes_about_a_second(self, log):
        found = take_turns(ROW, fake_pair(log), [0], whole=False)
        assert len(found.turns) == int(1 / (1.1e-3 * 80))
        assert found.curves == ([], [])

    def test_a_batch_that_is_a_whole_epoch_is_a_turn(self, log):
        pair = fake_pair(log, 1.0, 2.0)
        for side in pair.sides():
            side.said["batch_size"] = 5000
        found = take_turns(ROW, pair, [0], whole=False)
        assert found.turns == [(1000.0, 2000.0)] * 2
        assert len(log) == 6, "the first turn warms up"

    def test_where_an_epoch_is_shorter_than_a_turn_it_is_one(self, log):
        found = take_turns(ROW, fake_pair(log, 1e-6, 2e-6), [0], whole=True)
        assert found.ratio == pytest.approx(math.log(2))
        assert {size for _, size in log[-4:]} == {1000}

    def test_rows_that_differ_are_not_compared(self, log):
        with pytest.raises(SideError, match="base: its row has epochs 2, the head's 3"):
            take_turns(ROW, fake_pair(log, epochs=3), [0], whole=True)


def test_the_worker_trains_as_train_does(monkeypatch):
    """In parts of epochs, and yet to the last digit."""
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
    row = Row(ROW.case, ROW.module, ROW.name, {**SETTINGS, "replicates": 2})
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
    """The protocol, with a real process that has no checkout to train in."""

    @pytest.fixture
    def side(self, tmp_path):
        side = Side(Checkout("base", tmp_path, Path(sys.executable)))
        yield side
        side.close()

    def test_a_row_that_it_lacks(self, side):
        with pytest.raises(SideError, match=r"base: LookupError: it has no bench\.test_x") as lacks:
            side.ask("prepare", module="bench.test_x", row="sgd", settings=SETTINGS)
        assert lacks.value.kind == "lacks it"

    def test_an_error_is_its_own(self, side):
        with pytest.raises(SideError, match="base: ModuleNotFoundError: ") as failed:
            side.ask("evaluate")
        assert failed.value.kind == "failed"

    def test_a_killed_one(self, side):
        side.process.send_signal(signal.SIGKILL)
        side.process.wait()
        with pytest.raises(SideError, match="base: killed by signal 9") as killed:
            side.ask("evaluate")
        assert killed.value.kind == "killed"

    def test_one_that_ends_says_its_last_lines(self, tmp_path):
        python = tmp_path / "python"
        python.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
        python.chmod(0o755)
        with pytest.raises(SideError, match="head: ended with status 3: no such module"):
            Side(Checkout("head", tmp_path, python)).ask("evaluate")

    def test_an_interpreter_that_is_none(self, tmp_path):
        with pytest.raises(SideError, match="nowhere cannot be run: No such file"):
            Pair(*[Checkout("base", tmp_path, tmp_path / "nowhere")] * 2).sides()


class TestComparison:
    """Passes over rows, with made-up turns."""

    @pytest.fixture
    def run(self, monkeypatch):
        monkeypatch.setattr(comparison, "available_cores", lambda: [0])
        settings = SimpleNamespace(seeds=(0,))

        def run(made, names=("a", "b", "c")):
            asked = []

            def take(row, pair, seeds, *, whole):
                asked.append((row.case, seeds[0], whole))
                return made(row.case, seeds[0])

            monkeypatch.setattr(comparison, "take_turns", take)
            rows = [Row(name, "bench.test_x", name, SETTINGS) for name in names]
            checkout = Checkout("base", Path(), Path(sys.executable))
            selection = SimpleNamespace(rows=rows, settings=settings)
            return comparison.compare(selection, checkout, checkout, percent=10, points=1), asked

        return run

    def ratio(self, case, seed):
        return 0.001 * math.sin(ord(case[0]) + seed)

    def test_the_same_are_done_after_the_first_look(self, run):
        found, asked = run(lambda case, seed: Made(self.ratio(case, seed), seeds=[seed]))
        assert found.outcome == "held"
        assert len(asked) == 3 * LOOKS[0]
        assert [whole for _, seed, whole in asked if seed == 0] == [True] * 3
        assert not any(whole for _, seed, whole in asked if seed > 0)

    def test_a_slower_one(self, run):
        found, _ = run(
            lambda case, seed: Made(self.ratio(case, seed) + 0.2 * (case == "b"), seeds=[seed])
        )
        assert found.outcome == "worse"
        assert {case: each.speed for case, each in found.speeds.items()} == {
            "a": "same",
            "b": "slower",
            "c": "same",
        }

    def test_one_that_stays_undecided_is_looked_at_to_the_end(self, run):
        found, asked = run(
            lambda case, seed: Made((case == "b") * (-1) ** seed * 0.5 + self.ratio(case, seed))
        )
        assert found.outcome == "undecided"
        assert sum(case == "b" for case, *_ in asked) == LOOKS[-1]
        assert sum(case == "a" for case, *_ in asked) < LOOKS[-1] + 1

    def test_one_that_learns_otherwise_is_trained_whole_under_more_seeds(self, run):
        def made(case, seed):
            fall = 0.03 if case == "c" else 0
            return Made(
                self.ratio(case, seed), ([[0.9 + seed / 1000]], [[0.9 + seed / 1000 - fall]]), [seed]
            )

        found, asked = run(made)
        assert found.outcome == "worse"
        assert found.changes["c"].outcome == "fell"
        assert found.changes["c"].seeds == LOOKS[-1]
        assert all(whole for case, _, whole in asked if case == "c")

    @pytest.mark.parametrize(
        ("side", "kind", "outcome"),
        [
            ("base", "failed", "undecided"),
            ("head", "failed", "worse"),
            ("head", "killed", "undecided"),
            ("base", "lacks it", "held"),
        ],
    )
    def test_a_row_that_a_side_cannot_train_and_the_others_go_on(self, run, side, kind, outcome):
        def made(case, seed):
            if case == "b" and seed == 2:
                raise SideError(side, "the reason", kind)
            return Made(self.ratio(case, seed), seeds=[seed])

        found, asked = run(made)
        assert found.outcome == outcome
        assert sum(case == "b" for case, *_ in asked) == 3
        assert {case: each.speed for case, each in found.speeds.items()} == {"a": "same", "c": "same"}
        row, after = [row for row in report.rows_of(found) if row["id"] in "bc"]
        assert after["pass_ratios"] == pytest.approx(
            [math.exp(self.ratio("c", number)) for number in range(LOOKS[0])]
        )
        assert (row["speed"], row["reason"]) == (f"{side} {kind}", "the reason")

    def test_a_base_that_lacks_every_row_is_refused(self, run):
        def made(case, seed):
            raise SideError("base", "LookupError: it has no bench.test_x", "lacks it")

        with pytest.raises(ValueError, match="nothing can be compared: base LookupError: it has no"):
            run(made)

    def test_what_is_written(self, run, tmp_path, capsys, monkeypatch):
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
        report.write(found, settings, "main")
        text = capsys.readouterr().out
        pytest.LineMatcher(text.splitlines()).fnmatch_lines(
            [
                "A/B: slower, or learns worse (base: main)",
                "a * 1.000 (*)  same *identical",
                "b * 1.22? (*)  slower *identical",
                "c *base failed *the reason",
                "::error title=Minibatch bench, slower::b: 1, 1.22, 1.22? *",
                "::warning title=Minibatch bench, undecided::could not be told: c",
            ]
        )
        assert summary.read_text().startswith("## A/B: slower")
        assert (tmp_path / "report" / "ab.md").read_text() == summary.read_text()
        assert "<svg" in (tmp_path / "report" / "ab.svg").read_text()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "requirements.lock").write_text("one")
    identity = ("-c", "user.name=n", "-c", "user.email=e")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def worktrees(repository):
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True)
    return len(listed.stdout.splitlines()) - 1


class TestWorktree:
    @pytest.mark.parametrize("ending", [None, KeyboardInterrupt, ValueError])
    def test_it_is_removed_whatever_happens(self, repository, ending):
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
    def test_what_is_no_revision_is_refused(self, repository, revision):
        with (
            pytest.raises(ValueError, match=f"BASE is '{revision}'; it takes a commit, branch or tag"),
            worktree(repository, revision),
        ):
            pass

    def test_a_folder_that_cannot_be_made_is_said(self, repository, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(repository / "nowhere"))
        with (
            pytest.raises(ValueError, match="no worktree of HEAD could be made: "),
            worktree(repository, "HEAD"),
        ):
            pass

    def test_a_checkout_that_fails_is_said_and_leaves_nothing(self, repository):
        (repository / ".git" / "worktrees").write_text("in the way")
        with (
            pytest.raises(ValueError, match="no worktree of HEAD could be made: "),
            worktree(repository, "HEAD"),
        ):
            pass
        assert not list((repository.parent / "tmp").iterdir())

    def test_with_the_same_locks_the_interpreter_is_this_one(self, repository):
        with worktree(repository, "HEAD") as folder:
            assert python_of(folder, repository) == Path(sys.executable)

    def test_with_other_locks_the_base_makes_its_own(self, repository):
        (repository / "requirements.lock").write_text("two")
        with worktree(repository, "HEAD") as folder:
            with pytest.raises(
                ValueError, match=r"no environment for the base could be made: .*No rule"
            ):
                python_of(folder, repository)
            (folder / "Makefile").write_text(".venv/installed:\n\t@mkdir -p .venv\n")
            assert python_of(folder, repository) == folder / ".venv" / "bin" / "python"


class TestCommand:
    @pytest.fixture
    def ctrl_c_works(self):
        """As it does in a terminal, also where these tests run in the background of a shell."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
    def test_ended_early_it_leaves_no_worktree(self, repository, monkeypatch, capsys, end, ctrl_c_works):
        def compare(selection, base, head, **_):
            assert worktrees(repository) == 1
            assert (base.folder.name, head.folder) == ("base", repository)
            os.kill(os.getpid(), end)

        handler = signal.getsignal(signal.SIGTERM)
        selection = SimpleNamespace(root=repository, rows=[], settings=None)
        monkeypatch.setattr("harness.ab.command.select", lambda _: selection)
        monkeypatch.setattr("harness.ab.command.compare", compare)
        assert compare_with("HEAD", None, 10, 1, []) == 130
        assert worktrees(repository) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
        assert "Interrupted" in capsys.readouterr().err

    def test_another_interpreter_of_the_same_revision_needs_no_worktree(self, repository, monkeypatch):
        sides = []

        def compare(selection, base, head, **_):
            sides.extend([base, head])
            raise KeyboardInterrupt

        selection = SimpleNamespace(root=repository, rows=[], settings=None)
        monkeypatch.setattr("harness.ab.command.select", lambda _: selection)
        monkeypatch.setattr("harness.ab.command.compare", compare)
        compare_with(None, Path("/opt/python"), 10, 1, [])
        assert [side.folder for side in sides] == [repository, repository]
        assert [side.python for side in sides] == [Path("/opt/python"), Path(sys.executable)]

    def test_an_empty_base_is_no_revision(self, repository, monkeypatch):
        """As where a CI's variable is not set: the working tree beside itself would always pass."""
        selection = SimpleNamespace(root=repository, rows=[], settings=None)
        monkeypatch.setattr("harness.ab.command.select", lambda _: selection)
        with pytest.raises(ValueError, match="BASE is ''; it takes a commit"):
            compare_with("", None, 10, 1, [])

    def test_it_needs_a_base(self):
        with pytest.raises(ValueError, match="ab needs BASE, a revision, or --base-python"):
            compare_with(None, None, 10, 1, [])

    @pytest.mark.parametrize("option", ["--percent=0", "--percent=x", "--points=-1", "--percent=inf"])
    def test_bad_thresholds_are_refused(self, option, capsys):
        with pytest.raises(SystemExit):
            main(["ab", "HEAD", option])
        assert "is not a number above 0" in capsys.readouterr().err

    def test_what_pytest_says_of_its_arguments_is_passed_on(self, capsys, monkeypatch):
        said = "--scale is 'huge'; it takes quick or paper"

        def select(arguments):
            assert arguments == ["--scale", "huge"]
            raise ValueError(said)

        monkeypatch.setattr("harness.ab.command.select", select)
        assert main(["ab", "HEAD", "--", "--scale", "huge"]) == 2
        assert capsys.readouterr().err.strip() == said
