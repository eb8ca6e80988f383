"""`python -m harness.report [FOLDER ...]`: the report of the first folder, beside the others."""

from __future__ import annotations

import sys
from pathlib import Path

LATEST = Path("reports/latest")


def main(arguments: list[str]) -> int:
    """Makes the report and says where it is, and what it leaves out; 2 where it cannot."""
    try:
        from .build import build
        from .load import ReportError
    except ImportError as error:
        print(f"The report needs {error.name}: `make report` installs it.", file=sys.stderr)
        return 2
    try:
        page, left_out = build([Path(argument) for argument in arguments] or [LATEST])
    except ReportError as error:
        print(error, file=sys.stderr)
        return 2
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    print(f"Written to {page} and {page.parent / 'figures'}/.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
