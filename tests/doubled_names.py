"""Public names with two meanings: `python -m tests.doubled_names`, part of `make lint`.

In `model`, `harness` and `bench` no two modules define the same name, and none have the same name, so
that a name has one meaning everywhere. Exempt is what an interface prescribes to several modules.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("model", "harness", "bench")

INTERFACES = {
    "an exercise's module": {"EXERCISE", "test_training"},
    "model.engines.protocol": {
        "NAME",
        "HONOURS",
        "Engine",
        "cores",
        "refuses",
        "unavailable",
        "the module engine",
    },
    "a command's module": {"add_arguments", "run"},
}


def doubled_names(files: Iterable[Path]) -> dict[str, list[str]]:
    """Returns the names that several files define, each with these files."""
    places = defaultdict(list)
    for file in files:
        if not file.stem.startswith("__") and "commands" not in file.parts:  # named after what is typed
            places[f"the module {file.stem}"].append(str(file))
        for name in sorted({*_public_names(ast.parse(file.read_text(encoding="utf-8")))}):
            places[name].append(str(file))
    exempt = set().union(*INTERFACES.values())
    return {
        name: where
        for name, where in sorted(places.items())
        if len(where) > 1 and name not in exempt and not name.startswith("pytest_")
    }


def _public_names(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found = [name]
            case ast.Assign(targets=targets):
                found = [each.id for each in targets if isinstance(each, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                found = [name]
            case _:
                found = []
        yield from (name for name in found if not name.startswith("_"))


def main() -> int:
    files = sorted(file for package in PACKAGES for file in Path(ROOT, package).rglob("*.py"))
    doubled = doubled_names(file.relative_to(ROOT) for file in files)
    for name, where in doubled.items():
        print(f"{name} is defined in {', '.join(where)}: a name has one meaning", file=sys.stderr)
    return 1 if doubled else 0


if __name__ == "__main__":
    sys.exit(main())
