"""Every claim of the kept published runs, decided again from their records in this process.

Verdict and evidence, with all its figures, are what the run's summary says.
"""

from functools import cache

import numpy as np
import pytest

from harness.exercise import module_of, row_name
from harness.files import sealed
from harness.files.measured import restored
from harness.files.record import TrainingRecord, read_record
from harness.files.summary import Summary
from harness.plugin.claim_looks import Look
from harness.plugin.claims import Trained, _verdict
from tests.bench_modules import bench_module, call_test
from tests.conftest import ROOT

KEPT = ROOT / "reports" / "published" / "epyc-1-core"


@cache
def summary():
    return sealed.read_model(KEPT / "summary.json", Summary)


@cache
def records():
    """Returns the run's records by node id."""
    return {record.id: record for record in map(read_record, (KEPT / "runs").glob("*.json"))}


def decided(kept, **other):
    """Returns the verdict, the evidence and the rows of a claim, as a session would record them.

    `other` has other records of some rows, by name.
    """
    module, _, test = kept.id.partition("::")
    where = bench_module(module.removeprefix("bench/").removesuffix(".py"))
    rows = {
        row_name(name): record
        for name, record in records().items()
        if module_of(name) == module and isinstance(record, TrainingRecord)
    } | other
    seeds = next(iter(rows.values())).seeds
    trained = Trained(where.EXERCISE, lambda name, seeds: rows[name], Look(len(seeds)))
    (claim,) = [mark.args[0] for mark in getattr(where, test).pytestmark if mark.name == "claim"]
    answers = []

    def decide(holds, evidence, *, timed=None, open_because=""):
        verdict, reason = _verdict(claim, holds, timed or {}, len(seeds), open_because, testable=True)
        if left_out := trained.passed_over:
            reason += f" Based on the published rows only, without {', '.join(left_out)}."
        answers.append((verdict, evidence + reason, trained.looked_at))

    values = {
        "trained": trained,
        "decide": decide,
        "measured": lambda name: [restored(each) for each in records()[f"{module}::{name}"].measured],
    }
    call_test(where, test, values)
    (answer,) = answers
    return answer


@pytest.mark.parametrize("kept", summary().claims, ids=lambda kept: kept.id.partition("::test_")[2])
def test_the_verdict_and_its_evidence_are_those_published(kept):
    assert decided(kept) == (kept.verdict, kept.evidence, kept.rows)


def otherwise(record, accuracy, loss, distance):
    """Returns the record of a training that took thrice as long, and ended with other results."""
    curves = {
        f"{part}_{kind}": [getattr(record, f"{part}_{kind}")[0]] + [[value]] * record.experiment.epochs
        for part in ("train", "test")
        for kind, value in (("accuracy", accuracy), ("loss", loss))
    }
    observed = {name: np.full_like(np.asarray(each), 0.5) for name, each in record.observed.items()}
    return record.model_copy(
        update={
            **curves,
            "epoch_seconds": [3 * each for each in record.epoch_seconds],
            "predictions": [[1000]] * 10,
            "distance_from_initialisation": [[distance]] * len(record.distance_from_initialisation),
            "observed": {name: each.tolist() for name, each in observed.items()},
        }
    )


@pytest.mark.parametrize("kept", summary().claims, ids=lambda kept: kept.id.partition("::test_")[2])
def test_each_row_that_a_claim_is_decided_from_counts(kept):
    """Had the row ended much better, or much worse, the verdict or the evidence would be another."""
    module = kept.id.partition("::")[0]
    for row in kept.rows:
        record = records()[f"{module}::test_training[{row}]"]
        found = [
            decided(kept, **{row: otherwise(record, *ends)})[:2]
            for ends in ((0.999, 1e-4, 9.0), (0.05, 9.0, 0.0))
        ]
        assert found != 2 * [(kept.verdict, kept.evidence)], row


def test_all_claims_are_decided():
    assert len(summary().claims) == sum(len(each.claims) for each in summary().exercises) == 45
