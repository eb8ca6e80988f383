"""What `make mutants` found for each module, kept until the module or its tests change.

So a run that was stopped continues with the modules that are left, and the next one tries only what has
changed. `results.json` is committed: a run on another machine continues too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.wording import counted

from .trial import ROOT

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Result:
    """The mutants of a module that were tried, and those that no test detected."""

    digest: str
    """Of the module and of the tests that were run; see `digest_of`."""
    mutants: int
    survivors: list[str]
    """Their changes, as `mutants.Mutant` has them, with those listed as equivalent."""


def digest_of(module: str, tests: Iterable[str]) -> str:
    """Returns a digest of the module's source and of those of its tests, paths from the root."""
    content = b"".join((ROOT / path).read_bytes() for path in (module, *tests))
    return hashlib.sha256(content).hexdigest()[:16]


def read_results(path: Path = RESULTS) -> dict[str, Result]:
    """Returns the results that are kept, by module."""
    if not path.exists():
        return {}
    return {module: Result(**each) for module, each in json.loads(path.read_text()).items()}


def keep_result(module: str, result: Result, path: Path = RESULTS) -> None:
    """Adds a module's result to those that are kept, or replaces it."""
    found = read_results(path) | {module: result}
    content = {module: asdict(found[module]) for module in sorted(found)}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def matches(change: str, listed: str) -> bool:
    """Returns whether a change is listed; "…" in the list stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, listed.split("…"))), change) is not None


def summary(
    modules: Sequence[str], results: dict[str, Result], listed: Mapping[str, Sequence[str]]
) -> str:
    """Returns in a sentence what share of the mutants of `modules` was detected.

    `listed` are the mutants of each module that are equivalent; those of modules without a result count
    nowhere.
    """
    tried = [module for module in modules if module in results]
    survivors = [(module, change) for module in tried for change in results[module].survivors]
    equivalent = sum(
        any(matches(change, each) for each in listed.get(module, ())) for module, change in survivors
    )
    detected = sum(results[module].mutants for module in tried) - len(survivors)
    count = detected + len(survivors) - equivalent
    share = f" ({detected / count:.1%})" if count else ""
    where = counted(len(tried), "module")
    return f"{detected} of {count} mutants of {where} were detected{share}, without equivalent ones"
