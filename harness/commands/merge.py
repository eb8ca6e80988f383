"""Makes one report of several: `python -m harness merge FOLDER FOLDER ... [-- PYTEST OPTIONS]`.

For the shards of a run (`pytest --shard 2/4`), or for parts that were run on several machines. Nothing
is trained. A new report folder has the records of all, the claims decided from them, the tables, the
page, and `benchmark.json`, pytest-benchmark's file of the merged run. As in a session, options after
`--` save the run, and gate it: `-- --benchmark-autosave --time-compare-fail 10`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from model.environment import code_digest
from model.values import one_line

from .. import ownership, run_folders
from ..files.record import RunFingerprint
from ..files.summary import Summary
from ..paths import BENCHMARK, REFUSED, ROOT
from ..report.load import Run, load_run
from ..report.next_steps import without
from ..results.merging import Merged, Part, merge
from ..session_settings import KeptRun
from ..study import StudyFolder, load_study
from ..timing.session_rows import WHOLE
from ..wording import counted, first_few
from .arguments import add_new_report_dir, add_study, to_path
from .kept_run import Reading, arguments_for, root_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=to_path, nargs="+", metavar="FOLDER", help="the report folders to merge"
    )
    add_new_report_dir(parser)
    add_study(parser)


def run(options: argparse.Namespace) -> int:
    study = load_study(options.study)
    folders = list({folder.resolve(): folder for folder in options.runs}.values())
    found = [_loaded(folder) for folder in folders]
    _check_one_study(found)
    root_of(study, [each.module for each in found[0].summary.exercises])
    merged = merge([_part(each) for each in found])
    _check_code(merged, study, found[0].folder)
    folder = options.report_dir or run_folders.new(study.reports)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; name a new folder")
    summaries = [each.summary for each in found]
    modules = list(dict.fromkeys(e.module for summary in summaries for e in summary.exercises))
    # pytest would warn that this process has imported a plugin's module before it could.
    quiet = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    arguments = arguments_for(folder, RunFingerprint(**merged.fingerprint), study, sorted(modules))
    missing = _missing_shards(summaries)
    lacking = sorted(_listed(summaries) - {*merged.records})
    reading = KeptRun(
        fingerprint=merged.fingerprint,
        machine=merged.machine,
        created=min(summary.created for summary in summaries),
        commit=_commit(summaries),
        command=_command(summaries, whole=not lacking),
        where="the merged reports",
    )
    ownership.make(folder)
    try:
        merged.write(folder)
        status = pytest.main(
            [*arguments, *quiet, f"--benchmark-json={folder / BENCHMARK}", *options.pytest_arguments],
            plugins=[Reading(reading), _Measurement(reading, whole=not (missing or lacking))],
        )
    finally:
        if not (folder / "summary.json").exists():
            ownership.remove(folder)
    if not folder.exists():
        return int(status) or REFUSED
    run_folders.lead_to(folder)
    for line in _about(found, merged, lacking):
        print(line)
    if missing:
        print(f"Missing: {'; '.join(missing)}.", file=sys.stderr)
    return int(status) or int(bool(missing))


class _Measurement:
    """A plugin that gives pytest-benchmark's file the date, commit and machine of the merged run."""

    def __init__(self, kept: KeptRun, *, whole: bool):
        self._kept = kept
        self._whole = whole

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        if config.getoption("dist", "no") != "no":
            raise pytest.UsageError("-n starts workers, but a merge trains nothing; leave it out")

    @pytest.hookimpl(trylast=True, optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["datetime"] = self._kept.created
        output_json["machine_info"] = {"suite": {**self._kept.machine}}
        if not self._whole:
            output_json[WHOLE] = False
        commit = (self._kept.commit or "").removesuffix("-dirty")
        if output_json["commit_info"].get("id") != commit:
            output_json["commit_info"] = {
                "id": commit,
                "dirty": (self._kept.commit or "").endswith("-dirty"),
                "time": None,
                "author_time": None,
                "project": output_json["commit_info"].get("project", ""),
                "branch": "(unknown)",
            }


def _loaded(folder: Path) -> Run:
    found = load_run(folder)
    if found.left_out:
        raise ValueError(f"{folder} cannot be merged: {found.left_out[0]}")
    return found


def _part(run: Run) -> Part:
    resumed = frozenset(case.id for case in run.cases.values() if case.resumed)
    return Part(run.folder, run.summary.machine, resumed)


def _check_one_study(runs: Sequence[Run]) -> None:
    first, *others = runs
    for other in others:
        if other.summary.study != first.summary.study:
            raise ValueError(
                "only reports of the same study can be merged, but it is "
                f"{other.summary.study.title!r} in {other.folder}, {first.summary.study.title!r} in "
                f"{first.folder}"
            )


def _check_code(merged: Merged, study: StudyFolder, folder: Path) -> None:
    """Raises ValueError unless this checkout is the one that the runs were made with."""
    here = code_digest([ROOT / "model", ROOT / "harness", study.path])
    if merged.fingerprint["code"] != here:
        raise ValueError(
            f"{folder} was made by other code ({merged.fingerprint['code']}) than that of {ROOT} and "
            f"{study.path} ({here}); check out the commit that it was made with"
        )


def _listed(summaries: Sequence[Summary]) -> set[str]:
    return {case for summary in summaries for each in summary.exercises for case in each.cases}


def _missing_shards(summaries: Sequence[Summary]) -> list[str]:
    """Returns the shards that belong to those merged, but are not among them."""
    given = {summary.shard for summary in summaries}
    if "" in given:
        return []
    counts = sorted({int(shard.partition("/")[2]) for shard in given})
    every = [f"{index}/{count}" for count in counts for index in range(1, count + 1)]
    # Shards of another cut may have all rows; then none is missing.
    if len(counts) > 1:
        complete = any(
            all(f"{index}/{count}" in given for index in range(1, count + 1)) for count in counts
        )
        if complete:
            return []
    return [f"shard {shard}" for shard in every if shard not in given]


def _commit(summaries: Sequence[Summary]) -> str | None:
    """Returns the commit, with "-dirty" if it was changed on any machine."""
    commits = sorted({summary.commit or "" for summary in summaries})
    return commits[-1] or None


def _command(summaries: Sequence[Summary], *, whole: bool) -> str:
    """Returns the command of a session with all their tests, or those of the sessions joined by "&&".

    There is such a command if they differ only in the tests that they select, and the report is `whole`.
    """
    try:
        sessions = [without(shlex.split(each.command), "--shard", "--report-dir") for each in summaries]
    except ValueError:  # another program's
        return " && ".join(dict.fromkeys(each.command for each in summaries))
    if whole and all(sessions):
        tests: dict[str, None] = {}
        options = set()
        for program, *words in sessions:
            selected = list(takewhile(lambda word: not word.startswith("-"), words))
            tests |= dict.fromkeys(selected)
            options.add((program, *without(words[len(selected) :], "-k")))
        if len(options) == 1:
            program, *others = options.pop()
            return shlex.join([program, *tests, *others])
    return " && ".join(dict.fromkeys(map(shlex.join, sessions)))


def _about(runs: Sequence[Run], merged: Merged, lacking: Sequence[str]) -> list[str]:
    rows = sum("experiment" in record for record in merged.records.values())
    lines = [f"Merged {counted(len(runs), 'report')}: {counted(rows, 'row')}."]
    if merged.repeated:
        named = first_few(merged.repeated)
        lines.append(f"In more than one of them, with equal results, and taken once: {named}.")
    if lacking:
        lines.append(f"Without a record: {first_few(lacking)}.")
    return [one_line(line) for line in lines]
