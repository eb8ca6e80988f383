"""`make mutants`: checks that every small change in the code that decides and measures fails a test.

    make mutants                                           # all modules without a result: a night or two
    make mutants ARGS="harness/stats.py harness/report"    # these again: a module, and all of a folder

It prints the mutants that no test detected. The exit status is 1 if one of them is not listed as
equivalent in `equivalent.toml`, or if a listed one was detected. `results.json` keeps what was found for
each module, until the module or its tests change.
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
from .results import Result, digest_of, keep_result, read_results, summary
from .trial import ROOT, Copies, Killers, Trial

EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())
LISTED = {
    module: {change for changes in of_module.values() for change in changes}
    for module, of_module in EQUIVALENT.items()
}


def main(wanted: Sequence[str]) -> int:
    for path in wanted:
        if not any(modules([path])):
            print(
                f"{path} is not a module or a folder of modules; expected paths like {PACKAGES[0]} or "
                f"{next(modules())}",
                file=sys.stderr,
            )
            return 2
    chosen, known = [*modules(wanted)], read_results()
    left = [
        module
        for module in chosen
        if wanted
        or module not in known
        or known[module].digest != digest_of(module, chosen_tests(module))
    ]
    workers = len(available_cores())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        copies = Copies(Path(folder), workers)
        for module in left:
            if (result := _tried(module, copies, pool)) is None:
                return 2
            keep_result(module, result)
            print(f"{module}: {result.mutants} mutants, {len(result.survivors)} survived", flush=True)
    results, failed = read_results(), False
    for module in chosen:
        listed, survived = LISTED.get(module, set()), {*results[module].survivors}
        for change in sorted(survived - listed):
            failed = True
            print(f"{module}: not detected: {change}")
        for change in sorted(listed - survived):
            failed = True
            print(f"{module}: listed as equivalent, but detected: {change}")
    print(summary(chosen, results, LISTED))
    return 1 if failed else 0


def _tried(module: str, copies: Copies, pool: ThreadPoolExecutor) -> Result | None:
    """Tries the mutants of a module; returns None if its tests fail without one."""
    source, tests = (ROOT / module).read_text(), chosen_tests(module)
    digest, tried = digest_of(module, tests), [*mutants(source)]
    if not tried:
        return Result(digest, 0, [])
    killers = Killers()
    plain = copies.run(module, source, tests, killers, seconds=600)
    if plain.killed:
        print(f"{plain.output}\nthe tests of {module} fail without a mutant", file=sys.stderr)
        return None

    def attempt(mutant: Mutant) -> Trial:
        return copies.run(module, mutant.source, tests, killers, seconds=10 + 5 * plain.seconds)

    trials = zip(tried, pool.map(attempt, tried), strict=True)
    return Result(digest, len(tried), [mutant.change for mutant, trial in trials if not trial.killed])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
