"""The exercises' tables: every row of ours beside the published one."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from .exercise import Exercise, case_id

_NONE = "–"
_HEADERS = (
    "row",
    "test\naccuracy",
    "paper",
    "time\n(s)",
    "paper\n(s)",
    "90 %\nat",
    "95 %\nat",
    "97 %\nat",
    "outcome",
    "engine",
    "device",
)


def render(summary: dict[str, Any], exercises: dict[str, Exercise], style: str) -> list[str]:
    """One text an exercise: title, table, what did not run. `style` is one of tabulate's formats."""
    by_id = {case["id"]: case for case in summary["cases"]}
    texts = []
    for path, exercise in exercises.items():
        ran = [(name, by_id[case]) for name in exercise.names if (case := case_id(path, name)) in by_id]
        missing = [name for name in exercise.names if name not in dict(ran)]
        parts = [_title(exercise, summary, style)]
        if ran:
            parts.append(
                tabulate(
                    [_cells(name, case) for name, case in ran],
                    headers=[h.replace("\n", " ") if style == "github" else h for h in _HEADERS],
                    tablefmt=style,
                    disable_numparse=True,
                    colalign=("left", *["right"] * 7, "left", "left", "left"),
                )
            )
        if missing:
            parts.append(f"Did not run: {'all rows' if not ran else ', '.join(missing)}.")
        texts.append("\n\n".join(parts))
    return texts


def caption(summary: dict[str, Any]) -> str:
    """What the tables hold, and what they ran on, in a few lines."""
    machine = summary["machine"]
    seeds = {tuple(case["seeds"]) for case in summary["cases"]}
    replicates = max((len(each) for each in seeds), default=1)
    return "\n".join(
        [
            f"Scale {summary['scale']}, {summary['dataset']}, on {machine['device_name']} "
            f"({machine['cores']} cores, torch {machine['torch']}, Python {machine['python']}).",
            "Accuracies are final ones on the test set, "
            + ("of one seed." if replicates == 1 else f"means over {replicates} seeds.")
            + " Times are training alone, all seeds together"
            + (
                ", SHARED with whatever ran beside them."
                if summary["timing"] == "shared"
                else ", each on its own cores or GPU."
            ),
            "Getting engines ready (compiling, building networks) took another "
            f"{seconds(sum(case['prepare_seconds'] for case in summary['cases']))} s in all.",
            f'"90 % at": first epoch with that mean test accuracy. {_NONE}: none, or not published.',
        ]
    )


def _title(exercise: Exercise, summary: dict[str, Any], style: str) -> str:
    epochs = exercise.epochs[summary["scale"]]
    text = (
        f"Exercise {exercise.number}: {exercise.title} "
        f"({epochs} epoch{'s' if epochs > 1 else ''}; paper: {exercise.source})"
    )
    return f"## {text}" if style == "github" else text


def _cells(name: str, case: dict[str, Any]) -> list[str]:
    published = case["paper"]
    return [
        name,
        f"{sum(case['test_accuracy']) / len(case['test_accuracy']):.4f}",
        _NONE if published["test_accuracy"] is None else f"{published['test_accuracy']:.3f}",
        seconds(case["seconds"]),
        _NONE if published["seconds"] is None else seconds(published["seconds"]),
        *(_NONE if epoch is None else str(epoch) for epoch in case["epochs_to"].values()),
        case["outcome"],
        case["engine"],
        case["device"],
    ]


def seconds(value: float) -> str:
    """Seconds with three significant digits, whole from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
