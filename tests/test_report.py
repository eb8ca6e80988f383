"""The report of a run's files: its figures, what it leaves out, and comparisons of two runs."""

import base64
import gzip
import re
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import altair
import pytest
from altair.utils import schemapi

from harness import __main__ as command
from harness.exercise import Exercise, Results
from harness.files import sealed
from harness.files.record import read_record
from harness.paths import ROOT
from harness.plugin import session, shutdown
from harness.report import load as loading
from harness.report import own_figures
from harness.report.build import build
from harness.report.changes import compare_runs
from harness.report.figures import Figure, figures_of, speed_figures
from harness.report.load import ReportError, load_run
from harness.report.page import render_page
from harness.report.series import lines_of
from harness.results.records import to_case
from tests import reports

SCHEMA = altair.TopLevelConcatSpec._schema
ROOT_SCHEMA = altair.TopLevelConcatSpec._rootschema
ADAM = "bench/test_1_x.py::test_training[adam-lr0.001]"
FIRST = "runs/test_1_x.adam-lr0.001.*"


@pytest.fixture
def folder(tmp_path):
    reports.write(tmp_path / "run")
    return tmp_path / "run"


def changed(folder, name, change):
    """Applies `change` to the content of one of the folder's JSON files, and updates its checksum."""
    (path,) = folder.glob(name)
    content = sealed.read_content(path)
    change(content)
    sealed.write_content(path, content)


class Elements(HTMLParser):
    """The names of the elements of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.names, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, name, _):
        self.names.append(name)

    def handle_data(self, text):
        self.text += text


def figures_in(page):
    """Returns as JSON what the page's script draws."""
    packed = re.search('id="figures">([^<]*)<', page)[1]
    return gzip.decompress(base64.b64decode(packed)).decode()


def page_of(folder):
    run = load_run(folder)
    figures = {each.module: figures_of(run, each) for each in run.summary.exercises}
    return render_page(run, figures, [], [], {}, "")


def figures_of_all(run):
    return [figure for each in run.summary.exercises for figure in figures_of(run, each)]


def test_a_report_replaces_an_earlier_one(folder):
    (folder / "report.html").write_text("old")
    (folder / "figures").mkdir()
    (folder / "figures" / "old.svg").touch()
    page, left_out = build([folder])
    assert left_out == []
    assert page == folder / "report.html"
    drawn = {path.stem: path.read_text() for path in (folder / "figures").iterdir()}
    assert drawn.keys() == reports.FIGURES
    for svg in drawn.values():
        assert svg.startswith("<svg")
        assert not re.search(r' d="[^"]*NaN', svg)
    assert ": Error by epoch" in drawn["1-x-error"]
    assert "95 % intervals over 2 seeds" in drawn["1-x-error"]
    assert 5e5 < len(page.read_bytes()) < 2e6
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures", "figures.json", "report.html", "runs", "speed.json", "summary.json",
    ]  # fmt: skip


def test_every_chart_is_valid_vega_lite(folder):
    """According to Vega-Lite's schema; validation would take too long in a report."""
    run = load_run(folder)
    figures = [*figures_of_all(run), *speed_figures(run)]
    assert {figure.name for figure in figures} == reports.FIGURES
    for figure in figures:
        for spec in figure.variants.values():
            assert schemapi.validate_jsonschema(spec, SCHEMA, ROOT_SCHEMA, raise_error=False) is None
    (layer, *_) = spec["concat"][0]["layer"]
    layer["mark"] = "lines"
    assert schemapi.validate_jsonschema(spec, SCHEMA, ROOT_SCHEMA, raise_error=False)


def test_several_seeds_have_bands_and_published_values_have_crosses(tmp_path):
    for seeds in (1, 3):
        reports.write(tmp_path / str(seeds), seeds=seeds)
        error, *_ = figures_of_all(load_run(tmp_path / str(seeds)))
        last = next(row for row in error.data["curves-1-x"] if row["epoch"] == reports.EPOCHS)
        assert last["test_error"] == pytest.approx(3 - (seeds - 1) / 20)
        assert ("test_error_low" in last) == ("intervals" in error.notes) == (seeds > 1)
    # Student's t for three seeds with values 0.1 points apart.
    assert last["test_error_high"] - last["test_error"] == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3)
    cross = error.data["curves-1-x-published"][0]
    assert (cross["test_error"], cross["seconds"], cross["row"]) == (10, 500, "adam-lr0.001")


def test_lines_differ_in_black_and_white_and_rates_share_a_colour(folder):
    run = load_run(folder)
    lines = lines_of(run, run.summary.exercises[0])
    assert [line.label for line in lines][::3] == ["Adam, rate 0.001", "SGD, rate 0.001"]
    assert len({(line.dash, line.shape) for line in lines}) == len(lines)
    assert lines[0].colour == lines[3].colour != lines[1].colour


def test_rates_near_the_best_form_contiguous_spans(folder):
    rates = next(
        each for each in figures_of_all(load_run(folder)) if each.name.endswith("learning-rate")
    )
    within = {row["within"]: row["decades"] for row in rates.data["setting-1-x-learning-rate-0-spans"]}
    assert within == {"5 points": 2, "1 point": 0}


def test_a_diverged_row_is_drawn_as_far_as_its_values_are_finite(folder):
    def diverge(record):
        record["train_loss"][2:] = [["NaN", "Infinity"]] * 3
        record["test_accuracy"][1:] = [[0.1, 0.1]] * 4
        record["outcomes"] = ["diverged"] * 2

    changed(folder, FIRST, diverge)
    case = to_case(read_record(next(folder.glob(FIRST))), resumed=False)
    changed(folder, "summary.json", lambda summary: summary["cases"][0].update(case.model_dump()))
    page, left_out = build([folder])
    assert left_out == []
    assert "NaN" not in figures_in(page.read_text())
    assert "diverged" in Elements(page.read_text()).text


def test_the_same_data_give_the_same_bytes(folder):
    figures = folder / "figures"
    build([folder])
    before = {path.name: path.read_bytes() for path in figures.glob("*.svg")}
    build([folder])
    assert {path.name: path.read_bytes() for path in figures.glob("*.svg")} == before


@pytest.mark.parametrize(
    ("full", "shown"),
    [
        (None, "test accuracy, after 4 epochs paper difference (points)"),
        (4, "test accuracy, after 4 epochs paper, after 4 epochs difference (points)"),
        (100, "test accuracy, after 4 epochs paper, after 100 epochs difference (points)"),
    ],
)
def test_the_page_has_the_epochs_of_published_figures(folder, full, shown):
    changed(folder, "summary.json", lambda s: s["exercises"][0].update(full_epochs=full))
    text = render_page(
        load_run(folder), {"bench/test_1_x.py": [], "bench/test_3_x.py": []}, [], [], {}, ""
    )
    assert shown in " ".join(Elements(text).text.split())


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-01-02T03:04:05+00:00", "2026-01-02 03:04 UTC"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02 01:04 UTC"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_the_page_has_the_time_in_utc(folder, created, shown):
    changed(folder, "summary.json", lambda summary: summary.update(created=created))
    text = render_page(
        load_run(folder), {"bench/test_1_x.py": [], "bench/test_3_x.py": []}, [], [], {}, ""
    )
    assert Elements(text).text.count(shown) == 2


def test_markup_from_files_is_escaped(folder):
    page = page_of(folder)
    elements = Elements(page)
    assert elements.names.count("script") == 3  # the figures, Vega and the page's own
    assert "b" in elements.names  # the counts
    assert "onclick=x" in elements.text
    assert "<b onclick" not in page
    assert "<script>window.owned" not in page


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.update(schema=1), "has schema 1; this version reads schema 3"),
        (lambda s: s.update(schema="\n<b>"), "has schema"),
        (lambda s: s.pop("scale"), "scale: Field required"),
        (lambda s: s.update(machine={}), "machine.device: Field required"),
        (
            lambda s: s["exercises"][1].update(module="bench/test_1_x.py"),
            "exercises: a module occurs twice",
        ),
    ],
    ids=["schema", "markup", "scale", "machine", "exercises"],
)
def test_an_invalid_summary_is_an_error_of_one_line(folder, change, reason, capsys):
    changed(folder, "summary.json", change)
    assert command.main(["report", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(str(folder / "summary.json"))
    assert reason in error
    assert error.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_a_folder_without_a_summary_or_that_cannot_be_written_is_an_error(tmp_path, folder):
    with pytest.raises(ReportError, match=r"nothing is not the report of a finished run"):
        load_run(tmp_path / "nothing")
    (folder / "report.html").mkdir()
    with pytest.raises(ReportError, match="cannot be written"):
        build([folder])


def optimizer(summary):
    return summary["cases"][0]["experiment"]["optimizer"]


def unknown_case(folder):
    changed(folder, "summary.json", lambda s: optimizer(s).update({"class": "Lion"}))


def better_case(folder):
    changed(folder, "summary.json", lambda s: s["cases"][0].update(test_accuracy=[0.99, 0.99]))


def newer_case(folder):
    changed(folder, "summary.json", lambda s: s["cases"][0]["experiment"].update(momentum=0.9))


def unlisted_case(folder):
    changed(folder, "summary.json", lambda s: s["exercises"][0]["cases"].pop(0))


def another_seed(folder):
    changed(folder, "summary.json", lambda s: s["cases"][0]["seeds"].append(9))


def unknown_verdict(folder):
    changed(folder, "summary.json", lambda s: s["claims"][0].update(verdict="perhaps"))


def broken_record(folder):
    next(folder.glob(FIRST)).write_text("{")


def ragged_record(folder):
    changed(folder, FIRST, lambda record: record["test_accuracy"].pop())


def another_record(folder):
    changed(folder, FIRST, lambda record: record["experiment"].update(batch_size=64))


def edited_record(folder):
    path = next(folder.glob(FIRST))
    path.write_text(path.read_text().replace("0.1,", "0.2,"))


def broken_speed(folder):
    changed(folder, "speed.json", lambda speed: speed["rows"][0].update(us_per_step=0))


def broken_figures(folder):
    changed(folder, "figures.json", lambda content: content["figures"][0].update(variants={}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (unknown_case, "adam-lr0.001]: experiment: no optimizer is called 'Lion'"),
        (newer_case, "no setting is called 'momentum'"),
        (unlisted_case, "adam-lr0.001]: no exercise lists it"),
        (another_seed, "adam-lr0.001]: test_accuracy does not have shape (3,)"),
        (unknown_verdict, "test_so: verdict: Input should be"),
        (broken_record, "cannot be read: Expecting property name"),
        (edited_record, "its checksum does not match its content"),
        (better_case, "its test_accuracy differs from the summary's"),
        (ragged_record, "test_accuracy does not have shape (5, 2)"),
        (another_record, "its content belongs in test_1_x.adam-lr0.001."),
        (broken_speed, "speed.json cannot be read: rows.0."),
        (broken_figures, "figures.json cannot be read: figures.0.variants: "),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_damaged_parts_are_left_out_and_reported(folder, damage, reason):
    damage(folder)
    run = load_run(folder)
    assert any(reason in line for line in run.left_out)
    assert reason in Elements(page_of(folder)).text
    assert len(run.cases) >= 7


def test_a_summary_without_a_later_field_has_its_curves(folder):
    changed(folder, "summary.json", lambda s: [case.pop("slowest_epoch") for case in s["cases"]])
    run = load_run(folder)
    assert run.left_out == []
    assert run.curves.keys() == run.cases.keys()
    changed(folder, "summary.json", lambda s: s["cases"][0].update(slowest_epoch=9))
    assert "its slowest_epoch differs from the summary's" in load_run(folder).left_out[0]


def test_records_beyond_a_total_size_are_left_out(folder, monkeypatch):
    monkeypatch.setattr(loading, "_MAX_BYTES", (folder / "summary.json").stat().st_size + 10000)
    run = load_run(folder)
    assert 0 < len(run.curves) < len(run.cases)
    assert any("the report would have more than" in line for line in run.left_out)
    monkeypatch.setattr(loading, "_MAX_BYTES", 1000)
    with pytest.raises(ReportError, match="more than"):
        load_run(folder)


def test_curves_of_long_trainings_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "EPOCHS", 1000)
    reports.write(tmp_path / "run", seeds=1)
    error, *_ = figures_of_all(load_run(tmp_path / "run"))
    epochs = [row["epoch"] for row in error.data["curves-1-x"] if row["line"] == "Adam, rate 0.001"]
    assert len(epochs) == 61
    assert (epochs[:20], epochs[-1]) == ([*range(20)], 1000)


def test_two_runs_are_compared(tmp_path):
    reports.write(tmp_path / "a", seeds=3, better=-0.02, slower=1.5)
    reports.write(tmp_path / "b", seeds=3)
    found = compare_runs(load_run(tmp_path / "a"), load_run(tmp_path / "b"))
    worst = found.differences[0]
    assert worst.name == "adam-lr0.001"
    assert worst.points == pytest.approx(-2)
    # Welch's interval of two triples, each with values 0.1 points apart.
    assert worst.interval == pytest.approx((-2 - 0.2267, -2 + 0.2267), abs=1e-3)
    assert (worst.learns, worst.ratio, worst.slower) == ("worse", 1.5, True)
    assert {each.learns for each in found.differences[1:]} == {"same"}
    assert {each.ratio for each in found.differences[1:]} == {1}
    (best,) = (
        each
        for each in compare_runs(load_run(tmp_path / "b"), load_run(tmp_path / "a")).differences
        if each.learns == "better"
    )
    assert best.ratio == pytest.approx(1 / 1.5)
    page, _ = build([tmp_path / "a", tmp_path / "b"])
    assert page.parent == tmp_path / "a"
    text = " ".join(Elements(page.read_text()).text.split())
    assert "−2.00 worse" in text
    assert "1.50 slower" in text
    assert not (tmp_path / "b" / "report.html").exists()


def test_slower_rows_come_before_unchanged_ones(tmp_path):
    reports.write(tmp_path / "a", seeds=1, slower=2)
    reports.write(tmp_path / "b", seeds=1)
    first, second, *_ = compare_runs(load_run(tmp_path / "a"), load_run(tmp_path / "b")).differences
    assert (first.name, first.ratio, first.interval, first.learns) == ("adam-lr0.001", 2, None, "same")
    assert not second.slower


def test_rows_of_other_experiments_are_not_compared(tmp_path):
    reports.write(tmp_path / "a")
    reports.write(tmp_path / "b")
    changed(tmp_path / "b", "summary.json", lambda s: s["cases"][0]["experiment"].update(epochs=9))
    changed(tmp_path / "b", "summary.json", lambda s: s["cases"].pop(1))
    found = compare_runs(load_run(tmp_path / "a"), load_run(tmp_path / "b"))
    assert len(found.differences) == 6
    assert found.left_out == [
        "adam-lr0.001: epochs 4 here, 9 there",
        f"adam-lr0.01: not in {tmp_path / 'b'}",
    ]


def spoil(monkeypatch, folder, code):
    """Makes processes that start from now on run `code` when they import altair."""
    folder.mkdir()
    (folder / "altair.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


MISSING = "raise ImportError(name='altair')"


def test_a_run_draws_its_page_and_passes_without_altair(suite, monkeypatch):
    """The output ends with the page's path, or the reason why there is none."""
    monkeypatch.setenv("REAL_REPORT", "yes")
    result = suite.run("-k", "lr0.5")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"Page: reports/{suite.report.resolve().name}/report.html"])
    assert (suite.report / "figures" / "1-fake-error.svg").exists()
    spoil(monkeypatch, suite.path / "spoilt", MISSING)
    result = suite.run("-k", "lr0.5")
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "sgd-lr0.5 *",
            f"Written to reports/{suite.report.resolve().name}/.",
            "No page or figures: altair is not installed; `make report` installs it.",
        ]
    )
    assert len(suite.cases()) == 2
    assert not (suite.report / "report.html").exists()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (MISSING, "altair is not installed; `make report` installs it"),
        ("raise MemoryError", "MemoryError"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import os, time; os.kill(os.getppid(), 15); time.sleep(60)", "interrupted"),
    ],
    ids=["missing", "memory", "killed", "error", "SIGTERM"],
)
def test_a_failure_to_draw_is_reported_in_one_line(folder, tmp_path, monkeypatch, code, reason):
    spoil(monkeypatch, tmp_path / "spoilt", code)
    before = signal.signal(signal.SIGTERM, shutdown.Stopping())
    try:
        line = session.draw_report(folder)
    finally:
        signal.signal(signal.SIGTERM, before)
    python = Path(sys.executable)
    python = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    later = f" To draw them later: {python} -m harness report {folder}"
    assert line == f"No page or figures: {reason}." + later * (code != MISSING)


def test_an_invalid_report_gets_no_command_to_draw_it(folder):
    (folder / "summary.json").write_text("{}")
    assert "later" not in session.draw_report(folder)


def test_the_command_that_draws_works_from_any_folder(folder, tmp_path, monkeypatch):
    """It also works for a folder with a space, and with PYTHONSAFEPATH."""
    given = tmp_path / "my report"
    shutil.copytree(folder, given)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert session.draw_report(given).startswith("Page: ")
    command = session._draw_command(given)
    assert command == f"cd {ROOT} && {sys.executable} -m harness report '{given}'"


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A function that makes Python processes started from now on run some lines of shell first."""

    def begin(lines):
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\n{lines}\nexec {sys.executable} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return begin


@pytest.mark.parametrize("kib", [350_000, 800_000], ids=["to import", "to draw"])
def test_too_little_memory_is_reported_in_one_line(folder, python, kib):
    python(f"ulimit -v {kib}")
    line = session.draw_report(folder)
    assert line.startswith("No page or figures: ")
    assert "\n" not in line
    assert not (folder / "report.html").exists()


def test_without_docstrings_it_is_drawn_or_a_line_gives_the_reason(folder, monkeypatch):
    """Altair reads its own docstrings."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    line = session.draw_report(folder)
    assert line == f"Page: {folder / 'report.html'}" or "Found no doc for" in line
    assert "\n" not in line


def test_drawing_does_not_import_pytorch():
    """Importing PyTorch takes two seconds and a gigabyte of address space."""
    code = "import sys, harness.__main__, harness.report.build; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# Figures that an exercise draws itself --------------------------------------------------------------


def nonsense(results):
    return "a figure"


def broken(results):
    raise LookupError("it has\nno rows")


def nothing(results):
    return None


def fetching(results):
    spec = {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point", "width": 100}
    spec = {"$schema": altair.SCHEMA_URL, "concat": [spec], "columns": 1}
    return Figure(title="It fetches", notes="", variants={"all": spec}, data={})


def test_a_function_that_fails_loses_only_its_own_figure():
    drawing = {"broken": broken, "nonsense": nonsense, "nothing": nothing, "fetching": fetching}
    exercise = Exercise(title="x", rows=(), figures=drawing)
    content, errors = own_figures.drawn({"bench/test_1_x.py": (exercise, Results("1-x", {}, {}))})
    assert [figure["name"] for figure in content["figures"]] == ["1-x-fetching"]
    assert errors == [
        "bench/test_1_x.py: figures['broken'] cannot be drawn: LookupError: it has no rows",
        "bench/test_1_x.py: figures['nonsense'] cannot be drawn: ValueError: it returns 'a figure'; "
        "expected a Figure or None",
    ]


def test_a_figure_with_an_address_is_not_fetched_but_left_out(folder):
    exercise = Exercise(title="x", rows=(), figures={"fetching": fetching})
    content, _ = own_figures.drawn({"bench/test_1_x.py": (exercise, Results("1-x", {}, {}))})
    sealed.write_content(folder / "figures.json", content)
    page, left_out = build([folder])
    (line,) = left_out
    assert line.startswith("the figure 1-x-fetching cannot be drawn: ")
    assert "not allowed" in line
    assert "It fetches" not in page.read_text()
    assert not (folder / "figures" / "1-x-fetching.svg").exists()
