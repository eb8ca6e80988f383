"""The pages of all published runs, and the workflow that serves them."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.__main__ import main
from harness.report.site import build_site
from harness.study import load_study
from tests import reports
from tests.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "pages.yml"

CONFTEST = """
from harness.study import Study

STUDY = Study(title="Mine <b>", about="About it.")
"""


class Links(HTMLParser):
    """Collects the addresses that a page links to."""

    def __init__(self, page: Path):
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "my_study"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    for name in ("a", "b"):
        reports.write(folder / "reports" / "published" / name)
    return load_study(folder)


def test_the_index_links_to_every_published_run(study, tmp_path):
    before = {path: path.read_bytes() for path in study.published.rglob("*") if path.is_file()}
    pages = build_site([study], tmp_path / "site")
    index = tmp_path / "site" / "index.html"
    assert pages == [index, *(tmp_path / "site" / "my_study" / f"{name}.html" for name in ("a", "b"))]
    assert Links(index).found == ["my_study/a.html", "my_study/b.html"]
    assert "<h2>Mine &lt;b&gt;</h2>" in index.read_text()
    for page in pages[1:]:
        assert "<h1>" in page.read_text()
    after = {path: path.read_bytes() for path in study.published.rglob("*") if path.is_file()}
    assert after == before, "the published runs stay as they are"


def test_studies_without_published_runs_or_with_one_name_are_refused(study, tmp_path):
    with pytest.raises(ValueError, match="two studies have folders of the same name"):
        build_site([study, study], tmp_path / "site")
    (study.published / "a").rename(tmp_path / "a")
    (study.published / "b").rename(tmp_path / "b")
    with pytest.raises(ValueError, match=r"my_study: no published run"):
        build_site([study], tmp_path / "site")


def test_a_missing_folder_is_named_alone(capsys):
    with pytest.raises(SystemExit):
        main(["site"])
    error = capsys.readouterr().err
    assert error == "python -m harness site: the following arguments are required: FOLDER (see --help)\n"


def test_the_workflow_runs_a_target_that_exists_and_uploads_its_folder():
    workflow = WORKFLOW.read_text()
    draw, deploy = workflow.partition("\n  draw:\n")[2].split("\n  deploy:\n")
    assert "\npermissions:\n  contents: read\n\n" in workflow
    assert ("permissions:" in draw, "run:" in deploy) == (False, False), (
        "only the deploying job may write"
    )
    assert "\n    permissions:\n      pages: write\n      id-token: write\n" in deploy
    assert deploy.startswith("    needs: draw\n")
    assert "    if: github.event.repository.has_pages\n" in draw
    (command,) = re.findall(r"run: (.*)", workflow)
    target, folder = re.fullmatch(r"make (\w+) SITE=(\w+)", command).groups()
    recipe = (ROOT / "Makefile").read_text().partition(f"\n{target}: ")[2].partition("\n\n")[0]
    assert recipe.endswith("python -m harness site $(SITE)")
    assert re.findall(r"path: (.*)", workflow) == [folder]
    actions = re.findall(r"uses: (.*)", workflow)
    assert len(actions) == 4
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in actions)
