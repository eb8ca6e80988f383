"""`make mutants`: checks that every small change in the code that decides and measures fails a test.

    make mutants                                           # all modules: a night on two cores
    make mutants ARGS="harness/stats.py harness/report"    # a module, and all modules of a folder

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

from .choice import PACKAGES, chosen_tests, modules
from .mutants import Mutant, mutants
from .trial import ROOT, Copies, Trial

EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())


def main(wanted: Sequence[str]) -> int:
    for path in wanted:
        if not any(modules([path])):
            print(
                f"{path} is not a module or a folder of modules; expected paths like {PACKAGES[0]} or "
                f"{next(modules())}",
                file=sys.stderr,
            )
            return 2
    failed = False
    count = killed = 0
    workers = len(available_cores())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        copies = Copies(Path(folder), workers)
        for module in modules(wanted):
            source = (ROOT / module).read_text()
            if not (tried := [*mutants(source)]):
                continue
            tests = chosen_tests(module)
            plain = copies.run(module, source, tests, seconds=600)
            if plain.killed:
                print(f"{plain.output}\nthe tests of {module} fail without a mutant", file=sys.stderr)
                return 2

            def attempt(mutant: Mutant, module=module, tests=tests, plain=plain) -> Trial:
                return copies.run(module, mutant.source, tests, seconds=10 + 5 * plain.seconds)

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
