"""Engines prove themselves: which are left out and why, and how long the result is kept.

Stand-in engines run eager's steps on made-up images, and advance a fake clock.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import model.engines
from model import stopwatch
from model.dataset import FASHION_MNIST
from model.engines import (
    ENGINES,
    EngineError,
    cannot_run,
    choose_engine,
    eager,
    left_out,
    proof,
    prove_engines,
    unproven,
    why_unavailable,
)
from model.engines.numba_loop import engine as numba_loop
from model.environment import available_cores
from model.experiment import Experiment
from model.optimizers import SGD, Adam
from model.train import train

from .data import NAMED, first, made_up, made_up_on

CPU = torch.device("cpu")
ONLINE = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=1)


class StandIn:
    """An engine that trains like eager, at `seconds` per step, except for what a test changes."""

    HONOURS = eager.HONOURS

    def __init__(self, name: str, seconds: float = 0.001):
        self.NAME = self.__name__ = name
        self.seconds = seconds
        self.experiments: list[Experiment] = []
        self.steps = 0

    def refuses(self, experiment, device):
        return None

    def unavailable(self, device):
        return None

    def cores(self, experiment, replicates, available):
        return 1

    def Engine(self, experiment, data, seeds):
        self.experiments.append(experiment)
        return Running(self, experiment, data, seeds)

    def end_of_epoch(self, parameters):
        """Does nothing; tests replace it."""


class Running:
    def __init__(self, engine, experiment, data, seeds):
        self._engine = engine
        self._eager = eager.Engine(experiment, data, seeds)
        self._batch_size = experiment.batch_size

    def epoch(self, orders, rates):
        self._eager.epoch(orders, rates)
        steps = -(-orders.shape[1] // self._batch_size)
        self._engine.steps += steps
        Clock.now += steps * self._engine.seconds
        with torch.no_grad():
            self._engine.end_of_epoch(list(self._eager._networks[0].parameters()))

    def parameters(self):
        return self._eager.parameters()


class Clock:
    now = 0.0

    @staticmethod
    def perf_counter():
        return Clock.now


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Sets an empty cache, and forgets earlier results."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(proof, "_known", {})
    monkeypatch.setattr(proof, "_STEPS", 20)
    return tmp_path / "cache" / "minibatch-bench"


@pytest.fixture
def plain(monkeypatch) -> StandIn:
    """Replaces eager by a stand-in that takes a millisecond per step."""
    plain = StandIn("eager")
    monkeypatch.setattr(stopwatch, "time", Clock)
    monkeypatch.setattr(Clock, "now", 0.0)
    monkeypatch.setattr(proof, "eager", plain)
    monkeypatch.setattr(model.engines, "eager", plain)
    return plain


@pytest.fixture
def engines(plain, monkeypatch):
    """`engines(first, second)` sets the engines that "auto" chooses from before eager."""
    return lambda *fast: monkeypatch.setattr(model.engines, "ENGINES", (*fast, plain))


def forget(monkeypatch):
    """Forgets results, as in a new process."""
    monkeypatch.setattr(proof, "_known", {})


def test_the_first_engine_that_passes_is_used_not_the_fastest(plain, engines, capfd):
    slower, faster = StandIn("a", 0.00119), StandIn("b", 0.0001)
    engines(slower, faster)
    assert unproven(ONLINE, CPU)
    assert choose_engine("auto", ONLINE, CPU) is plain, "none is used before it is proved"
    prove_engines(ONLINE, made_up())
    assert choose_engine("auto", ONLINE, CPU) is slower
    assert not unproven(ONLINE, CPU)
    assert left_out(ONLINE, CPU) == {}
    assert faster.steps == 0, "the one before it passes"
    assert capfd.readouterr().err == ""


def test_a_proof_that_takes_long_is_announced(plain, engines, capfd, monkeypatch):
    """A stand-in for the timer fires at once, or never."""

    class Timer:
        def __init__(self, seconds, function, arguments):
            assert seconds == 5
            self.fire = lambda: function(*arguments)

        def start(self):
            if fires:
                self.fire()

        def cancel(self):
            cancelled.append(True)

    cancelled = []
    monkeypatch.setattr(proof, "Timer", Timer)
    engines(StandIn("a", 0.0001))
    line = "proving engine a for SGD at batch size 1 (once per machine)\n"
    for fires in (True, False):
        proof.prove(StandIn("a", 0.0001), ONLINE, made_up())
        assert capfd.readouterr().err == line * fires
    assert len(cancelled) == 2


def wrong_by(factor):
    def end_of_epoch(parameters):
        for parameter in parameters:
            parameter *= 1 + factor

    return end_of_epoch


def fails(error):
    def end_of_epoch(parameters):
        raise error

    return end_of_epoch


def spoils_a_bias(parameters):
    parameters[-1][3] = float("nan")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("seconds", "end_of_epoch", "why"),
    [
        (
            0.001,
            wrong_by(1e-4),
            r"its parameters differ from eager's by \d\.\de-0\d; expected less than 1e-05",
        ),
        (0.001, spoils_a_bias, r"its parameters differ from eager's by nan; expected less than 1e-05"),
        (0.0013, lambda _: None, r"it is slower than eager here \(1,300 µs per step, eager 1,000\)"),
    ],
    ids=["wrong", "nan", "slow"],
)
def test_an_engine_that_fails_is_left_out_with_the_reason(
    plain, engines, capfd, monkeypatch, optimizer, seconds, end_of_epoch, why
):
    bad, good = StandIn("bad", seconds), StandIn("good")
    bad.end_of_epoch = end_of_epoch
    engines(bad, good)
    experiment = replace(ONLINE, optimizer=NAMED[optimizer](0.1), batch_size=2)
    prove_engines(experiment, made_up())
    (reason,) = left_out(experiment, CPU).values()
    assert re.fullmatch(why, reason)
    assert choose_engine("auto", experiment, CPU) is good
    assert choose_engine("bad", experiment, CPU) is bad, "it can still be named"
    line = f"engine bad is left out for {experiment.optimizer.label} at batch size 2: {reason}"
    assert line in capfd.readouterr().err.splitlines()

    forget(monkeypatch)
    assert left_out(experiment, CPU) == {"bad": reason}, "another process reads the same result"


def test_rounding_in_a_few_units_is_accepted(engines):
    """A ReLU whose input is 0 up to rounding lets an example through in only one engine."""

    def lets_an_example_through(parameters):
        parameters[0][7] *= 1 + 1e-4  # one unit of 300

    close = StandIn("close")
    close.end_of_epoch = lets_an_example_through
    engines(close)
    prove_engines(ONLINE, made_up())
    assert choose_engine("auto", ONLINE, CPU) is close


@pytest.mark.parametrize(
    ("batch_size", "seconds", "most"),
    [(1, 2**-10, 202), (100, 2**-10, 52), (100, 2**-4, 17), (1025, 0.5, 3), (60000, 0.5, 3)],
)
def test_eagers_steps_are_limited(plain, engines, monkeypatch, batch_size, seconds, most):
    """The limits are some 200 steps, about a second, and an epoch's batches."""
    monkeypatch.setattr(proof, "_STEPS", 200)
    plain.seconds = seconds
    engines(StandIn("fast", seconds / 2))
    prove_engines(replace(ONLINE, batch_size=batch_size), made_up())
    assert plain.steps == most


def test_a_proof_has_its_own_rate_and_initialisation(plain, engines):
    """At a rate of 1e6 everything overflows, so nothing could be compared."""
    fast = StandIn("fast")
    engines(fast)
    prove_engines(replace(ONLINE, optimizer=SGD(1e6), init=0, order="by_class", epochs=100), made_up())
    assert choose_engine("auto", ONLINE, CPU) is fast
    assert not unproven(replace(ONLINE, optimizer=SGD(0.5)), CPU), "one proof for all rates"
    (trial,) = fast.experiments
    assert (trial.learning_rate, trial.init, trial.order) == (0.03, "default", "shuffled")


def test_a_result_is_kept_for_this_user_only_and_used_again(engines, monkeypatch, cache):
    fast = StandIn("fast")
    engines(fast)
    prove_engines(ONLINE, made_up())
    steps = fast.steps
    forget(monkeypatch)
    assert not unproven(ONLINE, CPU)
    prove_engines(ONLINE, made_up())
    assert choose_engine("auto", ONLINE, CPU) is fast
    assert fast.steps == steps
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    (file,) = cache.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def code_changes(monkeypatch):
    monkeypatch.setattr(proof, "_code", lambda: "another")


def cores_change(monkeypatch):
    monkeypatch.setattr(proof, "available_cores", lambda: [0] * 99)


def the_device_changes(monkeypatch):
    monkeypatch.setattr(proof, "device_name", lambda device: "another")


def pytorch_changes(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "another")


def numba_changes(monkeypatch):
    monkeypatch.setattr(proof, "version", lambda package: "another")


def a_setting_changes(monkeypatch):
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")


def python_is_traced(monkeypatch):
    monkeypatch.setattr(sys, "getprofile", lambda: print)


@pytest.mark.parametrize(
    "change",
    [
        code_changes,
        cores_change,
        the_device_changes,
        pytorch_changes,
        numba_changes,
        a_setting_changes,
        python_is_traced,
    ],
)
def test_it_is_proved_again_when_something_it_depends_on_changes(engines, monkeypatch, change):
    engines(StandIn("fast"))
    prove_engines(ONLINE, made_up())
    change(monkeypatch)
    assert unproven(ONLINE, CPU)


def test_another_kind_of_experiment_has_its_own_proof(engines):
    engines(StandIn("fast"))
    prove_engines(ONLINE, made_up())
    assert unproven(replace(ONLINE, batch_size=2), CPU)
    assert unproven(replace(ONLINE, optimizer=Adam(0.1)), CPU)
    assert unproven(replace(ONLINE, dataset=FASHION_MNIST), CPU)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[" * 100_000, "null", "[]", '{"key": 1}', "\udcff", "other key", "no answer", "number"],
)
def test_a_damaged_file_is_ignored_and_replaced(engines, monkeypatch, cache, content):
    fast = StandIn("fast")
    engines(fast)
    prove_engines(ONLINE, made_up())
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    made = {
        "other key": json.dumps({**kept, "key": {**kept["key"], "batch_size": 2}}),
        "no answer": json.dumps({"key": kept["key"]}),
        "number": json.dumps({**kept, "left_out_because": 3}),
    }
    file.write_bytes(made.get(content, content).encode(errors="surrogateescape"))
    forget(monkeypatch)
    assert unproven(ONLINE, CPU)
    prove_engines(ONLINE, made_up())
    assert json.loads(file.read_text()) == kept


def test_the_location_of_numbas_cache_does_not_matter(engines, monkeypatch, tmp_path):
    engines(StandIn("fast"))
    prove_engines(ONLINE, made_up())
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not unproven(ONLINE, CPU)


@pytest.mark.parametrize("since", ["1", True, [], float("nan"), -1e400])
def test_a_damaged_time_is_ignored(engines, monkeypatch, cache, since):
    engines(StandIn("slow", seconds=0.0013))
    prove_engines(ONLINE, made_up())
    (file,) = cache.iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "slow_since": since}))
    forget(monkeypatch)
    assert unproven(ONLINE, CPU)


@pytest.mark.parametrize("answer", ["no file", "unreadable"])
def test_a_result_that_cannot_be_read_is_ignored(engines, monkeypatch, cache, answer):
    engines(StandIn("fast"))
    prove_engines(ONLINE, made_up())
    (file,) = cache.iterdir()
    if answer == "no file":
        file.unlink()
        file.mkdir()
    else:
        read_text = Path.read_text

        def refuse(path, *args, **kwargs):  # root may read everything
            if path == file:
                raise PermissionError
            return read_text(path, *args, **kwargs)

        monkeypatch.setattr(Path, "read_text", refuse)
    forget(monkeypatch)
    assert unproven(ONLINE, CPU)
    prove_engines(ONLINE, made_up())
    assert not unproven(ONLINE, CPU)


def test_without_a_home_there_is_no_cache(engines, monkeypatch, tmp_path):
    """No folder called `~` is made either."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    engines(StandIn("fast"))
    prove_engines(ONLINE, made_up())
    assert not unproven(ONLINE, CPU)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("home", ["file", "read-only"])
def test_without_a_cache_the_process_remembers_the_result(engines, monkeypatch, tmp_path, home):
    if home == "file":
        (tmp_path / "cache").write_text("a file")
    else:
        (tmp_path / "cache").mkdir(mode=0o500)
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: os.mkdir("/proc/none"))  # root may write
    fast = StandIn("fast")
    engines(fast)
    prove_engines(ONLINE, made_up())
    assert choose_engine("auto", ONLINE, CPU) is fast
    assert not unproven(ONLINE, CPU)
    forget(monkeypatch)
    assert unproven(ONLINE, CPU)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineError("no memory"), "no memory"),
        (torch.OutOfMemoryError("no memory"), "no memory"),
        (RuntimeError("two\nlines"), "it raised RuntimeError: two lines"),
        (
            OSError(28, "No space left on device"),
            "it raised OSError: [Errno 28] No space left on device",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_counts_for_this_process_only(engines, capfd, cache, error, reason):
    """The next session may have the memory, the disk space or the library that this one lacks."""
    bad, good = StandIn("bad"), StandIn("good")
    bad.end_of_epoch = fails(error)
    engines(bad, good)
    prove_engines(ONLINE, made_up())
    assert left_out(ONLINE, CPU) == {"bad": reason}
    assert choose_engine("auto", ONLINE, CPU) is good
    assert choose_engine("bad", ONLINE, CPU) is bad, "it can still be named"
    assert f"engine bad is left out for SGD at batch size 1: {reason}\n" in capfd.readouterr().err
    assert [file.name.split("-")[1] for file in cache.iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("hours", "proved_again"), [(0, False), (23, False), (25, True), (-1, True)], ids=str
)
def test_slow_is_kept_for_a_day(engines, monkeypatch, hours, proved_again):
    """Another process may have kept the cores busy. (-1: the clock was wrong.)"""
    engines(StandIn("slow", seconds=0.0013))
    prove_engines(ONLINE, made_up())
    forget(monkeypatch)
    now = proof.time.time() + hours * 3600
    monkeypatch.setattr(proof, "time", SimpleNamespace(time=lambda: now))
    assert unproven(ONLINE, CPU) == proved_again


def test_turns_that_another_process_disturbs_do_not_count(engines):
    disturbed = StandIn("disturbed")
    delays = itertools.chain([0, 0, 0, 0.1, 0.1, 0.1, 0.1], itertools.repeat(0))

    def now_and_then(parameters):
        Clock.now += next(delays)

    disturbed.end_of_epoch = now_and_then
    engines(disturbed)
    prove_engines(ONLINE, made_up())
    assert left_out(ONLINE, CPU) == {}


@pytest.mark.parametrize(("waits", "is_slow"), [(0.06, False), (0.9, False), (1.5, True)])
def test_waiting_for_a_core_counts_only_if_longer_turns_do_not_make_up_for_it(engines, waits, is_slow):
    """At 0.1 ms per step, compared with eager's 1 ms, a turn of 40 steps takes 4 ms without the wait."""
    waiting = StandIn("waiting", seconds=0.0001)
    waiting.end_of_epoch = lambda _: setattr(Clock, "now", Clock.now + waits)
    engines(waiting)
    prove_engines(ONLINE, made_up())
    assert ("slower than eager" in left_out(ONLINE, CPU).get("waiting", "")) == is_slow


class Lacking(StandIn):
    def unavailable(self, device):
        return "its library is missing"


def test_an_engine_that_cannot_run_here_is_named_and_not_tried(engines):
    lacking, good = Lacking("lacking"), StandIn("good")
    engines(lacking, good)
    assert left_out(ONLINE, CPU) == {"lacking": "its library is missing"}
    prove_engines(ONLINE, made_up())
    assert choose_engine("auto", ONLINE, CPU) is good
    assert left_out(ONLINE, CPU) == why_unavailable(CPU) == {"lacking": "its library is missing"}
    assert lacking.steps == 0
    with pytest.raises(EngineError, match="lacking cannot run here: its library is missing"):
        choose_engine("lacking", ONLINE, CPU)


def test_an_engine_that_refuses_the_experiment_is_not_named(engines, monkeypatch):
    lacking = Lacking("lacking")
    monkeypatch.setattr(lacking, "refuses", lambda *_: "it supports batch size 1, not 2")
    engines(lacking)
    assert left_out(ONLINE, CPU) == {}


def test_a_relative_cache_home_is_ignored(monkeypatch):
    """The XDG Base Directory Specification requires this."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert proof._folder() == Path("/home/someone/.cache/minibatch-bench")


def test_training_uses_eager_until_an_engine_has_proved_itself(engines):
    fast = StandIn("fast", seconds=0.0001)
    engines(fast)
    assert train(ONLINE, first(10)).engine == "eager"
    assert fast.steps == 0
    prove_engines(ONLINE, first(100))
    training = train(ONLINE, first(100))
    assert training.engine == "fast"
    assert training.seconds == pytest.approx(100 * 0.0001)
    assert fast.steps == 22 + 100


def test_a_forced_engine_needs_no_proof(engines, cache, capfd):
    fast = StandIn("fast", seconds=1)
    engines(fast)
    assert train(ONLINE, first(10), engine="fast").engine == "fast"
    assert not cache.exists()
    assert capfd.readouterr().err == ""


@pytest.fixture
def without_numba(suite):
    """Returns `suite`, with processes in which Numba cannot run."""
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\n    from model.engines.numba_loop import compilation"
        + "\n    compilation.numba_unavailable = lambda: 'Numba is broken'\n"
    )
    return suite


def test_a_session_reports_once_that_an_engine_cannot_run_here(without_numba):
    """Its cases and its caption report it too, if `auto` would have used the engine."""
    suite = without_numba
    ran = suite.run_apart("--device", "cpu", "-k", "test_1", "-n", "2")
    ran.assert_outcomes(passed=3)
    line = "engine numba cannot run here, --engine auto skips it: Numba is broken"
    assert ran.outlines.count(line) == 1
    assert [case["engines_left_out"] for case in suite.summary()["cases"]] == [
        {"numba": "Numba is broken"}
    ] * 3
    caption = (suite.report / "summary.md").read_text()
    assert caption.count("Engine numba was left out for SGD at batch size 10: Numba is broken.") == 1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("--engine", "eager"),
            "engine numba cannot run here, PyTorch evaluates instead: Numba is broken",
        ),
        (("--collect-only",), None),
    ],
    ids=["eager", "collecting"],
)
def test_a_session_reports_it_only_if_it_matters(without_numba, options, line):
    ran = without_numba.run_apart("--device", "cpu", "-k", "test_1", *options)
    assert [each for each in ran.outlines if "cannot run here" in each] == ([line] if line else [])


def test_cases_and_caption_name_the_engines_left_out(suite):
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\n    from model.engines.proof import ProofResult"
        + "\n    model.engines.proof.kept_answer = lambda *_: ProofResult('it traps')\n"
    )
    suite.run("--device", "cpu", "-k", "test_1").assert_outcomes(passed=3)
    fast = [e.NAME for e in ENGINES if e is not eager and cannot_run(e, ONLINE, CPU) is None]
    for named in (*suite.summary()["cases"], *suite.records()):
        assert named["engines_left_out"] == dict.fromkeys(fast, "it traps")
    caption = (suite.report / "summary.md").read_text()
    for name in fast:
        assert caption.count(f"Engine {name} was left out for SGD at batch size 10: it traps.") == 1
    suite.run("--device", "cpu", "-k", "test_1", "--engine", "eager").assert_outcomes(passed=3)
    assert [case["engines_left_out"] for case in suite.summary()["cases"]] == [{}] * 3


@pytest.mark.skipif(numba_loop.unavailable(CPU) is not None, reason="numba cannot run here")
def test_the_numba_engine_passes(monkeypatch):
    """Every training takes the same time on the fake clock; `make speed` measures the speed."""
    torch.set_num_threads(1)
    monkeypatch.setattr(proof, "_STEPS", 200)
    ticks = SimpleNamespace(perf_counter=partial(next, itertools.count(0, 1e-3)))
    monkeypatch.setattr(stopwatch, "time", ticks)
    assert proof.try_engine(numba_loop, ONLINE, made_up()) == proof.ProofResult(None)


# In a separate process, as on a GPU


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """`elsewhere(code)` returns an engine in another module: eager, with that code in its epochs."""
    (tmp_path / "elsewhere.py").write_text(
        "import os, sys, time\n"
        "from model.engines import eager\n"
        "from model.engines.eager import HONOURS, cores, refuses, unavailable\n"
        "NAME = 'elsewhere'\n"
        "class Engine(eager.Engine):\n"
        "    def epoch(self, orders, rates):\n"
        "        super().epoch(orders, rates)\n"
        "        exec(os.environ['CODE'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def engine(code):
        monkeypatch.setenv("CODE", code)
        import elsewhere

        return elsewhere

    yield engine
    sys.modules.pop("elsewhere", None)


FEW = replace(ONLINE, batch_size=1000)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "raise RuntimeError([name for name in os.environ if name.startswith('GIT_')])",
            "it raised RuntimeError: []",
        ),
        ("print('aborting', file=sys.stderr); os._exit(3)", "its proof died with status 3: aborting"),
        ("time.sleep(60)", "its proof did not end within 0.1 s"),
    ],
    ids=["raises", "dies", "hangs"],
)
def test_a_separate_process_may_die_or_hang(elsewhere, monkeypatch, code, reason):
    """This holds in a git hook, and if Python keeps the working directory off its path."""
    monkeypatch.setenv("GIT_INDEX_FILE", "the hook's")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    if "sleep" in code:
        monkeypatch.setattr(proof, "_CHILD_SECONDS", 0.1)
    assert proof._try_apart(elsewhere(code), FEW, made_up()) == proof.ProofResult(reason, lasting=False)


def test_a_separate_process_that_cannot_be_started_is_reported(elsewhere, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/none")
    answer = proof._try_apart(elsewhere(""), FEW, made_up())
    assert (answer.lasting, answer.reason.split(":")[0]) == (False, "its proof cannot be started")


@pytest.mark.parametrize(
    "answer", [proof.ProofResult(None), proof.ProofResult("no memory", lasting=False)]
)
def test_an_engines_output_is_ignored(elsewhere, monkeypatch, capfd, answer):
    """The separate process's code runs in this process here."""

    def child(command, *, input, **_):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
        exec(command[-1], {})
        return subprocess.CompletedProcess(command, 0, capfd.readouterr().out.encode(), b"")

    def try_engine(engine, experiment, data):
        order, rates = torch.arange(1000)[None], experiment.constant_rates(1000)
        engine.Engine(experiment, data, (0,)).epoch(order, rates)
        assert (experiment, data.name, len(data.test_labels)) == (FEW, "mnist", 500)
        return answer

    monkeypatch.setattr(proof.subprocess, "run", child)
    monkeypatch.setattr(proof, "try_engine", try_engine)
    assert proof._try_apart(elsewhere("print('noise')"), FEW, made_up()) == answer


def test_on_a_gpu_a_separate_process_is_used(engines, monkeypatch):
    """A kernel that traps then does not break the training."""
    on_gpu = type("", (), {"device": torch.device("cuda")})
    monkeypatch.setattr(proof, "_try_apart", lambda *_: proof.ProofResult("it traps"))
    monkeypatch.setattr(proof, "try_engine", lambda *_: pytest.fail("in this process"))
    monkeypatch.setattr(proof, "device_name", lambda device: "a GPU")
    assert not proof.prove(StandIn("fast"), ONLINE, on_gpu).holds


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cluster", "cuda-graph"])
def test_the_gpu_engines_pass(name, capfd):
    """They run in a separate process; `make speed` measures their speed."""
    (engine,) = (each for each in ENGINES if each.NAME == name)
    on_gpu = made_up_on(torch.device("cuda", 0))
    if refusal := cannot_run(engine, ONLINE, on_gpu.device):
        pytest.skip(refusal)
    assert proof.prove(engine, ONLINE, on_gpu).holds, capfd.readouterr().err


@pytest.mark.skipif(len(available_cores()) < 2, reason="needs two cores")
@pytest.mark.skipif(numba_loop.unavailable(CPU) is not None, reason="numba cannot run here")
def test_an_engine_is_chosen_with_all_cores_and_trains_on_leased_ones(suite):
    suite.add(
        1,
        """
import harness.plugin.fixtures
import model.engines.proof as proof
from model.environment import available_cores
from model.train import train
from tests.data import made_up

every = len(available_cores())
proof.kept_answer = lambda *_: proof.ProofResult(None) if len(available_cores()) == every else None
harness.plugin.fixtures.load = lambda *_: made_up()
harness.plugin.fixtures.train_model = train
""",
    )
    suite.run("-k", "test_1 and 0.25").assert_outcomes(passed=1)
    (record,) = suite.records()
    assert (record["engine"], record["threads"]) == ("numba", 1)
