"""Learning curves and hyperparameters of a run as TensorBoard's event files, by PyTorch's own writer."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..report.load import Run, load_run
from .columns import Value, results_table

TAGGED_CURVES = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
}
"""The tags of the scalars, and the curves of a record that they show, by epoch."""

_HYPERPARAMETERS = (
    "study",
    "scale",
    "exercise",
    "row",
    "seed",
    "replicates",
    "dataset",
    "batch_size",
    "epochs",
    "order",
    "init",
    "optimizer",
    "learning_rate",
    "optimizer_settings",
    "network",
    "schedule",
    "engine",
    "device_name",
)


def write_events(folder: Path, to: Path) -> int:
    """Writes the run in the report folder `folder` to `to`/RUN/EXERCISE/ROW/seedN; returns how many.

    A scalar's wall time is when the run ended, plus the training time so far, so that TensorBoard's
    relative times are training times. What is there already is kept, so that a resumed run adds its new
    rows. Raises OSError if a file cannot be written, ReportError if the folder has no run, and
    ImportError without TensorBoard.
    """
    run = load_run(folder)
    table = results_table(run)
    written = 0
    for values in table.rows:
        result = dict(zip(table.columns, values, strict=True))
        if result["case"] not in run.curves:
            continue
        module = Path(str(result["exercise"])).with_suffix("").name
        final = to / str(result["run"]) / module / _as_name(str(result["row"])) / f"seed{result['seed']}"
        if not final.exists():
            _write(run, result, final)
            written += 1
    return written


def _write(run: Run, result: dict[str, Value], final: Path) -> None:
    """Writes a seed's events to a folder of their own, which is put in place when it is whole."""
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}-"))
    make: Any = SummaryWriter
    try:
        writer = make(log_dir=str(temporary))
        try:
            record = run.curves[str(result["case"])]
            at = record.seeds.index(int(str(result["seed"])))
            begin = _time(run.summary.created)
            for tag, curve in TAGGED_CURVES.items():
                for epoch, seconds in enumerate(record.epoch_seconds):
                    value = getattr(record, curve)[epoch][at]
                    writer.add_scalar(tag, value, epoch, walltime=begin + seconds)
            given = {name: result[name] for name in _HYPERPARAMETERS if result[name] is not None}
            # `add_hparams` would write them to a folder of their own.
            metrics = {tag: getattr(record, curve)[-1][at] for tag, curve in TAGGED_CURVES.items()}
            for summary in hparams(given, metrics):
                writer.file_writer.add_summary(summary)
        finally:
            writer.close()
        temporary.chmod(0o755)  # mkdtemp makes it readable only by its owner
        os.rename(temporary, final)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(temporary)
        raise


def _time(created: str) -> float:
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _as_name(row: str) -> str:
    """Returns the row's name as that of a folder."""
    return re.sub(r'[/\\\0:*?"<>|]', "_", row)
