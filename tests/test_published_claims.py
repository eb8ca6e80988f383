"""Every claim of the kept published runs, decided again from their records in this process.

Verdict and evidence, with all its figures, are what the run's summary says.
"""

from functools import cache

import numpy as np
import pytest

from harness.claim import claims_of
from harness.exercise import module_of, row_name
from harness.files import sealed
from harness.files.measured import restored
from harness.files.record import TrainingRecord, read_record
from harness.files.summary import Summary
from harness.plugin.claim_looks import Look
from harness.plugin.claims import Trained, _verdict
from harness.verdicts import NOT_TESTABLE
from tests.bench_modules import bench_module, call_test
from tests.conftest import ROOT

PUBLISHED = ROOT / "reports" / "published"
RUNS = sorted(path.parent.name for path in PUBLISHED.glob("*/summary.json"))


@cache
def summary(run):
    return sealed.read_model(PUBLISHED / run / "summary.json", Summary)


@cache
def records(run):
    """Returns the run's records by node id."""
    return {record.id: record for record in map(read_record, (PUBLISHED / run / "runs").glob("*.json"))}


ALL = [
    pytest.param(run, kept, id=f"{run}-{kept.id.partition('::test_')[2]}")
    for run in RUNS
    for kept in summary(run).claims
]


def decided(run, kept, **other):
    """Returns the verdict, the evidence and the rows of a run's claim, as a session would record them.

    `other` has other records of some rows, by name.
    """
    module, _, test = kept.id.partition("::")
    where = bench_module(module.removeprefix("bench/").removesuffix(".py"))
    rows = {
        row_name(name): record
        for name, record in records(run).items()
        if module_of(name) == module and isinstance(record, TrainingRecord)
    } | other
    seeds = next(iter(rows.values())).seeds
    trained = Trained(where.EXERCISE, lambda name, seeds: rows[name], Look(len(seeds)))
    (claim,) = [mark.args[0] for mark in getattr(where, test).pytestmark if mark.name == "claim"]
    answers = []

    def decide(holds, evidence, *, timed=None, open_because=""):
        testable = summary(run).scale == "paper" or not claim.needs
        verdict, reason = _verdict(
            claim, holds, timed or {}, len(seeds), open_because, testable=testable
        )
        if left_out := trained.passed_over:
            reason += f" Based on the published rows only, without {', '.join(left_out)}."
        answers.append((verdict, evidence + reason, trained.looked_at))

    values = {
        "trained": trained,
        "decide": decide,
        "measured": lambda name: [restored(each) for each in records(run)[f"{module}::{name}"].measured],
    }
    call_test(where, test, values)
    (answer,) = answers
    return answer


@pytest.mark.parametrize(("run", "kept"), ALL)
def test_the_verdict_and_its_evidence_are_those_published(run, kept):
    assert decided(run, kept) == (kept.verdict, kept.evidence, kept.rows)


def otherwise(record, accuracy, loss, distance):
    """Returns the record of a training that took thrice as long, and ended with other results."""
    seeds = len(record.seeds)
    curves = {
        f"{part}_{kind}": [getattr(record, f"{part}_{kind}")[0]]
        + [[value] * seeds] * record.experiment.epochs
        for part in ("train", "test")
        for kind, value in (("accuracy", accuracy), ("loss", loss))
    }
    observed = {name: np.full_like(np.asarray(each), 0.5) for name, each in record.observed.items()}
    return record.model_copy(
        update={
            **curves,
            "epoch_seconds": [3 * each for each in record.epoch_seconds],
            "predictions": [[1000] * seeds] * 10,
            "distance_from_initialisation": [
                [distance] * seeds for _ in record.distance_from_initialisation
            ],
            "observed": {name: each.tolist() for name, each in observed.items()},
        }
    )


@pytest.mark.parametrize(
    ("run", "kept"), [each for each in ALL if each.values[1].verdict != NOT_TESTABLE]
)
def test_each_row_that_a_claim_is_decided_from_counts(run, kept):
    """Had the row ended much better, or much worse, the verdict or the evidence would be another."""
    module = kept.id.partition("::")[0]
    for row in kept.rows:
        record = records(run)[f"{module}::test_training[{row}]"]
        found = [
            decided(run, kept, **{row: otherwise(record, *ends)})[:2]
            for ends in ((0.999, 1e-4, 9.0), (0.05, 9.0, 0.0))
        ]
        assert found != 2 * [(kept.verdict, kept.evidence)], row


def test_every_claim_of_the_study_is_decided_in_a_published_run():
    modules = sorted(path.stem for path in (ROOT / "bench").glob("test_*.py"))
    ours = {f"bench/{name}.py::{test}" for name in modules for test in claims_of(bench_module(name))}
    assert {kept.values[1].id for kept in ALL} == ours
    assert len(ours) == 47
