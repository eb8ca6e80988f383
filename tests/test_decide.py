"""Deciding the claims of a published run again, from its records."""

import json
import shutil
import subprocess
import sys

import pytest

from harness.files import sealed
from harness.files.summary import Summary
from tests.conftest import ROOT

KEPT = ROOT / "reports" / "published" / "epyc-1-core"


def decide(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "harness", "decide", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided") / "report"
    found = decide(KEPT, "--report-dir", folder)
    assert (found.returncode, found.stderr) == (0, "")
    return folder, found.stdout


def test_the_published_verdicts_are_those_of_todays_claims(again):
    """Whoever changes a claim publishes the run's verdicts again; see CONTRIBUTING.md."""
    folder, _ = again
    kept, found = (sealed.read_model(each / "summary.json", Summary) for each in (KEPT, folder))
    assert found.claims == kept.claims
    assert found.exercises == kept.exercises
    assert found.cases == kept.cases


def test_it_keeps_what_the_run_was_made_with(again):
    folder, output = again
    kept, found = (json.loads((each / "summary.json").read_text()) for each in (KEPT, folder))
    for name in ("created", "commit", "code", "command", "machine", "scale", "timing"):
        assert found[name] == kept[name]
    names = {path.name for path in (KEPT / "runs").iterdir()}
    assert {path.name for path in (folder / "runs").iterdir()} == names
    assert output.splitlines()[-1] == (f"46 claims decided again from {KEPT}; written to {folder}/.")


def test_runs_are_not_overwritten(again):
    folder, _ = again
    before = (folder / "summary.json").read_bytes()
    found = decide(KEPT, "--report-dir", folder)
    assert found.returncode == 2
    assert found.stderr == (f"{folder} has a run, and runs are never overwritten; name another folder\n")
    assert (folder / "summary.json").read_bytes() == before


def test_a_run_without_claims_is_refused(tmp_path):
    folder = tmp_path / "kept"
    shutil.copytree(KEPT, folder)
    content = sealed.read_content(folder / "summary.json")
    sealed.write_content(folder / "summary.json", content | {"claims": []})
    found = decide(folder, "--report-dir", tmp_path / "report")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"{folder} has no claims that were decided; expected one or more\n"
    assert not (tmp_path / "report").exists()


def test_the_run_of_another_study_is_refused(tmp_path):
    study = ROOT / "examples" / "optimizers"
    found = decide(KEPT, "--report-dir", tmp_path / "report", "--study", study)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        f"{study} has no module bench/test_1_minibatch_size.py; name the run's study with --study\n"
    )
    assert not (tmp_path / "report").exists()
