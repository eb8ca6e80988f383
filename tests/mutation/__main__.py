"""`make mutants`: whether a test fails for every small change of the code that decides and measures.

    make mutants                                   # all of them
    make mutants ARGS="harness/stats.py"           # those of some modules

It prints the mutants that no test noticed. Exit status 1 where one of them is not among the equivalent
ones in `equivalent.toml`, or where one of those is noticed by now.
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

# The modules, and the tests that are to notice: the quickest first, as one that fails ends a trial.
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
_EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def main(modules: Sequence[str]) -> int:
    if unknown := sorted({*modules} - {*TESTS}):
        print(
            f"no tests are named for {', '.join(unknown)}; there are {', '.join(TESTS)}", file=sys.stderr
        )
        return 2
    modules = modules or tuple(TESTS)
    equivalent = tomllib.loads(_EQUIVALENT.read_text())
    found: list[str] = []
    count = killed = 0
    workers = len(available_cores())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        copies = Copies(Path(folder), workers)
        for module in modules:
            source = (ROOT / module).read_text()
            tests = [f"tests/test_{name}.py" for name in TESTS[module]]
            plain = copies.run(module, source, tests, seconds=600)
            if plain.killed:
                print(f"{plain.output}\nThe tests of {module} fail as it is.", file=sys.stderr)
                return 2

            def attempt(mutant: Mutant, module=module, tests=tests, plain=plain) -> Trial:
                return copies.run(module, mutant.source, tests, seconds=10 + 5 * plain.seconds)

            all_of_it = list(mutants(source))
            known = {(each["before"], each["after"]) for each in equivalent.get(module, [])}
            lived = set()
            for mutant, trial in zip(all_of_it, pool.map(attempt, all_of_it), strict=True):
                change = mutant.before, mutant.after
                count += change not in known
                killed += trial.killed and change not in known
                if not trial.killed:
                    lived.add(change)
                    if change not in known:
                        found.append(f"{module}:{mutant.line}: {mutant.before}  ->  {mutant.after}")
                        print(found[-1], flush=True)
            for before, after in sorted(known - lived):
                found.append(f"{module}: listed as equivalent, but noticed: {before}  ->  {after}")
                print(found[-1], flush=True)
            print(f"{module}: {len(all_of_it)} mutants, {len(lived)} lived", flush=True)
    print(f"{killed} of {count} mutants were noticed ({killed / count:.1%}), equivalent ones apart.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
