"""The packages that `make` installs are pinned by their files' digests, PyTorch by its version."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def pinned(name):
    """Returns the requirements of a lock file, each with its digests."""
    text = re.sub(r"\\\n", "", (ROOT / name).read_text())
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_everything_except_pytorch_is_pinned_by_digests():
    lines = pinned("requirements.lock")
    assert len(lines) > 30
    assert [
        line for line in lines if not re.search(r"^[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ] == []


def test_pytorch_is_pinned_by_version():
    assert [line.partition("==")[0] for line in pinned("requirements-torch.lock")] == [
        "torch",
        "torchvision",
    ]
    lines = pinned("requirements-cuda.lock")
    assert len(lines) > 5
    assert all(re.match(r"(nvidia|cuda|triton)[\w-]*==", line) for line in lines)


def test_every_direct_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = pinned("requirements.lock") + pinned("requirements-torch.lock")
    locked = {line.partition("==")[0] for line in lines}
    assert {re.match(r"[\w-]+", each)[0] for each in direct} <= locked
