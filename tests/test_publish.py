"""What the README and the docs quote agrees with the published runs, and their links lead somewhere."""

import json
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
from tests.chaos import table

KINDS = {"overview", "terminal", "findings", "steps", "rows", "speed", "peers", "times"}
PAGES = (*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "reports" / "README.md")


def test_the_documents_have_the_published_figures():
    texts = [document.read_text() for document in DOCUMENTS]
    assert set(re.findall(r"<!-- (\w+)[ \d]*: \S+ -->", "".join(texts))) == KINDS
    assert [rewrite(text) for text in texts] == texts


def test_the_table_of_faults_is_that_of_the_kept_run():
    assert table.DOCUMENT.read_text() == table.document()
    trials = json.loads(table.JSON.read_text())["trials"]
    assert len(trials) >= 50
    assert all(trial["holds"] for trial in trials)


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


def test_engines_stand_beside_the_fastest_of_their_peers(tmp_path, monkeypatch):
    """On one core and on all; a row of several replicates is in neither table."""
    machine = {
        "device": "cpu",
        "device_name": "a CPU",
        "cores": 2,
        "torch": "2",
        "python": "3",
        "jax": "1",
    }
    times = {"numba": 10.0, "eager": 40.0, "jax": 20.0}
    rows = [
        {
            "engine": engine,
            "device": "cpu",
            "optimizer": "SGD",
            "batch_size": 1000,
            "replicates": replicates,
            "cores": cores,
            "us_per_step": us / cores,
            "ratio_to_eager": 40 / us,
            "best_peer": "jax",
            "ratio_to_best_peer": 20 / us * cores,
            "roofline_us_per_step": us / cores / 2,
            "bound_by": "bytes",
            "share_of_roofline": 0.5,
            "share_of_peak": 0.5,
            "peak_mib": None,
        }
        for cores, replicates in ((1, 1), (2, 1), (2, 2))
        for engine, us in times.items()
    ]
    (tmp_path / "a").mkdir()
    sealed.write(tmp_path / "a" / "speed.json", {"machine": machine, "rows": rows})
    monkeypatch.setattr(passages, "PUBLISHED", tmp_path)
    peers, speed = (rewrite(f"<!-- {kind}: a -->old<!-- end -->") for kind in ("peers", "speed"))
    on = "on a CPU, 2 cores (PyTorch 2, Python 3) and JAX 1"
    assert f"the fastest of eager and JAX, {on}" in peers
    assert _cells(peers) == [["batch size", "SGD, 1 core", "SGD, 2 cores"], ["1,000", "2.0", "4.0"]]
    header, *measured = _cells(speed)
    assert header[2:7] == ["cores", "eager", "JAX", "engine", "its time"]
    assert [row[1:8] for row in measured] == [
        ["1,000", "1", "40", "20", "numba", "10.0", "2.0"],
        ["1,000", "2", "20", "10", "numba", "5.0", "4.0"],
    ]


def _cells(passage: str) -> list[list[str]]:
    """Those of a table, but for the line under its header."""
    lines = [line for line in passage.splitlines() if line.startswith("|") and "--" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


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
