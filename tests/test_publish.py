"""What is published and what the README tells of it agree."""

import json
import re

import pytest

from harness.__main__ import main
from harness.report import publish
from harness.report.publish import PUBLISHED, README, keep, rewritten


def test_the_readme_has_the_published_figures():
    text = README.read_text()
    assert {kind for kind, _ in re.findall(r"<!-- (\w+): (\S+) -->", text)} == {
        "results",
        "speed",
        "times",
    }
    assert rewritten(text) == text


def test_a_published_figure_that_changes_is_noticed(tmp_path, monkeypatch):
    text = README.read_text()
    ((_, name), *_) = re.findall(r"<!-- (results): (\S+) -->", text)
    keep(PUBLISHED / name, tmp_path / name)
    path = tmp_path / name / "summary.json"
    summary = json.loads(path.read_text())
    summary["cases"][0]["test_accuracy"] = [0.9999]
    path.write_text(json.dumps(summary))
    monkeypatch.setattr(publish, "PUBLISHED", tmp_path)
    assert "0.9999" in rewritten(text)


def test_reports_are_kept_whole_and_small():
    folders = [path for path in PUBLISHED.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text())
        records = [json.loads(path.read_text()) for path in (folder / "runs").iterdir()]
        assert {case["id"] for case in summary["cases"]} <= {record["id"] for record in records}
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 3e6


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nowhere", "x"), "nowhere holds no summary.json; it takes the report folder*"),
        (("nowhere", "../x"), "the name is '../x'; it takes letters*"),
    ],
)
def test_what_cannot_be_published_is_refused(args, said, capsys):
    assert main(["publish", *args]) == 2
    pytest.LineMatcher(capsys.readouterr().err.splitlines()).fnmatch_lines([said])
