"""README and docs agree with the published runs that they quote, and their links have targets."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.__main__ import main
from harness.commands import publish
from harness.commands.publish import keep_run
from harness.files import sealed
from harness.files.record import read_record
from harness.ownership import MARK
from harness.paths import BENCH, ROOT
from harness.processes import environment
from harness.report import passages
from harness.report.load import load_run
from harness.report.passages import PassageError
from harness.report.passages import rewrite as rewrite_with
from harness.study import load_study
from tests.chaos import table

KINDS = {"overview", "terminal", "findings", "steps", "speed", "peers", "times", "phases", "cluster"}
QUOTED = "epyc-five-seeds"  # the run that docs/findings.md quotes
STUDY = load_study(BENCH)
PUBLISHED, DOCUMENTS = STUDY.published, STUDY.documents
PAGES = (
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "reports" / "README.md",
)


def rewrite(text, published=PUBLISHED):
    return rewrite_with(text, lambda name: published / name)


def test_the_documents_quote_the_published_runs():
    texts = [document.read_text() for document in DOCUMENTS]
    assert set(re.findall(r"<!-- (\w+)(?: \w+)?: \S+ -->", "".join(texts))) == KINDS
    assert [rewrite(text) for text in texts] == texts


@pytest.mark.parametrize(
    ("example", "kinds"),
    [
        ("optimizers", {"overview", "findings"}),
        ("hyperparameters", {"overview", "batches", "findings"}),
    ],
)
def test_the_documents_of_the_examples_quote_their_published_runs(example, kinds):
    study = load_study(ROOT / "examples" / example)
    texts = [document.read_text() for document in study.documents]
    assert set(re.findall(r"<!-- (\w+)(?: \w+)?: \S+ -->", "".join(texts))) == kinds
    assert [rewrite(text, study.published) for text in texts] == texts


def test_the_table_of_faults_agrees_with_the_kept_run():
    assert table.DOCUMENT.read_text() == table.document()
    trials = json.loads(table.JSON.read_text())["trials"]
    assert len(trials) >= 50
    assert all(trial["holds"] for trial in trials)


def test_a_changed_number_in_a_published_run_appears_in_every_passage(tmp_path):
    keep_run(PUBLISHED / QUOTED, tmp_path / "a")
    path = tmp_path / "a" / "summary.json"
    summary = sealed.read_content(path)
    ids = [case["id"] for case in summary["cases"]]
    for module, accuracy in (("test_3_online_gradient", 0.9999), ("test_4_adam_vs_sgd", 0.1111)):
        first = next(at for at, case in enumerate(ids) if module in case)
        summary["cases"][first]["test_accuracy"] = 5 * [accuracy]
    sealed.write_content(path, summary)
    text = (
        "<!-- findings test_3_online_gradient: a -->old<!-- end --> between "
        "<!-- terminal test_4_adam_vs_sgd: a -->old<!-- end -->"
    )
    first, between, second = rewrite(text, tmp_path).partition(" between ")
    assert between
    assert "0.9999" in first
    assert "0.1111" in second
    assert "old" not in first + second


def test_engines_are_compared_with_the_fastest_of_their_peers(tmp_path):
    """On one core and on all; rows with several replicates are in neither table."""
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
    sealed.write_content(tmp_path / "a" / "speed.json", {"machine": machine, "rows": rows})
    peers, speed = (
        rewrite(f"<!-- {kind}: a -->old<!-- end -->", tmp_path) for kind in ("peers", "speed")
    )
    on = "on a CPU, 2 cores (PyTorch 2, Python 3) with JAX 1"
    assert f"over the faster of eager and JAX, {on}" in peers
    assert _cells(peers) == [["batch size", "SGD, 1 core", "SGD, 2 cores"], ["1,000", "2.0", "4.0"]]
    header, *measured = _cells(speed)
    assert header[2:7] == ["cores", "eager", "JAX", "engine", "engine's time"]
    assert [row[1:8] for row in measured] == [
        ["1,000", "1", "40", "20", "numba", "10.0", "2.0"],
        ["1,000", "2", "20", "10", "numba", "5.0", "4.0"],
    ]


def _cells(passage: str) -> list[list[str]]:
    """Returns the cells of the table in a passage, without the line under its header."""
    lines = [line for line in passage.splitlines() if line.startswith("|") and "--" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_targets(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles]


def test_published_runs_are_complete_and_small():
    folders = [path for path in PUBLISHED.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        run = load_run(folder)
        assert run.left_out == []
        assert run.cases.keys() == run.curves.keys()
        assert all(read_record(path) for path in (folder / "runs").iterdir())
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5e6


@pytest.mark.parametrize("command", [("publish", "{}", "x"), ("merge", "{}")])
def test_a_report_of_another_study_is_refused(command, capsys):
    """Else a run of a study of one's own would be published among `bench`'s."""
    run, other = PUBLISHED / QUOTED, ROOT / "examples" / "optimizers"
    assert main([each.format(run) for each in command] + ["--study", str(other)]) == 2
    assert capsys.readouterr().err == (
        f"{other} has no module bench/test_1_minibatch_size.py; name the run's study with --study\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere", "x"), "nowhere is not the report of a finished run: it has no summary.json"),
        (("nowhere", "../x"), "the name is '../x'; expected letters*"),
    ],
)
def test_what_cannot_be_published_is_refused(args, message, capsys):
    assert main(["publish", *args]) == 2
    pytest.LineMatcher(capsys.readouterr().err.splitlines()).fnmatch_lines([message])


# The marks of passages -----------------------------------------------------------------------------


WRONG = {
    "<!-- overview: epyc-1-core -->": "line 1: the passage 'overview: epyc-1-core' has no <!-- end -->",
    "a\n<!-- chaos -->\nb\n<!-- speed: epyc-1-core --><!-- end -->": (
        "line 2: the passage 'chaos' has no <!-- end --> before the next mark, on line 4"
    ),
    "\n<!-- end -->": "line 2: <!-- end --> has no opening mark before it",
    "<!-- speed: epyc-1-core --><!-- end --><!-- end -->": (
        "line 1: <!-- end --> has no opening mark before it"
    ),
    "<!-- table: epyc-1-core --><!-- end -->": "line 1: * has the kind 'table'; expected overview, *",
    "<!-- findings: epyc-1-core --><!-- end -->": "line 1: * lacks an exercise's module*",
    "<!-- speed 1: epyc-1-core --><!-- end -->": "line 1: * is not a valid mark; *",
    "<!-- speed: nowhere --><!-- end -->": "*'speed: nowhere' names nowhere, but no published run *",
    "<!-- speed test_1: epyc-1-core --><!-- end -->": "* has a module; expected <!-- speed: NAME -->",
    "<!-- findings test_9: epyc-1-core --><!-- end -->": (
        "*'findings test_9: epyc-1-core' needs the exercise of test_9.py, *"
    ),
    "<!-- speed: epyc-1-core --><!--end-->": "line 1: <!--end--> is not a valid mark; *",
    "<!--speed: epyc-1-core --><!-- end -->": "line 1: <!--speed: epyc-1-core --> is not a *",
    "<!-- Speed: epyc-1-core --><!-- end -->": "line 1: <!-- Speed: epyc-1-core --> is not a *",
    "<!-- times epyc-1 --><!-- end -->": "line 1: <!-- times epyc-1 --> is not a valid mark; *",
    "<!-- speed: ../epyc-1-core --><!-- end -->": "line 1: * is not a valid mark; *",
    "text\n<!-- speed: epyc-1-core": "line 2: a comment begins with <!-- but does not end with -->",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_an_invalid_mark_is_reported_with_its_line(text):
    with pytest.raises(PassageError) as refused:
        rewrite(text)
    pytest.LineMatcher([str(refused.value)]).fnmatch_lines([WRONG[text].replace("[", "[[]")])


@pytest.mark.parametrize(
    "text", ["<!-- a remark -->", "<!-- steps to be taken next -->", "<!-- chaos -->x<!-- end -->", "a"]
)
def test_other_comments_are_kept(text):
    assert rewrite(text) == text


def test_line_endings_are_kept():
    text = rewrite("a\r\n<!-- times: epyc-1-core -->\r\nold\r\n<!-- end -->\r\nb\r\n")
    assert text.count("\n") == text.count("\r\n") > 5


# Publishing: nothing is moved into place before everything is read and rendered ----------------------


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with published runs and the documents that quote them, next to a run to publish."""
    root = tmp_path / "checkout"
    shutil.copytree(PUBLISHED, root / "reports" / "published")
    (root / "docs").mkdir()
    for document in DOCUMENTS:
        shutil.copy(document, root / document.relative_to(ROOT))
    shutil.copytree(BENCH, root / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("harness.commands.arguments.BENCH", root / "bench")
    for module in (publish, passages):
        monkeypatch.setattr(module, "ROOT", root)
    shutil.copytree(PUBLISHED / QUOTED, tmp_path / "run")
    git = ("git", "-c", "user.name=n", "-c", "user.email=e")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "all")):
        subprocess.run([*git, *command], cwd=root, check=True, env=environment())
    return root


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def left_over(folder):
    """Returns the temporary files and folders."""
    return [path for path in folder.rglob(".*-*") if not {".git", MARK} & {*path.parts}]


def refused(checkout, capsys, name=QUOTED):
    """Returns the one-line reason why the run is refused; checks that nothing has changed."""
    before = files(checkout)
    assert main(["publish", str(checkout.parent / "run"), name]) == 2
    assert files(checkout) == before
    assert left_over(checkout) == []
    (line,) = capsys.readouterr().err.splitlines()
    return line


def change(run, **fields):
    summary = sealed.read_content(run / "summary.json")
    sealed.write_content(run / "summary.json", {**summary, **fields})


def test_a_run_is_published_and_quoted(checkout, capsys):
    run = checkout.parent / "run"
    change(run, command="pytest of another day")
    assert main(["publish", str(run), QUOTED]) == 0
    assert "`pytest of another day`" in (checkout / "README.md").read_text()
    assert files(checkout / "reports" / "published" / QUOTED) == files(run)
    assert left_over(checkout) == []
    assert main(["publish", str(run), "new"]) == 0
    assert main(["publish", str(run), "new"]) == 2, "it is not committed"


@pytest.mark.parametrize(
    ("quoted", "name"),
    [("epyc-2-cores", "speed.json"), ("epyc-2-cores", "phases.json"), ("epyc-1-core", "times.json")],
)
def test_a_run_without_a_file_that_a_passage_quotes_is_refused(checkout, quoted, name, capsys):
    shutil.rmtree(run := checkout.parent / "run")
    shutil.copytree(PUBLISHED / quoted, run)
    (run / name).unlink()
    line = refused(checkout, capsys, quoted)
    assert re.match(rf"\S+, line \d+: the passage '\w+: {quoted}' needs {name}, which the run", line)


def test_a_run_without_a_row_that_a_passage_quotes_is_refused(checkout, capsys):
    run = checkout.parent / "run"
    cases = sealed.read_content(run / "summary.json")["cases"]
    lacking = cases.pop(8)
    change(run, cases=cases)
    assert (
        f"the passage 'findings test_2_constant_init: {QUOTED}' needs the row {lacking['id']}, which"
        in refused(checkout, capsys)
    )


def test_a_run_without_a_claim_that_a_passage_quotes_is_refused(checkout, capsys):
    run = checkout.parent / "run"
    claims = sealed.read_content(run / "summary.json")["claims"]
    change(run, claims=claims[1:])
    assert f"'findings test_1_minibatch_size: {QUOTED}' needs the claim {claims[0]['id']}" in refused(
        checkout, capsys
    )


def test_a_run_without_an_exercise_that_a_passage_quotes_is_refused(checkout, capsys):
    run = checkout.parent / "run"
    summary = sealed.read_content(run / "summary.json")
    gone = summary["exercises"][1]
    cases = [case for case in summary["cases"] if case["id"] not in gone["cases"]]
    claims = [claim for claim in summary["claims"] if claim["id"] not in gone["claims"]]
    exercises = [each for each in summary["exercises"] if each is not gone]
    change(run, cases=cases, claims=claims, exercises=exercises)
    for path in (run / "runs").glob("*.json"):
        if sealed.read_content(path)["id"].startswith(gone["module"]):
            path.unlink()
    assert "docs/findings.md, line " in (line := refused(checkout, capsys))
    assert f"the passage 'findings test_2_constant_init: {QUOTED}' needs the exercise of " in line


def test_a_document_that_lacks_an_end_mark_is_refused(checkout, capsys):
    document = checkout / "docs" / "findings.md"
    document.write_text(document.read_text().replace("<!-- end -->", "", 1))
    assert refused(checkout, capsys).startswith("docs/findings.md, line ")


def test_a_document_that_is_not_utf8_is_refused(checkout, capsys):
    (checkout / "docs" / "timing.md").write_bytes(b"\xff")
    assert refused(checkout, capsys).startswith("docs/timing.md cannot be read: 'utf-8' codec")


@pytest.mark.parametrize("kind", ["modified", "untracked", "staged", "deleted", "no repository"])
def test_an_uncommitted_published_run_is_not_replaced(checkout, kind, capsys):
    folder = checkout / "reports" / "published" / QUOTED
    if kind == "modified":
        (folder / "summary.md").write_text("edited")
    elif kind == "untracked":
        (folder / "figures" / "mine.svg").write_text("<svg/>")
    elif kind == "staged":
        (folder / "summary.md").write_text("edited")
        subprocess.run(["git", "add", "."], cwd=folder, check=True, env=environment())
    elif kind == "deleted":
        (folder / "summary.md").unlink()
    else:
        shutil.rmtree(checkout / ".git")
    assert f"{QUOTED} is not replaced" in refused(checkout, capsys)


@pytest.mark.parametrize("failing", range(5))
def test_a_failed_move_undoes_the_others(checkout, failing, capsys, monkeypatch):
    """The folder and the documents are moved one after the other; any move may fail."""
    change(checkout.parent / "run", command="pytest of another day")
    count = iter(range(100))
    real_rename, real_replace = Path.rename, Path.replace

    def move(real):
        def moved(path, target):
            if next(count) == failing:
                raise OSError(28, "No space left on device")
            return real(path, target)

        return moved

    monkeypatch.setattr(Path, "rename", move(real_rename))
    monkeypatch.setattr(Path, "replace", move(real_replace))
    if failing < 4:  # the folder takes two moves, and two documents change
        assert "No space left" in refused(checkout, capsys)
    else:
        assert main(["publish", str(checkout.parent / "run"), QUOTED]) == 0
        assert next(count) == 4


def test_the_run_is_kept_if_documents_cannot_be_written(checkout, capsys, monkeypatch):
    change(checkout.parent / "run", command="pytest of another day")

    def stage(place, text):
        raise OSError(30, "Read-only file system", str(place))

    monkeypatch.setattr(publish, "stage", stage)
    assert "Read-only file system" in refused(checkout, capsys)


@pytest.mark.parametrize("what", ["link", "pipe", "other"])
def test_a_folder_with_a_foreign_file_is_not_published(checkout, what, capsys):
    path = checkout.parent / "run" / "figures" / "a.svg"
    if what == "link":
        path.symlink_to("/etc/passwd")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.with_suffix(".txt").write_text("mine")
    assert "is not a file of this suite; move it away" in refused(checkout, capsys)


def test_only_one_publish_runs_at_a_time(checkout, capsys):
    with publish._alone(checkout / "reports" / "published"):
        assert "another `publish` is writing to" in refused(checkout, capsys)


def test_the_table_of_faults_is_not_written_without_an_end_mark(tmp_path, monkeypatch):
    document = tmp_path / "failures.md"
    monkeypatch.setattr(table, "DOCUMENT", document)
    text = "<!-- chaos -->\n\nstale figures\n\n<!-- end -->\n\nprose\n"
    document.write_text(text)
    assert table.document().endswith("<!-- end -->\n\nprose\n")
    assert "stale figures" not in table.document()
    for wrong in (text.replace("<!-- end -->", ""), "prose", text * 2):
        document.write_text(wrong)
        with pytest.raises(ValueError, match=re.escape(str(document))):
            table.write_document()
        assert document.read_text() == wrong
