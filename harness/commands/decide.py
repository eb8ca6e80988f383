"""Decides the claims of a report again, from its records: `python -m harness decide FOLDER`.

For a run that was made before the wording of a claim, or its rule, changed. Nothing is trained, and
the report stays as it is: a new report folder has its records, the verdicts and stories of today, and
the command, machine and commit that the run was made with.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import tempfile
from pathlib import Path

import pytest

from .. import atomic_json, ownership
from ..export.table_files import write_tables
from ..files import sealed
from ..files.summary import Summary
from ..paths import FIGURES, PHASES, SPEED, TIMES
from ..processes import reason
from ..report import tables
from ..report.load import Run, load_run
from ..run_folders import new
from ..session_settings import KeptRun
from ..study import StudyFolder, load_study
from .arguments import add_new_report_dir, add_study, to_path
from .kept_run import Reading, arguments_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=to_path, metavar="FOLDER", help="the report folder of a run")
    add_new_report_dir(parser)
    add_study(parser)


def run(options: argparse.Namespace) -> None:
    study = load_study(options.study)
    kept = load_run(options.run)
    if kept.left_out:
        raise ValueError(f"{options.run} cannot be decided again: {kept.left_out[0]}")
    if kept.summary.shard:
        raise ValueError(
            f"{options.run} has shard {kept.summary.shard} of its rows; merge it with the others, which "
            "decides their claims"
        )
    if not kept.summary.claims:
        raise ValueError(f"{options.run} has no claims that were decided; expected one or more")
    with tempfile.TemporaryDirectory() as temporary:
        again = _decided(kept, Path(temporary, "report"), study)
        folder = options.report_dir or new(study.reports)
        if ownership.owns(folder) and ownership.has_run(folder):
            raise ValueError(f"{folder} has a run, and runs are never overwritten; name another folder")
        ownership.make(folder)
        shutil.copytree(kept.folder / "runs", folder / "runs")
        for name in (PHASES, SPEED, TIMES):
            if (kept.folder / name).exists():
                shutil.copy2(kept.folder / name, folder / name)
        if (Path(temporary, "report") / FIGURES).exists():
            shutil.copy2(Path(temporary, "report") / FIGURES, folder / FIGURES)
    sealed.write_content(folder / "summary.json", again.to_json())
    atomic_json.write_text(folder / "summary.md", tables.format_markdown(again))
    write_tables(folder)
    before = {claim.id: claim.verdict for claim in kept.summary.claims}
    for claim in again.claims:
        if claim.verdict != before.get(claim.id, claim.verdict):
            print(f"{claim.text} {before[claim.id]} -> {claim.verdict}")
    print(f"{len(again.claims)} claims decided again from {kept.folder}; written to {folder}/.")


def _decided(kept: Run, folder: Path, study: StudyFolder) -> Summary:
    """Returns the kept run's summary with today's verdicts and texts, decided in `folder`.

    Raises ValueError if a claim cannot be decided from the records.
    """
    ownership.make(folder)
    shutil.copytree(kept.folder / "runs", folder / "runs")
    run = next(iter(kept.curves.values())).run
    summary = kept.summary
    reading = KeptRun(
        fingerprint=run.model_dump(),
        machine=summary.machine.model_dump(),
        created=summary.created,
        commit=summary.commit,
        command=summary.command,
        where=str(kept.folder),
    )
    modules = [each.module for each in summary.exercises]
    arguments = arguments_for(folder, run, study, modules, summary.seeds_until_decided)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main(
            [*arguments, "-k", "not test_training", "-q", "--benchmark-disable"],
            plugins=[Reading(reading)],
        )
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise ValueError(f"{kept.folder} cannot be decided again: {reason(output.getvalue(), status=1)}")
    found = sealed.read_model(folder / "summary.json", Summary)
    asked = {claim.id for claim in summary.claims}
    if lacking := asked - {claim.id for claim in found.claims}:
        raise ValueError(
            f"{sorted(lacking)[0]} was not decided; expected a claim of the study, and its records in "
            f"{kept.folder}"
        )
    return found.model_copy(
        update={
            "cases": [
                case.model_copy(update={"resumed": kept.cases[case.id].resumed}) for case in found.cases
            ]
        }
    )
