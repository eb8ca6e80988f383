"""Epochs that other processes delayed, what disturbs a machine, and seeds that are trained in blocks."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from harness.hardware.disturbance import DisturbanceWatch
from harness.results.evenness import _without_uneven, format_uneven, time_sign
from harness.results.seed_blocks import (
    cut_seeds,
    join,
    of_first_seeds,
    with_more_results,
    with_more_seeds,
)
from harness.results.training import train_evenly
from model.experiment import Experiment
from model.optimizers import SGD
from tests.data import made_up_training

EXPERIMENT = Experiment(optimizer=SGD(0.1), batch_size=1, epochs=2)


def cumulative(*epochs):
    return np.concatenate([[0.0], np.cumsum(epochs)])


def taking(*epochs, **fields):
    return made_up_training(EXPERIMENT, (0,), epoch_seconds=cumulative(*epochs), **fields)


# Epochs out of line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "sign", "usual"),
    [
        ([2, 4], "", [2, 4]),  # too few
        ([1, 1, 1.875], "", [1, 1, 1.875]),
        ([1, 1, 2], " †", [1, 1, 1]),
        ([4, 1, 1.5, 1, 2], " †", [1.5, 1, 1.5, 1, 2]),  # the median is 1.5
        ([0, 0, 1], "", [0, 0, 1]),
    ],
)
def test_an_epoch_of_twice_the_median_time_is_out_of_line(epochs, sign, usual):
    assert time_sign(taking(*epochs)) == sign
    assert _without_uneven(cumulative(*epochs)).tolist() == cumulative(*usual).tolist()


def test_a_note_names_epochs_out_of_line():
    assert format_uneven([("a", None), ("b", 1.99)]) == ""
    one = "† b: its slowest epoch took 2.0 times the median one."
    assert format_uneven([("a", 1.99), ("b", 2.0), ("c", None)]) == one
    start = "† The slowest epoch took much longer than the median one "
    two = format_uneven([("a", 3.25), ("b", 1.5), ("c", 7.0)])
    assert two == f"{start}(a: 3.2 times; c: 7.0 times)."
    eight = format_uneven((f"r{at}", 2.0) for at in range(8))
    assert eight.count("times") == 8
    nine = format_uneven((f"r{at}", 2.0) for at in range(9))
    assert nine.count("times") == 8
    assert "1 more" in nine


@pytest.mark.parametrize(
    ("exclusive", "times", "kept", "trainings"),
    [
        (True, [(1, 1, 4), (1, 1, 1)], 3, 2),
        (True, [(1, 1, 4), (1, 2, 9)], 6, 2),  # the second one is even later
        (True, [(1, 1, 1), (0, 0, 0)], 3, 1),
        (False, [(1, 1, 4), (1, 1, 1)], 6, 1),
    ],
)
@pytest.mark.parametrize("keep", [True, False])
def test_a_spoilt_training_is_timed_again_and_the_faster_one_counts(
    exclusive, times, kept, trainings, keep
):
    asked = []

    def train(experiment, data, *, observers, engine):
        asked.append((experiment, data, engine))
        for each in observers:
            each.observe(SimpleNamespace(parameters=[f"of {len(asked)}"]))
        return taking(*times[len(asked) - 1])

    given = {"observers": [], "exclusive": exclusive, "keep_parameters": keep}
    training, parameters = train_evenly("experiment", "data", **given, train=train, engine="numba")
    assert training.seconds == kept
    assert asked == [("experiment", "data", "numba")] * trainings
    of = next(at + 1 for at, each in enumerate(times) if sum(each) == kept)
    assert parameters == ([f"of {of}"] if keep else [])


# Blocks of seeds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeds", "most", "blocks"),
    [
        ([4, 2, 9], 3, [(4, 2, 9)]),
        ([4, 2, 9], 4, [(4, 2, 9)]),
        ([4, 2, 9, 7], 3, [(4, 2), (9, 7)]),
        ([4, 2, 9], 1, [(4,), (2,), (9,)]),
        (range(7), 3, [(0, 1, 2), (3, 4), (5, 6)]),
        (range(6), 3, [(0, 1, 2), (3, 4, 5)]),
    ],
)
def test_seeds_are_cut_into_few_and_even_blocks(seeds, most, blocks):
    assert cut_seeds(seeds, most) == blocks


CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "predictions")


def part(seeds, *, threads=1, seconds=(0.0, 1.0, 3.0), **changed):
    """Returns the record of a block, whose arrays hold the seeds of its columns."""
    columns = [[10 * row + seed for seed in seeds] for row in range(3)]
    return {
        "engine": "numba",
        "steps": 5,
        "seeds": [*seeds],
        "outcomes": [f"outcome {seed}" for seed in seeds],
        "seconds": seconds[-1],
        "epoch_seconds": [*seconds],
        "prepare_seconds": 0.5 * threads,
        "threads": threads,
        **dict.fromkeys((*CURVES, "distance_from_initialisation"), columns),
        "observed": {"deep": [[[*seeds]] * 2]},
        "another": "of the first",
        **changed,
    }


def test_blocks_are_joined_in_the_order_of_their_seeds():
    """Blocks of two, one and three seeds, trained one after another."""
    blocks = [part([3, 1]), part([8], threads=4, seconds=(0.0, 2.0, 5.0)), part([5, 6, 0], another="x")]
    found = join(blocks)
    order = [3, 1, 8, 5, 6, 0]
    assert found["seeds"] == order
    assert found["outcomes"] == [f"outcome {seed}" for seed in order]
    assert (found["seconds"], found["epoch_seconds"]) == (11.0, [0.0, 4.0, 11.0])
    assert (found["prepare_seconds"], found["threads"]) == (0.5 + 2 + 0.5, 4)
    for name in (*CURVES, "distance_from_initialisation"):
        assert found[name] == [[10 * row + seed for seed in order] for row in range(3)]
    assert found["observed"] == {"deep": [[order, order]]}
    assert found["another"] == "of the first"


@pytest.mark.parametrize(("name", "other"), [("engine", "eager"), ("steps", 6)])
def test_blocks_of_other_engines_or_steps_are_not_joined(name, other):
    with pytest.raises(ValueError, match=f"^its blocks differ: {name} is (numba|5) and {other}$"):
        join([part([0]), part([1]), part([2], **{name: other})])


def record(content):
    return SimpleNamespace(model_dump=lambda mode: content if mode == "json" else None)


def test_added_seeds_do_not_change_the_times_of_the_first_seeds():
    before = {**part([3, 1]), "added": [{"seeds": [1], "seconds": 7.0}]}
    more = part([8, 2], seconds=(0.0, 9.0, 11.0), threads=4)
    found = with_more_seeds(record(before), more)
    assert found["seeds"] == [3, 1, 8, 2]
    assert found["test_accuracy"] == [[3, 1, 8, 2], [13, 11, 18, 12], [23, 21, 28, 22]]
    assert (found["seconds"], found["epoch_seconds"], found["prepare_seconds"]) == (
        3.0,
        [0.0, 1, 3],
        0.5,
    )
    assert found["added"] == [{"seeds": [1], "seconds": 7.0}, {"seeds": [8, 2], "seconds": 11.0}]


def test_results_that_are_added_follow_those_before():
    before = {"seeds": [3, 1], "measured": ["c", "a"], "kind": "x"}
    found = with_more_results(record(before), {"seeds": [2], "measured": ["b"], "kind": "y"})
    assert found == {"seeds": [3, 1, 2], "measured": ["c", "a", "b"], "kind": "x"}


def test_the_first_seeds_results_are_the_first_columns():
    columns = np.arange(9.0).reshape(3, 3)
    training = made_up_training(
        EXPERIMENT,
        (7, 8, 9),
        outcomes=("learned", "chance", "partial"),
        epoch_seconds=cumulative(1, 2),
        observed={"deep": columns[None]},
        **dict.fromkeys((*CURVES, "distance_from_initialisation"), columns),
    )
    found = of_first_seeds(training, 2)
    assert (found.seeds, found.outcomes) == ((7, 8), ("learned", "chance"))
    for name in (*CURVES, "distance_from_initialisation"):
        assert getattr(found, name).tolist() == [[0, 1], [3, 4], [6, 7]]
    assert found.observed["deep"].tolist() == [[[0, 1], [3, 4], [6, 7]]]
    assert found.epoch_seconds.tolist() == [0, 1, 3]


# What disturbs a machine ----------------------------------------------------------------------------


def readings(monkeypatch, *, steal=0, load=0.0, rates=(2000, 2000), cores=(4, 4)):
    """Makes 1,000 s of all cores pass, of which others took `steal`."""
    kind = type("Times", (tuple,), {})
    before, after = kind([500.0, 200.0]), kind([1500.0 - steal, 200.0 + steal])
    before.steal, after.steal = 200.0, 200.0 + steal
    times = iter([before, after])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    monkeypatch.setattr("os.getloadavg", lambda: (load, 9.0, 9.0))
    rate = None if rates is None else SimpleNamespace(min=rates[0], max=rates[1])
    monkeypatch.setattr(psutil, "cpu_freq", lambda: rate)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: cores[0 if logical else 1])
    return DisturbanceWatch().found()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steal": 5}, None),
        ({"steal": 6}, "Other virtual machines took 0.6% of the time (steal)."),
        ({"load": 0.29}, None),
        ({"load": 0.3}, "Before the start, the load average was 0.3."),
        ({"rates": None}, None),
        ({"rates": (0, 0)}, None),
        ({"rates": (2000, 1999)}, None),
        ({"rates": (800, 0)}, None),
        ({"rates": (2000, 2001)}, "The clock rate may change from 2000 to 2001 MHz."),
        ({"cores": (4, 3)}, "Its 4 cores share 3 physical ones."),
        ({"cores": (4, None)}, None),
        ({"cores": (None, 4)}, None),
        ({"cores": (4, 8)}, None),
    ],
    ids=str,
)
def test_a_disturbance_is_reported_from_its_limit_on(monkeypatch, given, told):
    assert readings(monkeypatch, **given) == ([] if told is None else [told])


@pytest.mark.parametrize(
    ("seconds", "steal", "share"), [(1, 0.5, "50.0%"), (0.5, 0.25, "50.0%"), (1, None, None)]
)
def test_steal_is_a_share_of_the_elapsed_time_where_the_system_reports_it(
    monkeypatch, seconds, steal, share
):
    kind = type("Times", (tuple,), {})
    before, after = kind([5.0]), kind([5.0 + seconds])
    if steal is not None:
        before.steal, after.steal = 1.0, 1.0 + steal
    times = iter([before, after])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    told = [] if share is None else [f"Other virtual machines took {share} of the time (steal)."]
    assert DisturbanceWatch()._steal() == told


def test_a_system_without_a_load_average_reports_none(monkeypatch):
    monkeypatch.delattr("os.getloadavg")
    assert DisturbanceWatch()._load() == []


def test_nothing_is_reported_before_time_has_passed_or_without_a_clock_frequency(monkeypatch):
    now = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: now)
    assert DisturbanceWatch()._steal() == []

    def missing():
        raise NotImplementedError

    readings(monkeypatch)
    watch = type("Quiet", (DisturbanceWatch,), {"_steal": lambda self: []})
    monkeypatch.setattr(psutil, "cpu_times", lambda: now)
    monkeypatch.setattr(psutil, "cpu_freq", missing)
    assert watch().found() == []
