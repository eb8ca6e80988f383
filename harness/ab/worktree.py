"""The base of a comparison: a git worktree of its revision, removed at the end whatever happens."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCKS = "requirements*.lock"


@contextmanager
def worktree(repository: Path, revision: str) -> Iterator[Path]:
    """A checkout of `revision` in a temporary folder. Raises ValueError where it cannot be made."""
    named = f"{revision}^{{commit}}"
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", named)
    if commit is None:
        raise ValueError(f"BASE is {revision!r}; it takes a commit, branch or tag of {repository}")
    try:
        temporary = Path(tempfile.mkdtemp(prefix="minibatch-bench-base-"))
    except OSError as error:
        raise ValueError(f"no worktree of {revision} could be made: {error}") from None
    folder = temporary / "base"
    try:
        made = subprocess.run(
            ["git", "worktree", "add", "--detach", folder, commit],
            cwd=repository,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise ValueError(f"no worktree of {revision} could be made: {_last(made.stderr)}")
        yield folder
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _git(repository, "worktree", "prune")


def python_of(base: Path, head: Path) -> Path:
    """The interpreter for the base: this one; where the locks differ, of an environment of its own.

    Raises ValueError where that cannot be made.
    """
    if _locks(base) == _locks(head):
        return Path(sys.executable)
    print("The locks differ: setting up an environment for the base.", file=sys.stderr)
    made = subprocess.run(
        ["make", f"PYTHON={sys.executable}", ".venv/installed"], cwd=base, capture_output=True, text=True
    )
    if made.returncode:
        raise ValueError(f"no environment for the base could be made: {_last(made.stderr)}")
    return base / ".venv" / "bin" / "python"


def _locks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(_LOCKS)}


def _git(repository: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails, or there is no git."""
    try:
        ran = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True)
    except OSError:
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("fatal: ") if lines else "nothing was said"
