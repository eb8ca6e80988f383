"""`make mutants`: checks that every small change in the code that decides and measures fails a test.

    make mutants                                           # all modules without a result, for some hours
    make mutants ARGS="harness/stats.py harness/report"    # these again: a module, and all of a folder

It prints the mutants that no test detected. The exit status is 1 if one of them is not listed as
equivalent in `equivalent.toml`, if a listed one was detected, or if a module's tests could not be run.
`results.json` keeps what was found for each module, until the module or its tests change.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue
from threading import Lock

from model.environment import available_cores

from .choice import PACKAGES, chosen_tests, modules
from .mutants import mutants
from .order import Order
from .results import Result, digest_of, keep_result, matches, read_results, summary
from .traced import Traces
from .trial import ROOT, Copy

EQUIVALENT = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())
LISTED = {
    module: [change for changes in of_module.values() for change in changes]
    for module, of_module in EQUIVALENT.items()
}
TRACES = ROOT / ".mutation"
# What every test may run: the project, and what tests share.
_SHARED = [
    *modules(),
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_") and "mutation" not in path.parts
    ),
]


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
    with tempfile.TemporaryDirectory() as folder:
        for module, result in _results(left, Path(folder)) if left else ():
            keep_result(module, result)
            known[module] = result
            print(f"{module}: {result.mutants} mutants, {len(result.survivors)} survived", flush=True)
            left.remove(module)
    failed = bool(left)
    for module in chosen:
        if module in left:
            continue  # why it has no result is printed
        listed, survivors = LISTED.get(module, []), known[module].survivors
        for change in survivors:
            if not any(matches(change, each) for each in listed):
                failed = True
                print(f"{module}: not detected: {change}")
        for each in listed:
            if not any(matches(change, each) for change in survivors):
                failed = True
                print(f"{module}: listed as equivalent, but detected: {each}")
    print(summary([module for module in chosen if module not in left], known, LISTED))
    return 1 if failed else 0


def _results(modules: Sequence[str], folder: Path) -> Iterator[tuple[str, Result]]:
    """Tries the mutants of modules on all cores; yields each module's result when it is there.

    If a module's tests cannot be run, it prints why, and the others are tried all the same.
    """
    workers = min(len(available_cores()), len(modules))
    copies: Queue[Copy] = Queue()
    traces: defaultdict[str, _Traced] = defaultdict(_Traced)

    def result(module: str) -> tuple[str, Result]:
        copy = copies.get()
        try:
            return module, _tried(module, copy, traces)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(workers) as pool:
        for copy in pool.map(Copy, [folder / str(number) for number in range(workers)]):
            copies.put(copy)
        for each in as_completed([pool.submit(result, module) for module in modules]):
            try:
                yield each.result()
            except RuntimeError as error:
                print(error, file=sys.stderr, flush=True)


class _Traced:
    """The traces of a file of tests, made once, and kept until anything that it may run changes."""

    def __init__(self) -> None:
        self._lock = Lock()

    def by(self, copy: Copy, path: str) -> Traces:
        with self._lock:
            kept = TRACES / f"{Path(path).stem}-{digest_of(path, _SHARED)}.json"
            if not kept.exists():
                for earlier in TRACES.glob(f"{Path(path).stem}-*.json"):
                    earlier.unlink()
                traces = copy.traces(path)
                for name in traces.failed:
                    print(f"not used: {name}, which is skipped, or fails if it is traced", flush=True)
                TRACES.mkdir(exist_ok=True)
                traces.save(kept)
            return Traces.load(kept)


def _tried(module: str, copy: Copy, traced: Mapping[str, _Traced]) -> Result:
    """Tries the mutants of a module."""
    source, files = (ROOT / module).read_text(), chosen_tests(module)
    digest, tried = digest_of(module, files), [*mutants(source)]
    if not tried:
        return Result(digest, 0, [])
    traces = [traced[path].by(copy, path) for path in files]
    order = Order(module, (test for each in traces for test in each.tests))
    imported = {line for each in traces for line in each.imported.get(module, ())}
    trials = copy.trials(module, tried, order, imported)
    survivors = [
        mutant.change for mutant, trial in zip(tried, trials, strict=True) if not trial.detected
    ]
    return Result(digest, len(tried), survivors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
