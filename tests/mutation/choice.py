"""Which modules are mutated, and which tests are run for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .tracing.sitecustomize import PACKAGES
from .trial import ROOT

# The test files of each module, or of all modules in a folder, the fastest first, because the first
# failure ends a trial. The longest path counts.
TESTS: dict[str, tuple[str, ...]] = {
    "bench": (
        "bench_assertions", "assignment", "published_claims", "known_claims", "claims_on_the_fence",
        "published_figures", "claims",
    ),
    "bench/class_accuracy_figure.py": ("known_figures",),
    "bench/conftest.py": ("assignment",),
    "bench/gradient_bias_figure.py": ("known_figures",),
    "bench/paper.py": ("assignment", "published_figures"),
    "bench/stories.py": ("known_stories",),
    "examples": ("example_claims",),
    "examples/hyperparameters": ("hyperparameters",),
    "harness": ("values", "session"),
    "harness/__init__.py": ("commands",),
    "harness/__main__.py": ("commands", "children"),
    "harness/ab": ("ab_decisions", "ab_output", "ab", "limits", "noise"),
    "harness/ab/bisection.py": ("bisect",),
    "harness/accuracy.py": (
        "small_rules", "published_claims", "known_claims", "stats", "seeds_until_decided",
    ),
    "harness/atomic_json.py": ("jsonfile",),
    "harness/claim.py": ("small_rules", "claims"),
    "harness/cluster": ("driver", "blocks"),
    "harness/commands/ab.py": ("ab_command", "command_results"),
    "harness/commands/arguments.py": ("command_results", "children", "noise"),
    "harness/commands/bisect.py": ("ab_output", "bisect", "command_results"),
    "harness/commands/calibrate.py": ("command_results", "calibration"),
    "harness/commands/decide.py": ("decide",),
    "harness/commands/export.py": ("services",),
    "harness/commands/gpu.py": ("command_results", "gpu_command"),
    "harness/commands/history.py": ("command_results", "history"),
    "harness/commands/kept_run.py": ("command_results", "decide", "merge"),
    "harness/commands/merge.py": ("command_results", "merge"),
    "harness/commands/noise.py": ("command_results", "limits", "noise"),
    "harness/commands/output.py": ("children",),
    "harness/commands/prune.py": ("races", "run_folders"),
    "harness/commands/publish.py": ("races", "publish"),
    "harness/commands/replays.py": ("command_results", "replays"),
    "harness/commands/report.py": ("report",),
    "harness/commands/site.py": ("site",),
    "harness/commands/speed.py": ("command_results", "bounds", "speed"),
    "harness/commands/times.py": ("command_results", "speed"),
    "harness/commands/verdicts.py": ("verdicts",),
    "harness/compare/github.py": ("command_results", "gate", "ab"),
    "harness/compare/learning.py": ("learning", "limits"),
    "harness/compare/significance.py": ("significance", "learning"),
    "harness/engine_speeds/comparable.py": ("known_tables", "next_steps"),
    "harness/engine_speeds/forecast.py": ("bounds", "options"),
    "harness/engine_speeds/nominal.py": ("command_results", "shards"),
    "harness/engine_speeds/peak_memory.py": ("command_results", "speed", "values"),
    "harness/engine_speeds/peers.py": ("peers",),
    "harness/engine_speeds/roofline.py": ("bounds", "speed"),
    "harness/entry": ("study", "options"),
    "harness/exercise.py": ("exercise", "small_rules", "study", "files", "limits"),
    "harness/export": ("export", "services"),
    "harness/export/columns.py": ("added_seeds", "export", "services"),
    "harness/export/curve_events.py": ("command_results", "tensorboard"),
    "harness/files": ("file_limits", "files", "jsonfile", "limits"),
    "harness/files/measured.py": ("measured",),
    "harness/files/session_phases.py": ("file_limits", "phases"),
    "harness/files/weights.py": ("weights",),
    "harness/gates": ("gate_result", "findings", "gate"),
    "harness/gates/accuracy_gate.py": ("findings",),
    "harness/gates/baselines.py": ("baselines", "gate_result", "history_steps", "findings"),
    "harness/gates/retraining.py": ("retraining",),
    "harness/gates/slowdown.py": ("slowdown", "limits"),
    "harness/gates/gate_result.py": ("gate_result", "findings"),
    "harness/gates/missing.py": ("gate_result", "gate"),
    "harness/gates/time_gate.py": ("findings", "limits"),
    "harness/gates/versions.py": ("gate_result", "gate"),
    "harness/hardware": ("session", "surroundings", "noise"),
    "harness/hardware/disturbance.py": ("evenness", "noise"),
    "harness/hardware/lease.py": ("races", "lease", "session"),
    "harness/hardware/lock_file.py": ("races", "lease"),
    "harness/history": ("history_steps", "limits", "history", "history_page", "replays"),
    "harness/looks.py": ("small_rules", "seeds_until_decided"),
    "harness/ownership.py": ("small_rules", "ownership"),
    "harness/paths.py": ("small_rules", "report"),
    "harness/plugin": ("options", "session", "claims", "collected"),
    "harness/plugin/claim_looks.py": ("seeds_until_decided",),
    "harness/plugin/claims.py": ("claims",),
    "harness/plugin/cluster.py": ("cluster_sessions",),
    "harness/plugin/fixtures.py": (
        "claims", "session", "benchmarks", "measurements", "faults", "proof",
    ),
    "harness/plugin/job_summary.py": ("limits", "gate"),
    "harness/plugin/phase_file.py": ("phases",),
    "harness/plugin/progress": ("progress",),
    "harness/plugin/shards.py": ("shards",),
    "harness/plugin/shutdown.py": ("interrupt",),
    "harness/processes.py": ("small_rules", "children", "surroundings"),
    "harness/report": ("known_tables", "known_pages", "limits", "page_content", "report", "many_rows"),
    "harness/report/nodes.py": ("known_pages", "blocks"),
    "harness/report/scaling.py": ("blocks",),
    "harness/report/alike.py": ("known_tables", "groups_of_rows", "limits", "many_rows"),
    "harness/report/changes.py": ("added_seeds", "known_tables", "report"),
    "harness/report/differences.py": ("known_tables", "known_pages", "page_content"),
    "harness/report/figures": (
        "known_figures", "figure_layers", "groups_of_rows", "limits", "figures", "many_rows",
    ),
    "harness/report/figures/timeline.py": ("phases",),
    "harness/report/figures/time_to_accuracy.py": (
        "time_to_accuracy", "known_figures", "figure_layers", "groups_of_rows", "limits", "figures",
        "many_rows",
    ),
    "harness/report/headline.py": ("known_tables", "groups_of_rows", "limits", "many_rows"),
    "harness/report/load.py": ("limits", "report"),
    "harness/report/next_steps.py": ("added_seeds", "known_tables", "known_pages", "next_steps"),
    "harness/report/own_figures.py": ("report", "study"),
    "harness/report/passages.py": ("publish",),
    "harness/report/phase_table.py": ("phases",),
    "harness/report/quotes.py": ("known_tables", "publish"),
    "harness/report/replacement.py": ("publish", "report"),
    "harness/report/seed_counts.py": ("known_pages", "seeds_until_decided"),
    "harness/report/series.py": (
        "settings_of_rows", "known_tables", "known_pages", "groups_of_rows", "figures", "many_rows",
    ),
    "harness/report/settings.py": ("settings_of_rows", "groups_of_rows", "many_rows", "values"),
    "harness/report/site.py": ("known_pages", "site"),
    "harness/report/tables.py": ("known_tables", "known_pages", "terminal", "findings"),
    "harness/report/terminal.py": ("known_tables", "known_pages", "terminal"),
    "harness/report/verdict_table.py": ("known_pages", "verdicts"),
    "harness/results": ("resume", "session", "faults"),
    "harness/results/evenness.py": ("evenness", "limits", "stats"),
    "harness/results/exercise_stories.py": ("limits", "claims"),
    "harness/results/fingerprint.py": ("merge", "resume"),
    "harness/results/merging.py": ("known_records", "merge"),
    "harness/results/records.py": ("known_records", "known_tables", "files"),
    "harness/results/report_folder.py": ("races", "resume", "ownership"),
    "harness/results/seed_blocks.py": ("evenness", "blocks", "seeds_until_decided"),
    "harness/results/training.py": ("evenness", "session"),
    "harness/results/store.py": ("store", "races", "resume", "session", "faults"),
    "harness/run_folders.py": ("small_rules", "races", "run_folders"),
    "harness/session_settings.py": ("command_results",),
    "harness/stats.py": ("stats", "published_claims", "seeds_until_decided"),
    "harness/study.py": ("small_rules", "study", "options"),
    "harness/timing": ("outputs", "storage", "session"),
    "harness/timing/benchmark_tables.py": ("session_rows", "session"),
    "harness/timing/durations.py": ("durations",),
    "harness/timing/phase_times.py": ("phases",),
    "harness/timing/session_rows.py": ("session_rows", "gate"),
    "harness/timing/timer.py": ("benchmarks",),
    "harness/verdicts.py": ("small_rules", "known_tables", "claims"),
    "harness/where.py": ("small_rules", "study", "claims"),
    "harness/wording.py": ("known_tables",),
    "model": ("model", "values"),
    "model/dataset.py": ("data_sets", "values"),
    "model/data/download.py": ("fetch",),
    "model/data/idx.py": ("fetch",),
    "model/data/mnist.py": ("model", "fetch"),
    "model/data/presentation_order.py": ("model",),
    "model/data/torchvision_mnist.py": ("fetch",),
    "model/diagnostics": ("measurements",),
    "model/engines": ("engines", "proof", "values"),
    "model/engines/cluster": ("cluster",),
    "model/engines/cuda_graph": ("limits", "cuda_graph"),
    "model/engines/numba_loop": (
        "evaluate", "limits", "engines", "deferred_steps", "numba_cache", "subnormals",
    ),
    "model/engines/numba_loop/evaluation.py": ("evaluate",),
    "model/engines/numba_loop/arrays.py": ("evaluate", "engines"),
    "model/engines/proof.py": ("limits", "proof"),
    "model/evaluate.py": ("evaluate", "model"),
    "model/optimizers.py": ("bounds", "values", "optimizers"),
    "model/phases.py": ("phases",),
    "model/schedule.py": ("data_sets", "values", "optimizers"),
    "model/stopwatch.py": ("model",),
    "model/train.py": ("model", "proof"),
}  # fmt: skip


def chosen_tests(module: str) -> list[str]:
    """Returns the paths of the tests that are run for a module."""
    path = max((each for each in TESTS if _is_in(module, each)), key=len)
    return [f"tests/test_{name}.py" for name in TESTS[path]]


def modules(wanted: Sequence[str] = ()) -> Iterator[str]:
    """Yields the paths of all modules, or of those that are wanted or in a wanted folder."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if not wanted or any(_is_in(path, each) for each in wanted):
                yield path


def _is_in(module: str, path: str) -> bool:
    return module == path or module.startswith(f"{path.rstrip('/')}/")
