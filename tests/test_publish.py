"""What the README and the docs quote agrees with the published runs, and their links lead somewhere."""

import re

import pytest

from harness.__main__ import main
from harness.files import sealed
from harness.files.record import read_record
from harness.paths import PUBLISHED, ROOT
from harness.report import passages
from harness.report.load import load
from harness.report.passages import DOCUMENTS, rewrite
from harness.report.publish import keep

KINDS = {"overview", "terminal", "findings", "steps", "rows", "speed", "times"}
PAGES = (*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "reports" / "README.md")


def test_the_documents_have_the_published_figures():
    texts = [document.read_text() for document in DOCUMENTS]
    assert set(re.findall(r"<!-- (\w+)[ \d]*: \S+ -->", "".join(texts))) == KINDS
    assert [rewrite(text) for text in texts] == texts


def test_a_published_figure_that_changes_is_noticed(tmp_path, monkeypatch):
    """In every passage of a text, not in its first alone."""
    keep(PUBLISHED / "epyc-1-core", tmp_path / "a")
    path = tmp_path / "a" / "summary.json"
    summary = sealed.load(path)
    summary["cases"][0]["test_accuracy"] = [0.9999]
    summary["cases"][-1]["test_accuracy"] = [0.1111]
    sealed.write(path, summary)
    monkeypatch.setattr(passages, "PUBLISHED", tmp_path)
    text = "<!-- findings 1: a -->old<!-- end --> between <!-- terminal 4: a -->old<!-- end -->"
    first, between, second = rewrite(text).partition(" between ")
    assert between
    assert "0.9999" in first
    assert "0.1111" in second
    assert "old" not in first + second


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles]


def test_reports_are_kept_whole_and_small():
    folders = [path for path in PUBLISHED.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        run = load(folder)
        assert run.left_out == []
        assert run.cases.keys() == run.curves.keys()
        assert all(read_record(path) for path in (folder / "runs").iterdir())
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 3e6


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere", "x"), "nowhere is no report of a finished run: it has no summary.json"),
        (("nowhere", "../x"), "the name is '../x'; it takes letters*"),
    ],
)
def test_what_cannot_be_published_is_refused(args, message, capsys):
    assert main(["publish", *args]) == 2
    pytest.LineMatcher(capsys.readouterr().err.splitlines()).fnmatch_lines([message])
