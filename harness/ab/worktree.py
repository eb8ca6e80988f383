"""The base of a comparison: a git worktree of its revision, removed at the end whatever happens."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..processes import environment, git, reason, run_whole, uninterrupted

_LOCKS = "requirements*.lock"
# Of the make that may have started this process: its variables, as VENV, are not the base's.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


@contextmanager
def worktree(repository: Path, revision: str) -> Iterator[Path]:
    """A checkout of `revision` in a temporary folder. Raises ValueError where it cannot be made."""
    commit = _commit(repository, revision)
    try:
        temporary = Path(tempfile.mkdtemp(prefix="minibatch-bench-base-")).resolve()
    except OSError as error:
        raise ValueError(f"no worktree of {revision} could be made: {error}") from None
    folder = temporary / "base"
    try:
        try:
            git(repository, "worktree", "add", "--detach", str(folder), commit)
        except ValueError as error:
            raise ValueError(f"no worktree of {revision} could be made: {error}") from None
        yield folder
    finally:
        with uninterrupted():
            _remove(repository, folder)
            shutil.rmtree(temporary, ignore_errors=True)


def _commit(repository: Path, revision: str) -> str:
    """The revision's commit. Raises ValueError where it has none, or git cannot say."""
    git(repository, "rev-parse", "--git-dir")  # says what is wrong with the repository, if anything is
    try:
        return git(repository, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except ValueError as error:
        said = str(error).removeprefix("git rev-parse: ")
    why = f"BASE is {revision!r}; expected a commit, branch or tag of {repository}"
    if not git(repository, "rev-list", "--max-count=1", "--all"):
        why += ", which has no commit yet"
    elif git(repository, "rev-parse", "--is-shallow-repository") == "true":
        why += ", which is a shallow clone: `git fetch --unshallow` gets its other commits"
    elif said != "Needed a single revision":
        why += f" ({said})"
    raise ValueError(why)


def _remove(repository: Path, folder: Path) -> None:
    """Removes this worktree, and no other: those that are away for a while may come back."""
    with suppress(ValueError):
        # Twice: it is locked as long as it is being made.
        git(repository, "worktree", "remove", "--force", "--force", str(folder))
        return
    # It was not made, or only in part.
    with suppress(ValueError, OSError):
        common = Path(git(repository, "rev-parse", "--git-common-dir"))
        for kept in (repository / common / "worktrees").glob("*/gitdir"):
            if (
                kept.read_text(encoding="utf-8", errors="surrogateescape").strip()
                == f"{folder / '.git'}"
            ):
                shutil.rmtree(kept.parent)


def python_of(base: Path, head: Path) -> Path:
    """The interpreter for the base: this one; where the locks differ, of an environment of its own.

    Raises ValueError where that cannot be made.
    """
    if _locks(base) == _locks(head):
        return Path(sys.executable)
    print("The locks differ: setting up an environment for the base.", file=sys.stderr)
    command = ["make", "--silent", f"PYTHON={sys.executable}", ".venv/installed"]
    try:
        status, said = run_whole(command, base, environment(*_OF_MAKE, imports=None))
    except OSError as error:
        why = "make is not in PATH" if isinstance(error, FileNotFoundError) else str(error)
        raise ValueError(f"no environment for the base could be made: {why}") from None
    if status:
        # What make says last is that something has failed, and not why.
        telling = [line for line in said.splitlines() if not line.startswith("make: *** [")]
        why = reason("\n".join(telling), status=status)
        raise ValueError(f"no environment for the base could be made: {why}")
    return base / ".venv" / "bin" / "python"


def _locks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(_LOCKS)}
