"""What `trained` returns and `decide` records, without a session."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.claim import Claim
from harness.exercise import Exercise, Published, Row
from harness.files.sealed import FileError
from harness.plugin import claims
from harness.plugin.claim_looks import Look
from harness.plugin.claims import Trained
from harness.results.evenness import UNEVEN_SIGN
from harness.session_settings import SESSION_STUDY, SETTINGS
from harness.verdicts import NOT_TESTABLE
from model.experiment import Experiment
from model.optimizers import SGD, Adam
from tests import reports
from tests.data import made_up_training

RATES = Exercise(
    title="Rates",
    rows=(
        Row("slow", {"optimizer": SGD(0.1), "batch_size": 10}, Published(0.5)),
        Row("fast", {"optimizer": SGD(0.5), "batch_size": 10}),
        Row("adam", {"optimizer": Adam(0.1), "batch_size": 10}, Published(0.9)),
    ),
)


def training(seconds=(0, 1, 2, 3), engine="numba"):
    experiment = Experiment(optimizer=SGD(0.1), batch_size=10, epochs=len(seconds) - 1)
    return made_up_training(
        experiment, (0, 1, 2), epoch_seconds=np.array(seconds, dtype=float), engine=engine
    )


@pytest.fixture
def trained(monkeypatch):
    """`trained` at a look with two of three seeds; the records that it asked for are in `asked`."""
    asked = []
    monkeypatch.setattr(claims, "to_training", lambda record: record)

    def recorded(name, *, seeds):
        asked.append((name, seeds))
        return training()

    found = Trained(RATES, recorded, Look(2))
    found.asked = asked
    return found


def refused(call, *given, **options):
    """Returns the line with which a test fails, without a traceback."""
    with pytest.raises(pytest.fail.Exception) as failed:
        call(*given, **options)
    assert failed.value.pytrace is False
    return failed.value.msg


def test_a_row_has_the_seeds_of_the_look(trained):
    assert trained("fast").seeds == (0, 1)
    assert trained.asked == [("fast", 2)]
    assert (trained.looked_at, trained.passed_over) == (["fast"], [])


@pytest.mark.parametrize(
    ("query", "rows", "passed_over"),
    [
        ({"optimizer": SGD}, ["slow", "fast"], []),
        ({"optimizer": SGD, "published": True}, ["slow"], ["fast"]),
        ({"batch_size": 10, "published": True}, ["slow", "adam"], ["fast"]),
        ({"optimizer": Adam, "published": True}, ["adam"], []),
        ({"learning_rate": 0.1}, ["slow", "adam"], []),
        ({}, ["slow", "fast", "adam"], []),
    ],
    ids=str,
)
def test_rows_by_their_values(trained, query, rows, passed_over):
    found = trained.where(**query)
    assert [*found] == rows
    assert all(each.seeds == (0, 1) for each in found.values())
    assert [name for name, _ in trained.asked] == rows
    assert trained.looked_at == rows
    assert trained.passed_over == passed_over


def test_rows_that_were_looked_at_otherwise_are_not_passed_over(trained):
    trained.where(optimizer=SGD, published=True)
    trained("fast")
    assert (trained.looked_at, trained.passed_over) == (["slow", "fast"], [])


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"batch_size": 11}, "no row of 'Rates' has batch_size=11"),
        (
            {"batch_size": 11, "init": 0.5, "published": True},
            "no published row of 'Rates' has batch_size=11, init=0.5",
        ),
        ({"learning_rate": 0.5, "published": True}, "no published row of 'Rates' has learning_rate=0.5"),
    ],
    ids=str,
)
def test_a_query_without_rows_fails(trained, query, line):
    assert refused(trained.where, **query) == line
    assert trained.asked == []


def test_a_query_for_what_no_experiment_has_fails(trained):
    line = refused(trained.where, momentun=0.9)
    assert line.startswith("trained.where: ")
    assert "momentun" in line


@pytest.fixture
def deciding(trained, monkeypatch, tmp_path):
    """Returns `decide` of a test with this claim, and the list of what it records."""
    recorded = []

    class Store:
        def __init__(self, folder):
            assert folder == tmp_path

        def put_claim(self, decision):
            recorded.append(decision)

    monkeypatch.setattr(claims, "Store", Store)
    monkeypatch.setattr(claims, "fingerprint_of", lambda config: {**reports.RUN, "scale": "paper"})

    def make(
        claim=None, *, marked=True, once=True, scale="paper", seeds=2, run_seeds=2, dataset="mnist"
    ):
        settings = SimpleNamespace(
            scale=scale, seeds=tuple(range(run_seeds)), report_dir=tmp_path, dataset=dataset
        )
        study = SimpleNamespace(study=SimpleNamespace(full_scale="paper"))
        claim = claim or Claim(text="It is so.", source="Table 1", expected=None, needs=None)
        node = SimpleNamespace(
            nodeid="a.py::test_it",
            config=SimpleNamespace(stash={SETTINGS: settings}),
            stash=pytest.Stash(),
            get_closest_marker=lambda name: SimpleNamespace(args=[claim]) if marked else None,
            **({} if once else {"callspec": None}),
        )
        request = SimpleNamespace(
            node=node, config=SimpleNamespace(stash={SETTINGS: settings, SESSION_STUDY: study})
        )
        claims.look_of(node).begin(seeds)
        return claims.decide._get_wrapped_function()(request, trained), claims.look_of(node)

    make.recorded = recorded
    return make


@pytest.mark.parametrize("how", [{"marked": False}, {"once": False}])
def test_it_is_for_claims_that_run_once(deciding, how):
    line = "decide is for a test that is marked with @claim and runs once"
    assert refused(deciding, **how) == line


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [(True, "reproduced"), (False, "not reproduced"), (np.bool(True), "reproduced")],
)
def test_a_verdict_is_recorded_with_its_evidence_and_rows(deciding, trained, holds, verdict):
    decide, look = deciding()
    trained("adam")
    trained("slow")
    decide(holds, "9 and 8.")
    (record,) = deciding.recorded
    assert (record.id, record.verdict, record.evidence) == ("a.py::test_it", verdict, "9 and 8.")
    assert record.rows == ["slow", "adam"]
    assert (record.text, record.source) == ("It is so.", "Table 1")
    assert record.run.scale == "paper"
    assert not look.is_open


@pytest.mark.parametrize(
    ("seeds", "run_seeds", "noted"), [(4, 2, " Decided with 4 seeds."), (2, 2, ""), (2, 4, "")]
)
def test_added_seeds_are_named(deciding, seeds, run_seeds, noted):
    decide, _ = deciding(seeds=seeds, run_seeds=run_seeds)
    decide(True, "So.")
    assert deciding.recorded[0].evidence == f"So.{noted}"


def test_an_open_claim_does_not_say_with_how_many_seeds_it_was_decided(deciding):
    decide, look = deciding(seeds=4)
    decide(None, "So.")
    (record,) = deciding.recorded
    assert record.verdict == "inconclusive"
    assert record.evidence == f"So. The intervals of 4 {claims.SEEDS_LEAVE_IT_OPEN}"
    assert look.is_open


@pytest.mark.parametrize(
    ("options", "evidence"),
    [
        ({"open_because": "It rained."}, "So. It rained."),
        ({"seeds": 1}, f"So. {claims.ONE_SEED_IS_TOO_FEW}"),
        ({"seeds": 1, "timed": {"a": training()}}, "So. The times vary too much to tell."),
    ],
    ids=["another reason", "one seed", "times"],
)
def test_what_more_seeds_cannot_decide_is_not_open_to_them(deciding, options, evidence):
    decide, look = deciding(seeds=options.get("seeds", 2), run_seeds=options.pop("seeds", 2))
    decide(None, "So.", **options)
    assert deciding.recorded[0].evidence == evidence
    assert not look.is_open


def test_rows_left_out_as_unpublished_are_named(deciding, trained):
    decide, _ = deciding()
    trained.where(optimizer=SGD, published=True)
    decide(True, "So.")
    assert deciding.recorded[0].evidence == "So. Based on the published rows only, without fast."


def test_a_claim_that_needs_more_than_this_scale_is_not_testable(deciding):
    claim = Claim(text="It is so.", source="", expected=None, needs="100 epochs")
    for scale, verdict in (("quick", NOT_TESTABLE), ("paper", "holds")):
        decide, _ = deciding(claim, scale=scale)
        decide(True, "So.")
        record = deciding.recorded.pop()
        assert record.verdict == verdict
        assert record.evidence == ("So." if scale == "paper" else "So. It needs 100 epochs.")


def test_times_of_different_engines_decide_nothing(deciding):
    decide, look = deciding()
    decide(True, "So.", timed={"a": training(), "b": training(engine="eager")})
    (record,) = deciding.recorded
    assert record.verdict == "inconclusive"
    assert record.evidence.startswith("So. ")
    assert record.evidence != "So. "
    assert not look.is_open


def test_an_epoch_out_of_line_is_named(deciding):
    decide, _ = deciding()
    decide(True, "So.", timed={"a": training([0, 1, 2, 3, 33]), "b": training()})
    assert deciding.recorded[0].verdict == "reproduced"
    assert deciding.recorded[0].evidence == (
        f"So. {UNEVEN_SIGN} a: its slowest epoch took 30.0 times the median one."
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((1, "So."), "decide: holds is 1; expected True, False or None"),
        (("yes", "So."), "decide: holds is 'yes'; expected True, False or None"),
    ],
)
def test_what_is_no_answer_fails(deciding, given, line):
    decide, _ = deciding()
    assert refused(decide, *given) == line
    assert deciding.recorded == []


@pytest.mark.parametrize("options", [{"evidence": "a\nb"}, {"evidence": "So.", "open_because": "a\x1b"}])
def test_what_cannot_be_printed_fails(deciding, options):
    decide, _ = deciding()
    assert refused(decide, None, **options).startswith(f"decide: {[*options][-1]} ")
    assert deciding.recorded == []


@pytest.mark.parametrize(
    ("expected", "holds", "dataset", "fails"),
    [
        ("reproduced", False, "mnist", True),
        ("not reproduced", True, "mnist", True),
        ("reproduced", True, "mnist", False),
        ("reproduced", None, "mnist", False),
        ("reproduced", False, "kmnist", False),
        (None, False, "mnist", False),
    ],
)
def test_the_opposite_of_the_known_verdict_fails_on_mnist(deciding, expected, holds, dataset, fails):
    claim = Claim(text="It is so.", source="Table 1", expected=expected, needs=None)
    decide, _ = deciding(claim, dataset=dataset)
    if fails:
        found = {"reproduced": "not reproduced", "not reproduced": "reproduced"}[expected]
        line = f"verdict changed: expected {expected}, got {found}: So."
        assert refused(decide, holds, "So.") == line
    else:
        decide(holds, "So.")
    assert len(deciding.recorded) == 1, "it is recorded in any case"


def test_a_claim_that_cannot_be_written_fails_in_one_line(deciding, monkeypatch):
    def put_claim(self, decision):
        raise FileError("x.json cannot be written: No space left on device")

    decide, _ = deciding()
    monkeypatch.setattr(claims.Store, "put_claim", put_claim)
    assert refused(decide, True, "So.") == "x.json cannot be written: No space left on device"
