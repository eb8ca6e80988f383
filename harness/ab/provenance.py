"""What the sides of a comparison are: commits, code, interpreters and versions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from model.environment import code_digest

from ..hardware.machine import git_commit
from .side import Checkout, Side, SideError
from .turns import SelectedRow


@dataclass(frozen=True)
class Provenance:
    """What a side trained with."""

    revision: str | None
    """The revision as it was given; None for the working tree."""
    commit: str | None
    """The full hash of the commit that is checked out; None without git."""
    dirty: bool
    """Whether tracked files differ from that commit."""
    code: str
    """A digest of the code: the suite's, and that of the study."""
    interpreter: str
    versions: dict[str, str | None]
    """The versions of Python and the packages that train, by name; None if they are not installed."""

    @property
    def words(self) -> str:
        """The side in words: "main, 0d2f1c8a91" or "the working tree, 0d2f1c8a91 with changes"."""
        commit = (self.commit or "no commit")[:10] + (" with changes" if self.dirty else "")
        return f"{self.revision or 'the working tree'}, {commit}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def provenance_of(checkout: Checkout, revision: str | None, rows: Sequence[SelectedRow]) -> Provenance:
    """Returns what the side trains with. Raises ValueError if its interpreter does not run."""
    try:
        with closing(Side(checkout)) as side:
            versions = side.ask("describe")
    except SideError as error:
        raise ValueError(f"nothing can be compared: {error}") from None
    commit = git_commit(checkout.folder) or ""
    studies = sorted({row.module.partition(".")[0] for row in rows})
    return Provenance(
        revision,
        commit.removesuffix("-dirty") or None,
        commit.endswith("-dirty"),
        code_digest([checkout.folder / name for name in ("model", "harness", *studies)]),
        str(checkout.python),
        versions,
    )


def differing_versions(base: Provenance, head: Provenance) -> str:
    """Returns the versions that differ, in words; empty if none does."""
    return ", ".join(
        f"{name} was {version}, is now {head.versions.get(name)}"
        for name, version in base.versions.items()
        if version != head.versions.get(name)
    )
