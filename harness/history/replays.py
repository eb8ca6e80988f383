"""How often a history has false steps, and how soon true ones are found: nights drawn from saved runs.

A night is one of the saved runs, drawn at random, with noise of 1 % added to each row, so that no night
occurs twice. Rows keep what they have in common in a run. Steps are planted in some of the rows.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..compare.significance import FloatArray
from ..processes import environment, reason
from .detection import FALSE_STEPS, Detection, common_shares
from .steps import SHARE_OF_TIMES

NIGHTS = 1000
STEP_SIZES = (5.0, 10.0, 20.0)  # percent
BASELINES = (30, 100, 200)  # nights before the step
WITHIN = (3, 5, 10, 20)  # nights
PLANTED = 6  # rows of a history with a step
LEAST_PERCENT = 5.0  # of --history-fail
_SMOOTHING = 0.01
_NEAR = 3  # runs by which Otava's change point may differ from the step

# Reads lists of values from standard input, and prints the places of Otava's change points in each, with
# its defaults.
_OTAVA = """
import json, sys
from otava.analysis import compute_change_points
series = json.load(sys.stdin)
print(json.dumps([[int(point.index) for point in compute_change_points(each)[0]] for each in series]))
"""


def draw_nights(times: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Returns the logarithms of the times of `count` nights, drawn from runs (by run and row)."""
    drawn = np.log(times)[rng.integers(len(times), size=count)]
    return np.asarray(drawn + _SMOOTHING * rng.standard_normal(drawn.shape))


def quiet_rows(times: FloatArray, percent: float) -> FloatArray:
    """Returns the times of the rows that vary from run to run by at most `percent` (a deviation)."""
    logs = np.log(times)
    residuals = logs - common_shares(logs)[:, None]
    return times[:, residuals.std(axis=0, ddof=1) <= percent / 100]


def replay(times: FloatArray, histories: int, otava: Path | None = None) -> dict[str, Any]:
    """Returns the rates on nights drawn from `times`, by run and row.

    `otava` is an interpreter with Apache Otava, which then looks at the same nights.
    """
    rng = np.random.default_rng(0)
    unchanged = [draw_nights(times, NIGHTS, rng) for _ in range(histories)]
    looked = [_steps(nights) for nights in unchanged]
    false = {
        "nights": histories * NIGHTS,
        "nights_with_a_false_step": sum(len({found for *_, found in steps}) for steps in looked),
        "false_steps": sum(map(len, looked)),
    }
    if otava:
        false["false_steps_of_otava"] = sum(map(len, _otava(unchanged, otava)))
    found = [
        _detected(times, size, baseline, histories, rng, otava)
        for size in STEP_SIZES
        for baseline in BASELINES
    ]
    return {"rows": times.shape[1], "runs": len(times), "unchanged": false, "planted": found}


def _steps(nights: FloatArray) -> list[tuple[int | None, int, int]]:
    detection = Detection(
        nights.shape[1],
        least=math.log1p(LEAST_PERCENT / 100) / 2,
        shared=True,
        level=SHARE_OF_TIMES * FALSE_STEPS,
    )
    for night in nights:
        detection.look(night)
    return [(step.row, step.first, step.found) for step in detection.steps]


def _detected(
    times: FloatArray,
    percent: float,
    baseline: int,
    histories: int,
    rng: np.random.Generator,
    otava: Path | None,
) -> dict[str, Any]:
    """Returns the shares of planted steps that are found within some nights."""
    drawn, planted = [], []
    for _ in range(histories):
        nights = draw_nights(times, baseline + WITHIN[-1], rng)
        rows = rng.permutation(nights.shape[1])[: min(PLANTED, nights.shape[1] // 4)]
        nights[baseline:, rows] += math.log1p(percent / 100)
        drawn.append(nights)
        planted.append(rows.tolist())
    ours = dict.fromkeys(WITHIN, 0)
    for nights, rows in zip(drawn, planted, strict=True):
        steps = [step for step in _steps(nights) if step[2] >= baseline]
        for row in rows:
            nightly = [found - baseline + 1 for of, _, found in steps if of == row]
            for within in WITHIN:
                ours[within] += bool(nightly) and min(nightly) <= within
    count = sum(map(len, planted))
    result: dict[str, Any] = {
        "percent": percent,
        "nights_before": baseline,
        "steps": count,
        "found_within": {str(within): ours[within] / count for within in WITHIN},
    }
    if otava:
        result["found_within_by_otava"] = {
            str(within): _found_by_otava(drawn, planted, baseline, within, otava) / count
            for within in WITHIN
        }
    return result


def _found_by_otava(
    drawn: Sequence[FloatArray],
    planted: Sequence[Sequence[int]],
    baseline: int,
    within: int,
    otava: Path,
) -> int:
    """Returns in how many rows with a step Otava finds it, given so many nights with it."""
    chosen = [nights[: baseline + within, rows] for nights, rows in zip(drawn, planted, strict=True)]
    return sum(
        any(abs(place - baseline) <= _NEAR for place in places) for places in _otava(chosen, otava)
    )


def _otava(histories: Sequence[FloatArray], python: Path) -> list[list[int]]:
    """Returns the places of Otava's change points in the times of each row of each history.

    Raises ValueError if Otava cannot run.
    """
    series = [row.tolist() for nights in histories for row in np.exp(nights).T]
    ran = subprocess.run(
        [str(python), "-c", _OTAVA],
        input=json.dumps(series),
        env=environment(imports=None),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if ran.returncode:
        raise ValueError(
            f"the interpreter cannot run Apache Otava: {reason(ran.stderr, status=ran.returncode)}"
        )
    found: list[list[int]] = json.loads(ran.stdout)
    return found
