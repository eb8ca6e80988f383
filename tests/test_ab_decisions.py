"""A/B's thresholds met from below, exactly and from above; who trains what, and what is closed when."""

import math
import threading
from types import SimpleNamespace

import pytest

from harness.ab import comparison
from harness.ab.comparison import ABComparison
from harness.ab.decision import decide_learning, decide_speeds, detectable_change
from harness.ab.side import SideError
from harness.ab.turns import Pass, SelectedRow
from harness.compare.learning import Change
from harness.hardware.lock_file import LockError

HALF = math.log1p(0.1) / 2
"""The logarithm of half of a change by 10 %."""

# Decisions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("middle", "passes", "speed"),
    [
        (HALF, 4, "slower"),
        (0.999 * HALF, 4, "same"),
        (-HALF, 4, "faster"),
        (-0.999 * HALF, 4, "same"),
        (-0.6 * HALF, 4, "same"),
        # After two passes nothing is shown to be changed, and what looks changed is left open.
        (HALF, 2, "undecided"),
        (-HALF, 2, "undecided"),
        (0.999 * HALF, 2, "same"),
        (0.6 * HALF, 2, "same"),
    ],
)
def test_a_change_counts_from_half_of_the_threshold_on(middle, passes, speed):
    ratios = [middle, middle, middle - 1e-5, middle + 1e-5]
    if passes == 2:
        ratios = ratios[:2]
    others = {f"other {at}": [each - middle for each in (ratios * 2)[1:5]] for at in range(4)}
    assert decide_speeds({"row": ratios, **others}, 10, passes)["row"].speed == speed


@pytest.mark.parametrize("ratio", [0.2, -0.2])
def test_equal_ratios_decide_nothing_before_the_first_level(ratio):
    assert decide_speeds({"row": [ratio] * 2}, 10, 2)["row"].speed == "undecided"


def test_the_last_look_detects_at_its_part_of_the_level_shared_by_the_rows():
    """It may spend 4/12 of the level of 1 %, as the look before it was after eight of twelve passes."""
    asked = []
    difference = SimpleNamespace(detectable=lambda level: asked.append(level) or 0.05)
    assert detectable_change(SimpleNamespace(difference=difference), 5) == pytest.approx(
        100 * (math.exp(0.05) - 1)
    )
    assert asked == [pytest.approx(0.01 * 4 / 12 / 5)]


def whole(seed, base=0.98, head=0.95, ratio=0.0):
    return Pass([seed], ("eager",) * 2, [(1.0, math.exp(ratio))], ([[base]], [[head]]), (0.9,))


def in_part(seed, ratio=0.0):
    return Pass([seed], ("eager",) * 2, [(1.0, math.exp(ratio))])


def test_learning_is_left_open_by_looks_that_spend_nothing():
    passes = [whole(seed, 0.98 + seed / 1000, 0.95 + seed / 900) for seed in range(3)]
    assert decide_learning({"row": passes[:2]}, 1.0, 2)["row"].outcome == "underpowered"
    assert decide_learning({"row": passes}, 1.0, 3)["row"].outcome == "fell"


# Which rows train on ----------------------------------------------------------------------------------


def of_row(passes, outcome="underpowered", needed=None):
    change = Change(outcome=outcome, before=0.9, now=0.9, seeds=3, seeds_needed=needed, delay=None)
    speed = SimpleNamespace(speed="same")
    return ABComparison(10, 1, {"row": passes}, speeds={"row": speed}, changes={"row": change})


@pytest.mark.parametrize(
    ("seeds", "needed", "is_open"),
    [(1, 24, True), (1, 25, False), (3, 72, True), (3, 73, False), (1, 3, True), (3, None, False)],
)
def test_learning_is_open_if_twice_the_seeds_of_all_passes_would_decide_it(seeds, needed, is_open):
    first = Pass([*range(seeds)], curves=([[0.9] * seeds], [[0.8] * seeds]))
    found = of_row([first], needed=needed)
    assert (found.is_open("row"), found.trains_whole("row")) == (is_open, is_open)


def test_a_row_of_equal_curves_is_decided_even_after_passes_in_part():
    assert not of_row([whole(0, 0.9, 0.9), in_part(1)], needed=2).is_open("row")
    assert of_row([whole(0, 0.9, 0.8), in_part(1)], needed=2).is_open("row")


def test_decisions_are_final():
    """A look spends its part of the error rate once, whatever later passes are like."""
    slower = [whole(seed, 0.98, 0.95 + seed / 10**5, 0.2 + seed / 10**5) for seed in range(4)]
    found = ABComparison(10, 1, {"row": slower})
    found.decide(4)
    found.passes["row"] += [whole(seed, 0.95, 0.98 + seed / 10**5, -0.9) for seed in range(4, 12)]
    later = ABComparison(10, 1, found.passes)
    for each in (found, later):
        each.decide(12)
    assert (found.speeds["row"].speed, found.changes["row"].outcome) == ("slower", "fell")
    assert (later.speeds["row"].speed, later.changes["row"].outcome) != ("slower", "fell")


# Passes -----------------------------------------------------------------------------------------------


@pytest.fixture
def log():
    return []


@pytest.fixture
def run(monkeypatch, log):
    """Runs a comparison of rows with made-up passes; `log` has what was done to them and to pairs."""

    class LoggedPair:
        def __init__(self, *_):
            log.append("start")

        def close(self):
            log.append("close")

    def run(made, names, cores=1, device="cpu", points=1):
        def take(row, pair, seeds, *, whole):
            log.append(row.name)
            return made(row.name, seeds[0])

        monkeypatch.setattr(comparison, "Pair", LoggedPair)
        monkeypatch.setattr(comparison, "available_cores", lambda: [*range(cores)])
        monkeypatch.setattr(comparison, "take_turns", take)
        rows = [SelectedRow(name, "bench.test_x", name, {"device": device}) for name in names]
        selection = SimpleNamespace(rows=rows, settings=SimpleNamespace(seeds=(0,)))
        return comparison.compare_checkouts(selection, None, None, percent=10, points=points)

    return run


def alike(name, seed):
    return whole(seed, 0.9, 0.9, 0.001 * math.sin(ord(name[0]) + seed))


def test_rows_are_decided_after_2_3_4_6_8_and_12_passes(run, capsys):
    def made(name, seed):
        return alike(name, seed) if name == "a" else whole(seed, 0.9, 0.9, 0.5 * (-1) ** seed)

    run(made, "abc")
    assert capsys.readouterr().err.splitlines() == [
        "After pass 2: 1 of 3 rows decided; up to 10 more of: b, c.",
        "After pass 3: 0 of 2 rows decided; up to 9 more of: b, c.",
        "After pass 4: 0 of 2 rows decided; up to 8 more of: b, c.",
        "After pass 6: 0 of 2 rows decided; up to 6 more of: b, c.",
        "After pass 8: 0 of 2 rows decided; up to 4 more of: b, c.",
        "After pass 12: 0 of 2 rows decided; inconclusive: b, c.",
    ]


def test_learning_that_no_look_decided_is_judged_as_by_the_last(run, monkeypatch):
    numbers = []

    def decide(passes, points, number):
        numbers.append((number, points))
        return decide_learning(passes, points, number)

    monkeypatch.setattr(comparison, "decide_learning", decide)
    found = run(alike, "ab", points=2)
    assert numbers == [(12, 2)]
    assert {name: each.outcome for name, each in found.changes.items()} == dict.fromkeys(
        "ab", "identical"
    )


@pytest.mark.parametrize(
    ("device", "cores", "names", "pairs"),
    [("cpu", 3, "ab", 2), ("cpu", 3, "abcd", 3), ("cuda", 3, "abcd", 1), ("cpu", 1, "abc", 1)],
)
def test_a_row_at_a_time_trains_on_each_core_or_on_the_gpu(
    run, log, monkeypatch, device, cores, names, pairs
):
    daemons, broken = set(), []
    monkeypatch.setattr(threading, "excepthook", broken.append)

    def made(name, seed):
        daemons.add(threading.current_thread().daemon)
        return alike(name, seed)

    run(made, names, cores, device)
    assert (daemons, broken) == ({True}, [])
    assert log.count("start") == log.count("close") == 2 * pairs  # in each of two passes
    assert log[:pairs] == ["start"] * pairs
    assert sorted(each for each in log if len(each) == 1) == sorted(names * 2)


def test_a_side_that_cannot_train_a_row_is_started_anew_for_the_next(run, log, monkeypatch):
    class LoggedProgress:
        def __init__(self, number, rows):
            log.append(f"pass {number} of {rows}")

        begin = finish = lambda self, row: log.append(f"-{row}-")

        def close(self):
            log.append("end")

    def made(name, seed):
        if name == "b":
            raise SideError("head", "it was killed", "killed")
        return alike(name, seed)

    monkeypatch.setattr(comparison, "PassProgress", LoggedProgress)
    found = run(made, "abc")
    rows = [["-a-", "a", "-a-"], ["-b-", "b", "close", "-b-"], ["-c-", "c", "-c-"]]
    first = ["pass 1 of 3", "start", *rows[0], *rows[1], *rows[2], "close", "end"]
    assert log == [*first, "pass 2 of 2", "start", *rows[0], *rows[2], "close", "end"]
    assert found.errors["b"].kind == "killed"


def test_of_different_errors_the_first_is_named(run):
    def made(name, seed):
        raise SideError("base", f"row {name} is broken")

    with pytest.raises(ValueError, match=r"^nothing can be compared: base: row a is broken \(and 2 m"):
        run(made, "abc")


def test_after_an_error_that_is_no_sides_nothing_else_is_trained(run, log):
    both_train, of_a = threading.Barrier(2, timeout=10), []

    def made(name, seed):
        if name == "a":
            of_a.append(threading.current_thread())
            both_train.wait()
            raise LockError("the locks are another user's")
        if name == "b":
            both_train.wait()
            of_a[0].join(10)
        return alike(name, seed)

    with pytest.raises(LockError, match="another user's"):
        run(made, "abcd", cores=2)
    assert sorted(log) == ["a", "b", "close", "close", "start", "start"]


def test_after_an_interruption_no_further_row_is_begun(run, log, monkeypatch):
    begun, ended, threads = threading.Event(), threading.Event(), []

    def made(name, seed):
        threads.append(threading.current_thread())
        begun.set()
        ended.wait(10)
        raise SideError("head", "killed by signal 9", "killed")

    def interrupted(_):
        begun.wait(10)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(made, "ab")
    ended.set()
    threads[0].join(10)
    assert log == ["start", "a", "close"]
