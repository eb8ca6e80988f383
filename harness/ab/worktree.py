"""The base of a comparison: a git worktree of its revision, always removed at the end."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..processes import environment, git, reason, run_whole, uninterrupted

_LOCKS = "requirements*.lock"
# Variables set by a make that started this process; its settings, such as VENV, are not the base's.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


@contextmanager
def worktree(repository: Path, revision: str) -> Iterator[Path]:
    """Yields a checkout of `revision` in a temporary folder. Raises ValueError if that fails."""
    commit = commit_of(repository, revision)
    try:
        temporary = Path(tempfile.mkdtemp(prefix="minibatch-bench-base-")).resolve()
    except OSError as error:
        raise ValueError(f"a worktree of {revision} cannot be created: {error}") from None
    folder = temporary / "base"
    try:
        try:
            git(repository, "worktree", "add", "--detach", str(folder), commit)
        except ValueError as error:
            raise ValueError(f"a worktree of {revision} cannot be created: {error}") from None
        yield folder
    finally:
        with uninterrupted():
            _remove(repository, folder)
            shutil.rmtree(temporary, ignore_errors=True)


def commit_of(repository: Path, revision: str, what: str = "BASE") -> str:
    """Returns the revision's commit.

    Raises ValueError, with a line that begins with `what`, if there is none, or if git fails.
    """
    git(repository, "rev-parse", "--git-dir")  # raises an error if the repository itself is unusable
    try:
        return git(repository, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except ValueError as error:
        reported = str(error).removeprefix("git rev-parse: ")
    why = f"{what} is {revision!r}; expected a commit, branch or tag of {repository}"
    if not git(repository, "rev-list", "--max-count=1", "--all"):
        why += ", which has no commit yet"
    elif git(repository, "rev-parse", "--is-shallow-repository") == "true":
        why += ", which is a shallow clone: `git fetch --unshallow` gets its other commits"
    elif reported != "Needed a single revision":
        why += f" ({reported})"
    raise ValueError(why)


def _remove(repository: Path, folder: Path) -> None:
    """Removes this worktree only: `git worktree prune` would forget others that are only moved away."""
    with suppress(ValueError):
        # Twice, because git locks a worktree while creating it.
        git(repository, "worktree", "remove", "--force", "--force", str(folder))
        return
    # It was not created, or only in part.
    with suppress(ValueError, OSError):
        common = Path(git(repository, "rev-parse", "--git-common-dir"))
        for kept in (repository / common / "worktrees").glob("*/gitdir"):
            if (
                kept.read_text(encoding="utf-8", errors="surrogateescape").strip()
                == f"{folder / '.git'}"
            ):
                shutil.rmtree(kept.parent)


def python_of(base: Path, head: Path) -> Path:
    """Returns the interpreter for the base: this one, or if the lock files differ, a new environment's.

    Raises ValueError if the environment cannot be set up.
    """
    if _locks(base) == _locks(head):
        return Path(sys.executable)
    print("The lock files differ, so the base gets its own environment.", file=sys.stderr)
    command = ["make", "--silent", f"PYTHON={sys.executable}", ".venv/installed"]
    try:
        status, output = run_whole(command, base, environment(*_OF_MAKE, imports=None))
    except OSError as error:
        why = "make is not in PATH" if isinstance(error, FileNotFoundError) else str(error)
        raise ValueError(f"the base's environment cannot be set up: {why}") from None
    if status:
        # make's last line only reports that a recipe failed.
        lines = [line for line in output.splitlines() if not line.startswith("make: *** [")]
        why = reason("\n".join(lines), status=status)
        raise ValueError(f"the base's environment cannot be set up: {why}")
    return base / ".venv" / "bin" / "python"


def _locks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(_LOCKS)}
