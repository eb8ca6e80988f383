"""`make mutants`: checks that every small change in the code that decides and measures fails a test.

    make mutants                                   # all modules
    make mutants ARGS="harness/stats.py"           # some modules

It prints the mutants that no test detected. The exit status is 1 if one of them is not listed as
equivalent in `equivalent.toml`, or if a listed one was detected.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model.environment import available_cores

from .mutants import Mutant, mutants
from .trial import ROOT, Copies, Trial

# Each module's test files, the fastest first, because the first failure ends a trial.
TESTS = {
    "harness/claim.py": ("claims",),
    "harness/files/record.py": ("files",),
    "harness/files/sealed.py": ("files",),
    "harness/gates/accuracy_gate.py": ("findings",),
    "harness/gates/baselines.py": ("baselines", "findings"),
    "harness/compare/learning.py": ("learning",),
    "harness/gates/slowdown.py": ("slowdown",),
    "harness/gates/time_gate.py": ("findings",),
    "harness/hardware/lease.py": ("lease", "session"),
    "harness/hardware/lock_file.py": ("lease",),
    "harness/ownership.py": ("ownership",),
    "harness/plugin/fixtures.py": ("claims", "session", "benchmarks", "measurements", "faults", "proof"),
    "harness/results/fingerprint.py": ("resume", "session"),
    "harness/results/store.py": ("resume", "session", "faults"),
    "harness/compare/significance.py": ("significance", "learning"),
    "harness/stats.py": ("stats",),
    "harness/timing/timer.py": ("benchmarks",),
    "model/data/download.py": ("fetch",),
    "model/data/mnist.py": ("model", "fetch"),
    "model/data/presentation_order.py": ("model",),
    "model/data/torchvision_mnist.py": ("fetch",),
    "model/evaluate.py": ("evaluate", "model"),
    "model/stopwatch.py": ("model",),
    "model/train.py": ("model", "proof"),
}
EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())


def main(modules: Sequence[str]) -> int:
    if unknown := sorted({*modules} - {*TESTS}):
        print(
            f"no tests are known for {', '.join(unknown)}; expected {', '.join(TESTS)}", file=sys.stderr
        )
        return 2
    failed = False
    count = killed = 0
    workers = len(available_cores())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        copies = Copies(Path(folder), workers)
        for module in modules or TESTS:
            source = (ROOT / module).read_text()
            tests = [f"tests/test_{name}.py" for name in TESTS[module]]
            plain = copies.run(module, source, tests, seconds=600)
            if plain.killed:
                print(f"{plain.output}\nthe tests of {module} fail without a mutant", file=sys.stderr)
                return 2

            def attempt(mutant: Mutant, module=module, tests=tests, plain=plain) -> Trial:
                return copies.run(module, mutant.source, tests, seconds=10 + 5 * plain.seconds)

            tried = list(mutants(source))
            known = {change for changes in EQUIVALENT.get(module, {}).values() for change in changes}
            survived = set()
            for mutant, trial in zip(tried, pool.map(attempt, tried), strict=True):
                count += mutant.change not in known
                killed += trial.killed and mutant.change not in known
                if not trial.killed:
                    survived.add(mutant.change)
                    if mutant.change not in known:
                        failed = True
                        print(f"{module}:{mutant.line}: {mutant.change}", flush=True)
            for change in sorted(known - survived):
                failed = True
                print(f"{module}: listed as equivalent, but detected: {change}", flush=True)
            print(f"{module}: {len(tried)} mutants, {len(survived)} survived", flush=True)
    print(f"{killed} of {count} mutants were detected ({killed / count:.1%}), without equivalent ones")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
