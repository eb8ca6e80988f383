"""A/B's tables, files and annotations, and its turns, worked out on paper."""

import json
import math
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import model.data.mnist
import model.engines
import model.evaluate
from harness.ab import forest, interpreter, output, payload, selection, turns
from harness.ab.comparison import ABComparison
from harness.ab.decision import RowDecision
from harness.ab.payload import Trainer
from harness.ab.progress import PassProgress
from harness.ab.provenance import Provenance, differing_versions
from harness.ab.selection import _Collected
from harness.ab.side import SideError
from harness.ab.turns import Pass, SelectedRow, take_turns
from harness.commands import bisect
from harness.compare.learning import Change
from harness.compare.significance import Difference
from harness.session_settings import SESSION_STUDY, SETTINGS
from model.experiment import Experiment
from model.optimizers import SGD

CASE = "bench/test_1_x.py::test_training[sgd, 0.1]"
FIGURES = {"base_accuracy": 0.98, "head_accuracy": 0.95, "seeds": 3, "seeds_needed": None}
MEASURED = {
    "id": CASE,
    "engines": ["eager", "eager"],
    "base_epoch_seconds": 1.2345,
    "head_epoch_seconds": 0.012345,
    "ratio": 1.0504,
    "interval": [0.9996, 1.1],
    "speed": "same",
    "detectable_percent": 12.5,
    "learning": "identical",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning": "identical"}, "identical"),
        ({"learning": "fell"}, "worse (accuracy 0.9800, now 0.9500, 3 seeds)"),
        ({"learning": "held"}, "not worse (accuracy 0.9800, now 0.9500, 3 seeds)"),
        (
            {"learning": "underpowered", "seeds_needed": 40},
            "inconclusive, needs about 40 seeds (accuracy 0.9800, now 0.9500, 3 seeds)",
        ),
        (
            {"learning": "underpowered"},
            "inconclusive, needs over 1000 seeds (accuracy 0.9800, now 0.9500, 3 seeds)",
        ),
    ],
)
def test_learning_in_words(changes, words):
    assert output._learning({**FIGURES, **changes}) == words


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, ["1.23", "0.0123", "1.050 (1.000 to 1.100)", "same", "identical"]),
        (
            {"engines": ["eager", "numba"], "speed": "undecided"},
            [
                "1.23",
                "0.0123",
                "1.050 (1.000 to 1.100)",
                "inconclusive, detects 12 % (engine was eager, is now numba)",
                "identical",
            ],
        ),
        (
            {"reason": "x" * 101, "speed": "base lacks it"},
            ["–", "–", "–", "not in the base", "x" * 100],
        ),
        ({"reason": "no", "speed": "head killed"}, ["–", "–", "–", "head killed", "no"]),
    ],
)
def test_the_cells_of_a_row(changes, cells):
    assert output._cells({**MEASURED, **changes}) == ["sgd, 0.1", *cells]


@pytest.mark.parametrize(
    ("speed", "learning", "told"),
    [
        ("same", "identical", None),
        ("faster", "held", None),
        ("base lacks it", None, None),
        ("slower", "held", ("error", "slower")),
        ("slower", "fell", ("error", "learns worse")),
        ("same", "fell", ("error", "learns worse")),
        ("head failed", None, ("error", "head failed")),
        ("base failed", None, ("warning", "inconclusive")),
        ("head killed", None, ("warning", "inconclusive")),
        ("head lacks it", None, ("warning", "inconclusive")),
        ("undecided", "identical", ("warning", "inconclusive")),
        ("same", "underpowered", ("warning", "inconclusive")),
    ],
)
def test_what_is_annotated(speed, learning, told):
    row = {**MEASURED, **FIGURES, "speed": speed, "learning": learning}
    if learning is None:
        del row["learning"]
        row["reason"] = "the reason"
    found = [*output._annotations([row])]
    assert [each[:2] for each in found] == ([] if told is None else [told])
    if told and told[0] == "error":
        assert found[0][2] == f"{CASE}: {output._summary(row)}"
    elif told:
        assert found[0][2] == f"could not be decided: {CASE}"


def test_a_row_of_two_passes():
    """Of four turns, the medians are 1.5 and 3 s. The interval is Student's, with one degree."""
    passes = [
        Pass([0], ("eager", "numba"), [(1.0, 2.0), (1.0, 2.0)]),
        Pass([1], ("eager", "numba"), [(2.0, 4.0), (2.0, 5.0)]),
    ]
    middle = math.log(2)
    decision = RowDecision("slower", Difference(middle, 0.1, 1.0), 0.003)
    change = Change(outcome="fell", before=0.9, now=0.8, seeds=2, seeds_needed=7)
    found = ABComparison(
        10, 1, {CASE: passes}, speeds={CASE: decision, "b": decision}, changes={CASE: change}
    )
    (row,) = output.rows_of(found)
    assert row["passes"] == 2
    assert row["engines"] == ["eager", "numba"]
    assert (row["base_epoch_seconds"], row["head_epoch_seconds"]) == (1.5, 3.0)
    assert row["ratio"] == pytest.approx(2)
    assert row["interval"] == pytest.approx([2 * math.exp(-1.27062), 2 * math.exp(1.27062)], rel=1e-4)
    assert row["pass_ratios"] == pytest.approx([2, math.sqrt(2 * 2.5)])
    assert row["detectable_percent"] == pytest.approx(
        100 * math.expm1(decision.difference.detectable(0.01 / 3 / 2))
    )
    figures = (row["p"], row["base_accuracy"], row["head_accuracy"], row["seeds"], row["seeds_needed"])
    assert figures == (0.003, 0.9, 0.8, 2, 7)
    assert (row["speed"], row["learning"]) == ("slower", "fell")


@pytest.mark.parametrize("speed", ["undecided", "same"])
def test_the_caption_explains_what_is_in_the_table(speed):
    sides = (
        Provenance(
            "main", "a" * 40, False, "c0de", "/python", {"torch": "1", "numba": None, "numpy": "2"}
        ),
        Provenance(None, "b" * 40, True, "c0de", "/python", {"torch": "1", "numba": "3"}),
    )
    differences = "numba was None, is now 3, numpy was 2, is now None"
    assert differing_versions(*sides) == differences
    found = ABComparison(2.5, 1, {}, speeds={"a": SimpleNamespace(speed=speed)})
    lines = output._caption(found, *sides).splitlines()
    assert lines[0].startswith("Head is the working tree, bbbbbbbbbb with changes. ")
    assert lines[1].endswith("Same: a change of 2.5 % or more is excluded.")
    assert [line.startswith("Inconclusive: ") for line in lines[2:-1]] == [True] * (speed == "undecided")
    assert lines[-1] == f"Versions differ: {differences}."
    assert "Versions differ" not in output._caption(found, sides[0], sides[0])


def test_without_a_measured_row_there_is_no_figure(tmp_path, monkeypatch):
    unmeasured = {"id": CASE, "speed": "base failed", "reason": "no"}
    assert output._draw([unmeasured], "title", 10, tmp_path) == ""
    assert not (tmp_path / "ab.svg").exists()
    monkeypatch.setitem(sys.modules, "harness.ab.forest", None)
    assert " is not installed)" in output._draw([unmeasured], "title", 10, tmp_path)


def test_the_figure_shows_the_rows_in_order_with_the_thresholds(monkeypatch):
    drawn = []
    monkeypatch.setattr(forest.vl_convert, "vegalite_to_svg", lambda spec: drawn.append(spec) or "<svg>")
    other = {**MEASURED, "id": "bench/a.py::test_training[adam]", "speed": "inconclusive"}
    assert forest.draw_forest([MEASURED, other], "A title", 25) == "<svg>"
    (spec,) = drawn
    _, intervals, points = spec["layer"]
    rows = [
        {"row": "1. sgd, 0.1", "ratio": 1.0504, "low": 0.9996, "high": 1.1, "speed": "same"},
        {"row": "2. adam", "ratio": 1.0504, "low": 0.9996, "high": 1.1, "speed": "inconclusive"},
    ]
    data = {
        name: spec["datasets"][layer["data"]["name"]]
        for name, layer in zip("lip", spec["layer"], strict=True)
    }
    assert data["i"] == data["p"] == rows
    assert [each["at"] for each in data["l"]] == [0.8, 1, 1.25]
    assert intervals["encoding"]["y"]["sort"] == ["1. sgd, 0.1", "2. adam"]
    fields = {axis: intervals["encoding"][axis]["field"] for axis in ("x", "x2", "y", "color")}
    assert fields == {"x": "low", "x2": "high", "y": "row", "color": "speed"}
    assert points["encoding"]["x"]["field"] == "ratio"
    assert intervals["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["title"] == "A title"


# Progress ----------------------------------------------------------------------------------------------


def test_a_log_has_its_first_line_after_half_a_minute(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("harness.ab.progress.time.monotonic", lambda: now[0])
    progress = PassProgress(2, 3)
    progress.begin("a")
    now[0] = 129.5
    progress.finish("a")
    progress.begin("b")
    assert capsys.readouterr().err == ""
    now[0] = 130.0
    progress.begin("c")
    now[0] = 159.5
    progress.finish("b")
    assert capsys.readouterr().err == (
        "Pass 2 (of up to 12): 1 of 3 rows, now b, c, 60 s left in this pass\n"
    )
    now[0] = 200.0
    progress.finish("c")  # a summary of the pass follows
    progress.close()
    assert capsys.readouterr().err == ""


# Turns -------------------------------------------------------------------------------------------------


class Side:
    """A side that takes `seconds` for each example, and notes what it is asked."""

    def __init__(self, name, seconds, **row):
        self.name, self.seconds, self.asked = name, seconds, []
        self.row = {"engine": "eager", "cores": 1, "epochs": 1, "batch_size": 10, "examples": 990}
        self.row |= {"experiment": {}, "targets": [0.9], **row}

    def ask(self, do, **request):
        self.asked.append((do, request))
        seconds = self.seconds * request.get("examples", 0)
        return {"prepare": self.row, "turn": {"seconds": seconds}, "evaluate": {"accuracy": [0.5]}}.get(
            do
        )

    def sizes(self):
        return [request["examples"] for do, request in self.asked if do == "turn"]


@pytest.fixture
def train(monkeypatch):
    """Has two sides take turns, on cores 3 and 5 or a GPU; returns the pass, and what was leased."""
    leased = []

    @contextmanager
    def hold(cores):
        leased.append(cores)
        yield [3, 5][:cores]

    @contextmanager
    def lease(devices):
        leased.append(devices)
        yield

    monkeypatch.setattr(turns, "hold_cores", hold)
    monkeypatch.setattr(turns, "lease_gpu", lease)

    def train(base, head, device="cpu", whole=True):
        row = SelectedRow(CASE, "bench.test_1_x", "sgd", {"device": device})
        pair = SimpleNamespace(sides=lambda: (base, head))
        return take_turns(row, pair, [7], whole=whole), leased

    return train


@pytest.mark.parametrize(("examples", "counted"), [(990, 10), (991, 11), (989, 10)])
def test_a_rest_of_an_epoch_of_at_most_half_a_turn_does_not_count(train, examples, counted):
    """After 10, 20, 40 and 80 examples a turn is of 80: ten of them, and a rest of 40, 41 or 39."""
    sides = [Side(name, 1e-3, examples=examples) for name in ("base", "head")]
    found, _ = train(*sides)
    assert sides[0].sizes() == [10, 20, 40, 80, *[80] * 10, examples - 950]
    assert len(found.turns) == counted
    assert found.turns[0] == pytest.approx((0.001 * examples,) * 2)


@pytest.mark.parametrize(("seconds", "size"), [(0.00125, 40), (0.00124, 80), (0.00126, 40)])
def test_a_turn_takes_at_least_a_twentieth_of_a_second_on_the_slower_side(train, seconds, size):
    sides = Side("base", seconds / 2), Side("head", seconds)
    train(*sides)
    assert sides[0].sizes()[4] == sides[1].sizes()[4] == size


def test_each_side_is_given_as_many_of_the_leased_cores_as_it_uses(train):
    base, head = Side("base", 1e-3), Side("head", 1e-3, cores=2)
    found, leased = train(base, head)
    assert leased == [2]
    assert [dict(side.asked)["build"] for side in (base, head)] == [
        {"cores": [3], "seeds": [7]},
        {"cores": [3, 5], "seeds": [7]},
    ]
    assert (found.seeds, found.targets, found.engines) == ([7], (0.9,), ("eager", "eager"))


def test_a_gpu_is_leased_without_cores(train):
    base, head = Side("base", 1e-3), Side("head", 1e-3)
    _, leased = train(base, head, "cuda:1")
    assert leased == [[torch.device("cuda:1")]]
    assert dict(base.asked)["build"]["cores"] == []


def test_a_setting_that_only_one_side_has_does_not_prevent_a_comparison(train):
    base = Side("base", 1e-3, experiment={"order": "sorted", "of_the_base": 1})
    head = Side("head", 1e-3, experiment={"order": "sorted", "of_the_head": 2})
    assert train(base, head)[0].turns
    head.row["experiment"] = {"order": "shuffled"}
    with pytest.raises(SideError, match=r"^base: order is sorted, but shuffled in the head$"):
        train(base, head)


@pytest.mark.parametrize("whole", [True, False])
def test_curves_have_a_point_after_each_epoch_of_a_row_that_is_trained_whole(train, whole):
    sides = [Side(name, 1e-3, epochs=2) for name in ("base", "head")]
    found, _ = train(*sides, whole=whole)
    assert found.curves == (([[0.5]] * 2,) * 2 if whole else ([], []))
    assert sum(sides[0].sizes()) == (2 * 990 if whole else 150 + 80 * 5)  # 0.4 s of turns of 0.08 s


# The code of a side ------------------------------------------------------------------------------------


@pytest.fixture
def prepared(monkeypatch, tmp_path):
    """Prepares a row in a checkout whose engines and exercises have these signatures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "test_x.py").touch()
    data = SimpleNamespace(train_labels=torch.zeros(990), device=torch.device("cpu"))

    def prepared(cores, experiment, engine="numba", proofs=None):
        module = SimpleNamespace(NAME="numba", cores=cores)
        exercise = SimpleNamespace(rows=[SimpleNamespace(name="sgd")], experiment=experiment)
        of_module = SimpleNamespace(EXERCISE=exercise)
        monkeypatch.setattr(payload.importlib, "import_module", lambda _: of_module)
        monkeypatch.setattr(model.data.mnist, "load", lambda *_: data)
        monkeypatch.setattr(model.engines, "choose_engine", lambda *_: module)
        monkeypatch.setattr(model.engines, "prove_engines", lambda *_: proofs.append(1))
        settings = {"scale": "quick", "epochs": 4, "dataset": "mnist", "device": "cpu"}
        settings |= {"engine": engine, "replicates": 5, "cores": 8, "data_root": "data"}
        trainer = Trainer()
        return trainer, trainer.prepare("bench.test_x", "sgd", settings)

    return prepared


def of_epochs(row, epochs, dataset):
    return Experiment(optimizer=SGD(0.1), batch_size=10, epochs=epochs)


def test_a_row_is_prepared(prepared):
    _, found = prepared(lambda experiment, replicates, cores: (replicates, cores), of_epochs)
    assert found.pop("experiment") == of_epochs(None, 4, None).to_dict()
    assert found == {
        "engine": "numba",
        "cores": (5, 8),
        "epochs": 4,
        "batch_size": 10,
        "examples": 990,
        "targets": [*of_epochs(None, 1, None).dataset.targets],
    }


def test_earlier_checkouts_are_prepared(prepared):
    """There, engines take no experiment, exercises take a scale, and experiments are plain objects."""

    def of_scale(row, scale, dataset):
        return SimpleNamespace(dataset=dataset, epochs=len(scale), batch_size=10)

    _, found = prepared(lambda replicates, cores: (replicates, cores), of_scale)
    assert (found["cores"], found["epochs"], found["experiment"], found["targets"]) == (
        (5, 8),
        5,
        {},
        [],
    )


@pytest.mark.parametrize(("engine", "proved"), [("auto", 1), ("numba", 0)])
def test_engines_prove_themselves_before_auto_chooses(prepared, engine, proved):
    proofs = []
    prepared(lambda replicates: 1, of_epochs, engine, proofs)
    assert len(proofs) == proved


def test_what_a_checkout_lacks_is_named(prepared):
    trainer, _ = prepared(lambda cores: 1, of_epochs)
    with pytest.raises(LookupError, match=r"^the checkout has no bench\.test_y$"):
        trainer.prepare("bench.test_y", "sgd", {})
    with pytest.raises(LookupError, match=r"^bench\.test_x has no row adam$"):
        trainer.prepare("bench.test_x", "adam", {})


def test_turns_continue_through_the_epochs(monkeypatch):
    """Of 25 examples in batches of 10: parts of 10, 15, then the next epoch in its own order."""
    trained, times = [], iter([1.0, 1.5, 2.0, 4.0, 5.0, 5.25])
    monkeypatch.setattr(payload.time, "perf_counter", lambda: next(times))
    trainer = Trainer()
    trainer.experiment = Experiment(optimizer=SGD(0.1), batch_size=10, epochs=2)
    trainer.data = SimpleNamespace(train_labels=torch.arange(25) % 10, device=torch.device("cpu"))
    runner = SimpleNamespace(epoch=lambda orders, rates: trained.append((orders.clone(), len(rates))))
    trainer.engine = SimpleNamespace(Engine=lambda experiment, data, seeds: runner)
    assert trainer.build(cores=[], seeds=[4, 5]) == {}
    seconds = [trainer.turn(examples)["seconds"] for examples in (10, 15, 25)]
    assert seconds == [0.5, 2.0, 0.25]
    assert [(tuple(orders.shape), rates) for orders, rates in trained] == [
        ((2, 10), 1),
        ((2, 15), 2),
        ((2, 25), 3),
    ]
    first = torch.cat([trained[0][0], trained[1][0]], dim=1)
    assert [sorted(order) for order in first.tolist()] == [[*range(25)]] * 2
    assert first[0].tolist() != first[1].tolist()
    assert first.tolist() != trained[2][0].tolist()
    assert (trainer.epoch, trainer.position) == (2, 0)


@pytest.mark.parametrize("network", ["a network", None])
def test_networks_are_evaluated(monkeypatch, network):
    given = []

    def evaluate(*arguments):
        given.append(arguments)
        return SimpleNamespace(accuracy=torch.tensor([0.5, 0.25]))

    monkeypatch.setattr(model.evaluate, "evaluate", evaluate)
    trainer = Trainer()
    trainer.experiment = SimpleNamespace(**({"network": network} if network else {}))
    trainer.runner = SimpleNamespace(parameters=lambda: "parameters")
    trainer.data = SimpleNamespace(test_images="images", test_labels="labels")
    assert trainer.evaluate() == {"accuracy": [0.5, 0.25]}
    assert given == [(*([network] if network else []), "parameters", "images", "labels")]


def test_packages_that_a_side_lacks_have_no_version(monkeypatch):
    def version(name):
        if name == "numba":
            raise payload.metadata.PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr(payload.metadata, "version", version)
    found = Trainer().describe()
    assert {**found, "python": ""} == {
        "python": "", "torch": "torch 1", "numpy": "numpy 1", "numba": None,
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found


# Which rows are compared, and with which interpreter ---------------------------------------------------


def failed(text, nodeid="bench/test_x.py"):
    return SimpleNamespace(failed=True, longreprtext=text, nodeid=nodeid)


@pytest.mark.parametrize(
    ("reports", "why"),
    [
        ([SimpleNamespace(failed=False)], None),
        (
            [failed("E   ImportError: no a\nE   KeyError: b")],
            "bench/test_x.py cannot be collected: ImportError: no a",
        ),
        (
            [failed("E     File x, line 1\nE   SyntaxError: invalid syntax")],
            "bench/test_x.py cannot be collected: SyntaxError: invalid syntax",
        ),
        ([failed("E   odd: a\nE   odder: b")], "bench/test_x.py cannot be collected: odd: a"),
        ([failed("one\nUsage: two")], "bench/test_x.py cannot be collected: Usage: two"),
        ([failed("E   KeyError: a", "")], "pytest cannot be collected: KeyError: a"),
        (
            [failed("E   KeyError: a", "first"), failed("E   KeyError: b", "second")],
            "first cannot be collected: KeyError: a",
        ),
    ],
)
def test_the_first_module_that_cannot_be_collected_is_named(reports, why):
    collected = _Collected()
    for report in reports:
        collected.pytest_collectreport(report)
    assert (collected.failed, collected.interrupted) == (why, False)


@pytest.mark.parametrize("earlier", [None, "earlier"])
def test_how_pytest_ended(earlier):
    def ended(hook, **info):
        collected = _Collected()
        collected.failed = earlier
        getattr(collected, hook)(SimpleNamespace(**info))
        return collected.failed, collected.interrupted

    hook = "pytest_keyboard_interrupt"
    assert ended(hook, value=KeyboardInterrupt()) == (earlier, True)
    assert ended(hook, value=pytest.exit.Exception("no")) == (earlier or "pytest was ended: no", False)
    assert ended("pytest_internalerror", value="7", typename="SystemExit") == (
        earlier or "pytest was ended by SystemExit: 7",
        False,
    )


@pytest.mark.parametrize("arguments", [[], ["-k", "a b"]])
@pytest.mark.parametrize("status", [0, 5])
def test_the_settings_of_the_selected_rows(monkeypatch, tmp_path, arguments, status):
    settings = SimpleNamespace(
        scale="quick", dataset="mnist", device="auto", engine="auto", seeds=(0, 1, 2), data_root=tmp_path
    )
    study = SimpleNamespace(epochs=lambda exercise, scale: {"quick": 4}[scale] + exercise)
    exercises = {"my/test_1_x.py::test_training[a]": 0, "my/test_2_y.py::test_training[b]": 1}

    def main(given, plugins):
        assert given == [*arguments, "--collect-only", "-q"]
        (collected,) = plugins
        collected.config = SimpleNamespace(
            stash={SETTINGS: settings, SESSION_STUDY: SimpleNamespace(study=study)}, rootpath=tmp_path
        )
        collected.exercises = exercises
        return pytest.ExitCode(status)

    monkeypatch.setattr(selection.pytest, "main", main)
    monkeypatch.setattr(selection, "available_cores", lambda: [3, 5])
    monkeypatch.setattr(selection, "candidate_devices", lambda _: ["cuda:0", "cuda:1"])
    found = selection.select(arguments)
    common = {"scale": "quick", "dataset": "mnist", "device": "cuda:0", "engine": "auto"}
    common |= {"replicates": 3, "data_root": str(tmp_path), "cores": 2}
    assert [(row.case, row.module, row.name) for row in found.rows] == [
        ("my/test_1_x.py::test_training[a]", "my.test_1_x", "a"),
        ("my/test_2_y.py::test_training[b]", "my.test_2_y", "b"),
    ]
    assert [row.settings for row in found.rows] == [{**common, "epochs": 4}, {**common, "epochs": 5}]
    assert (found.settings, found.root) == (settings, tmp_path)
    given = "with -k 'a b'" if arguments else "without arguments"
    exercises.clear()
    with pytest.raises(ValueError, match=f"^pytest {given} selects no row; expected arguments that sel"):
        selection.select(arguments)


@pytest.mark.parametrize(
    ("version", "lacks", "why"),
    [
        ((3, 11), [], None),
        ((4, 0), [], None),
        ((3, 10), [], "which is Python 3.10; expected 3.11 or newer"),
        ((2, 12), [["torch", "x"]], "which is Python 2.12; expected 3.11 or newer"),
        ((3, 12), [["torch", "Error: a"]], "which cannot import torch: Error: a"),
    ],
)
def test_which_interpreters_can_be_a_side(monkeypatch, tmp_path, version, lacks, why):
    monkeypatch.setattr(interpreter, "_ask", lambda *_: (version, lacks))
    given = Path(sys.executable)
    if why is None:
        assert interpreter.checked_interpreter(given, tmp_path) == given
    else:
        with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
            interpreter.checked_interpreter(given, tmp_path)
        assert str(refused.value) == f"--base-python is {str(given)!r}, {why}"


# Bisection ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "before", "now", "threshold"),
    [
        ("accuracy", 0.9, 0.87, (10, 3)),
        ("accuracy", 0.9, 0.897, (10, 0.5)),  # at least half of the points
        ("accuracy", 0.9, 0.95, (10, 0.5)),
        ("time", 0.9, 0.87, (25, 1)),
    ],
)
def test_a_step_is_searched_at_its_size(monkeypatch, tmp_path, measure, before, now, threshold):
    ends = ABComparison(
        10,
        1,
        {CASE: []},
        speeds={CASE: SimpleNamespace(difference=SimpleNamespace(estimate=math.log(1.25)))},
        changes={CASE: SimpleNamespace(before=before, now=now)},
    )
    asked = []

    def compare(selection, base, head, *, percent, points):
        asked.append((base, head.folder, percent, points))
        raise ValueError("nothing can be compared")

    monkeypatch.setattr(bisect, "compare_checkouts", compare)
    monkeypatch.setattr(bisect, "python_of", lambda *_: Path("python"))
    judge = bisect._judge(SimpleNamespace(root=tmp_path), "base", ends, measure)
    assert judge(tmp_path / "a") == ("skip", "nothing can be compared")
    assert asked == [("base", tmp_path / "a", *map(pytest.approx, threshold))]


@pytest.mark.parametrize(
    ("speed", "learning", "verdicts", "worse"),
    [
        ("slower", "held", ("bad", "good"), ("time", "time", None)),
        ("same", "fell", ("good", "bad"), ("accuracy", None, "accuracy")),
        ("slower", "fell", ("bad", "bad"), ("time", "time", "accuracy")),
        ("faster", "identical", ("good", "good"), (None, None, None)),
        ("undecided", "underpowered", ("skip", "skip"), (None, None, None)),
    ],
)
def test_verdicts_of_a_bisection(speed, learning, verdicts, worse):
    found = ABComparison(
        10,
        1,
        {CASE: []},
        speeds={CASE: SimpleNamespace(speed=speed)},
        changes={CASE: SimpleNamespace(outcome=learning)},
    )
    assert tuple(bisect._verdict(found, each) for each in ("time", "accuracy")) == verdicts
    assert tuple(bisect._what_got_worse(found, each) for each in (None, "time", "accuracy")) == worse
    found.errors[CASE] = SideError("head", "no")
    assert bisect._verdict(found, "time") == "skip"
