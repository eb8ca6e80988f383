"""The verdicts on a study's claims in several runs, such as those on several data sets, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .load import Run
from .seed_counts import seeds_each
from .tables import NONE, format_table, found_verdicts


def format_verdicts(runs: Sequence[Run]) -> str:
    """Returns a line on each run, and a Markdown table with a row for each claim, a column for each run.

    Raises ValueError if the runs are of different studies, or if one has no claims.
    """
    first, *others = runs
    for other in others:
        if other.summary.study.title != first.summary.study.title:
            raise ValueError(
                f"{other.folder} is a run of {other.summary.study.title!r}, and {first.folder} of "
                f"{first.summary.study.title!r}; expected runs of one study"
            )
    for run in runs:
        if not run.summary.claims:
            raise ValueError(f"{run.folder} has no claims that were decided; expected one or more")
    heads = _heads(runs)
    verdicts = [{claim.id: claim.verdict for claim in run.summary.claims} for run in runs]
    texts = {claim.id: claim.text for run in reversed(runs) for claim in run.summary.claims}
    listed = [claim for each in first.summary.exercises for claim in each.claims if claim in texts]
    listed += [claim for claim in texts if claim not in listed]
    rows = [[texts[claim], *(str(of_run.get(claim, NONE)) for of_run in verdicts)] for claim in listed]
    return "\n\n".join(
        [
            "\n".join(f"- {head}: {_in_words(run)}" for head, run in zip(heads, runs, strict=True)),
            format_table(rows, ["claim", *heads], ["left"] * (len(runs) + 1)),
        ]
    )


def _heads(runs: Sequence[Run]) -> list[str]:
    """Returns a name for each run: its data set, and its folder if others have the same data set."""
    datasets = Counter(run.summary.dataset for run in runs)
    return [
        run.summary.dataset
        if datasets[run.summary.dataset] == 1
        else f"{run.summary.dataset}, {run.folder.name}"
        for run in runs
    ]


def _in_words(run: Run) -> str:
    summary = run.summary
    where = f"scale {summary.scale}, {seeds_each(summary.cases)}, on {summary.machine.device_name}"
    return f"{where}; {found_verdicts(summary.claims)}."
