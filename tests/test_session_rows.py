"""Why a saved run's row is not in a session, and whether a session is of the whole suite."""

from types import SimpleNamespace

import pytest

from harness.timing import benchmark_tables, session_rows
from harness.timing.session_rows import Absence, SessionRows

A, B = "bench/test_1.py::test_training[a]", "bench/test_1.py::test_training[b]"


def config(tmp_path, *args, resume=False, shard=None, lf=False, **changed):
    options = {"markexpr": "", "keyword": "", "ignore": [], "ignore_glob": [], "deselect": []}
    option = SimpleNamespace(**{**options, "resume": resume, "shard": shard, **changed})
    return SimpleNamespace(
        rootpath=tmp_path,
        invocation_params=SimpleNamespace(dir=tmp_path),
        args=[*args] or ["bench"],
        option=option,
        getoption=lambda name, default: lf or default,
        getini=lambda name: ["bench"],
    )


@pytest.mark.parametrize(
    ("outcome", "resume", "expected"),
    [
        (None, False, Absence(False, "the session ended first")),
        (None, True, Absence(False, "the session ended first")),
        ("passed", True, Absence(False, "resumed")),
        ("passed", False, Absence(True, "its test passed without a training")),
        ("skipped", False, Absence(True, "its test was skipped")),
        ("skipped", True, Absence(True, "its test was skipped")),
        ("failed", True, Absence(True, "its test failed")),
    ],
)
def test_a_row_that_was_kept_should_have_been_timed(tmp_path, outcome, resume, expected):
    rows = SessionRows({A}, {A}, {} if outcome is None else {A: outcome})
    assert rows.absence(config(tmp_path, resume=resume), A) == expected


def test_a_row_that_was_not_kept_was_deselected_or_is_elsewhere(tmp_path):
    rows = SessionRows({A, B}, {B})
    assert rows.absence(config(tmp_path), A) == Absence(False, "deselected")
    assert rows.absence(config(tmp_path, shard="1/2"), A) == Absence(False, "not in this shard")


@pytest.mark.parametrize(
    ("args", "options", "selected"),
    [
        ((), {}, True),
        (("bench/test_1.py",), {}, True),
        (("bench/test_2.py",), {}, False),
        (("bench/test_1.py", "bench/test_2.py"), {}, True),
        (("bench/test_1.py::test_training",), {}, True),
        (("bench/test_1.py::test_train",), {}, False),
        (("bench/test_1.py::test_training[a]",), {}, True),
        (("bench/test_1.py::test_training[b]",), {}, False),
        ((), {"lf": True}, False),
        ((), {"markexpr": "slow"}, False),
        ((), {"ignore": ["bench/test_1.py"]}, False),
        ((), {"ignore": ["bench"]}, False),
        ((), {"ignore": ["bench/test_2.py"]}, True),
        ((), {"ignore_glob": ["bench/*_1.py"]}, False),
        ((), {"ignore_glob": ["bench/*_2.py"]}, True),
        ((), {"deselect": ["bench/test_1.py::test_training[a"]}, False),
        ((), {"deselect": ["bench/test_1.py::test_training[b"]}, True),
        ((), {"keyword": "Training and test_1"}, True),
        ((), {"keyword": "not test_1"}, False),
        ((), {"keyword": "b]"}, False),  # invalid
        ((), {"keyword": "  "}, True),
    ],
)
def test_a_row_that_is_gone_is_missing_if_the_session_would_have_selected_it(
    tmp_path, monkeypatch, args, options, selected
):
    monkeypatch.chdir(tmp_path)
    found = SessionRows({B}, {B}).absence(config(tmp_path, *args, **options), A)
    reason = "no such test was collected" if selected else "not selected"
    assert found == Absence(selected, reason)


@pytest.mark.parametrize(
    ("args", "options", "timed", "whole"),
    [
        ((), {}, {A}, True),
        ((), {}, {A, B}, True),
        ((), {}, set(), False),
        ((), {}, {B}, False),
        ((), {"lf": True}, {A}, False),
        ((), {"ignore": ["bench/test_9.py"]}, {A}, False),
        ((), {"ignore": ["elsewhere"]}, {A}, True),
        ((), {"ignore_glob": ["*.txt"]}, {A}, False),
        (("bench/test_1.py",), {}, {A}, False),
        (("bench::test_training",), {}, {A}, False),
        ((".",), {}, {A}, True),
        (("bench/test_1.py", "bench"), {}, {A}, True),
    ],
)
def test_a_session_is_whole_if_every_row_was_timed_or_skipped(tmp_path, args, options, timed, whole):
    """The first row was timed or not; the second was skipped."""
    rows = SessionRows({A, B}, {A, B}, {A: "passed", B: "skipped"})
    assert rows.is_whole(config(tmp_path, *args, **options), timed) is whole


def test_a_session_without_rows_or_with_rows_left_out_is_not_whole(tmp_path):
    assert not SessionRows().is_whole(config(tmp_path), set())
    assert not SessionRows({A, B}, {A}).is_whole(config(tmp_path), {A, B})
    assert SessionRows({A}, {A, B}).is_whole(config(tmp_path), {A})


@pytest.mark.parametrize(
    ("outcomes", "worst"),
    [
        (["passed", "passed", "passed"], "passed"),
        (["passed", "skipped", "passed"], "skipped"),
        (["skipped", "failed", "passed"], "failed"),
        (["passed", "passed", "failed"], "failed"),
    ],
)
def test_the_outcome_of_a_test_is_the_worst_of_its_phases(outcomes, worst):
    rows = SessionRows()
    plugin = session_rows._Outcomes(rows)
    for outcome in outcomes:
        plugin.pytest_runtest_logreport(SimpleNamespace(nodeid=A, outcome=outcome))
    assert rows.outcomes == {A: worst}


@pytest.mark.parametrize(
    ("args", "addopts", "environment", "verbose", "asked"),
    [
        (["bench"], [], "", 0, False),
        (["bench"], [], "", 1, True),
        (["bench"], [], "", -1, False),
        (["--benchmark-sort=min"], [], "", 0, True),
        (["--benchmark-autosave"], [], "", 0, False),
        ([], ["--benchmark-columns=min"], "", 0, True),
        ([], [], "--benchmark-compare", 0, True),
    ],
)
def test_pytest_benchmarks_tables_are_shown_if_they_are_asked_for(
    monkeypatch, args, addopts, environment, verbose, asked
):
    monkeypatch.setenv("PYTEST_ADDOPTS", environment)
    session = SimpleNamespace(quiet=False)
    benchmark_tables.pytest_terminal_summary(
        SimpleNamespace(
            _benchmarksession=session,
            invocation_params=SimpleNamespace(args=args),
            getini=lambda name: addopts,
            option=SimpleNamespace(verbose=verbose),
        )
    )
    assert session.quiet is not asked
