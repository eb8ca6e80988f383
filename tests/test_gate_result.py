"""What the gates report together: when a run holds, what is listed, and in which words."""

import json
from types import SimpleNamespace

import pytest

from harness.gates import plugin
from harness.gates.gate_result import ACCEPT, Finding, GateResult
from harness.gates.missing import report_missing
from harness.gates.versions import report_versions
from harness.timing.session_rows import Absence


def result(failed=(), undecided=(), *, strict=False, passed=(), notes=()):
    return GateResult([*failed], [*undecided], [*passed], [*notes], strict=strict)


def finding(case="a", text="it is slow", verdict="slower", takes=""):
    return Finding("--gate", case, verdict, text, takes=takes)


@pytest.mark.parametrize(
    ("failed", "undecided", "strict", "holds", "inconclusive", "title", "colour"),
    [
        (0, 0, False, True, False, "gate: passed", "green"),
        (0, 0, True, True, False, "gate: passed", "green"),
        (0, 1, False, True, True, "gate: inconclusive", "yellow"),
        (0, 1, True, False, False, "gate: failed (inconclusive)", "red"),
        (1, 0, False, False, False, "gate: failed", "red"),
        (1, 1, False, False, False, "gate: failed", "red"),
        (1, 1, True, False, False, "gate: failed", "red"),
    ],
)
def test_inconclusive_rows_fail_only_a_strict_gate(
    tmp_path, failed, undecided, strict, holds, inconclusive, title, colour
):
    found = result([finding()] * failed, [finding()] * undecided, strict=strict)
    assert (found.holds, found.inconclusive) == (holds, inconclusive)
    assert (found.title, found.colour) == (title, colour)
    assert found.markdown().startswith(f"## {title.replace('gate', 'Gate')}\n")
    found.write(tmp_path)
    written = json.loads((tmp_path / "gate.json").read_text())
    assert (written["holds"], written["inconclusive"]) == (holds, inconclusive)
    assert [len(written[name]) for name in ("failures", "underpowered")] == [failed, undecided]


@pytest.mark.parametrize(
    ("compared", "undecided", "fails"), [(0, 0, False), (2, 1, False), (2, 2, True), (1, 1, True)]
)
def test_a_gate_decides_a_row_or_fails(compared, undecided, fails):
    found = result()
    found.require_decided("--gate", compared, undecided, "a run")
    assert bool(found.failures) is fails
    if fails:
        rows = "1 row" if compared == 1 else "2 rows"
        text = f"no row could be decided: {rows} compared with a run, all inconclusive"
        assert found.failures == [Finding("--gate", None, "inconclusive", text)]


@pytest.mark.parametrize("count", [1, 4, 5, 6, 7])
def test_five_failures_explain_a_failed_test(count):
    found = result([finding(f"row {at}") for at in range(count)], notes=["a note"])
    shown = [f"row {at}: it is slow" for at in range(min(count, 5))]
    assert found.why_failed().splitlines() == shown + [f"and {count - 5} more"] * (count > 5)


UNDECIDED = [
    finding(None, "too noisy", takes="9 %"),
    finding("a", "too noisy", takes="12 %"),
    finding("b", "one seed"),
]


@pytest.mark.parametrize("strict", [False, True])
def test_lines_are_grouped_and_not_repeated(strict):
    found = result([finding(), finding(), finding("b")], UNDECIDED, strict=strict, notes=["n", "m", "n"])
    level = "red" if strict else "yellow"
    groups = ["too noisy: all rows together (9 %), a (12 %)", "one seed: b"]
    assert [*found.lines()] == [
        ("a: it is slow", "red"),
        ("b: it is slow", "red"),
        *((f"inconclusive: {group}", level) for group in groups),
        ("n", ""),
        ("m", ""),
        (ACCEPT, ""),
    ]
    assert [*found.annotations()] == [
        ("error", "slower", "a: it is slow"),
        ("error", "slower", "b: it is slow"),
        *(("error" if strict else "warning", "inconclusive", group) for group in groups),
    ]
    failed = sum(each in found.why_failed() for each in groups)
    assert failed == (2 if strict else 0)


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        ([], False),
        ([finding(None, "nothing", "not compared")], False),
        ([finding(None, "all are slow", "slower")], True),
        ([finding("a", "it is gone", "missing")], True),
    ],
)
def test_what_can_be_accepted_says_how(failed, told):
    lines = [line for line, _ in result(failed).lines()]
    assert (ACCEPT in lines) is told


def test_the_job_summary_has_a_table_of_failures_and_a_list_of_the_rest():
    found = result(
        [finding("a[x|y]"), finding(None, "two\nlines", "not compared"), finding("a[x|y]")],
        UNDECIDED[2:],
        notes=["of a|b"],
    )
    assert found.markdown().splitlines() == [
        "## Gate: failed",
        "",
        "| row | verdict | details |",
        "| --- | --- | --- |",
        "| a[x\\|y] | slower | it is slow |",
        "| all rows | not compared | two lines |",
        "",
        "- inconclusive: one seed: b",
        "- of a\\|b",
        f"- {ACCEPT}",
    ]
    assert result(notes=["n"]).markdown() == "## Gate: passed\n\n- n\n"


def test_selected_rows_are_missing_and_others_are_noted():
    why = {"a": Absence(True, "its test failed"), "b": Absence(False, "deselected")}
    why |= {"c": Absence(False, "deselected"), "d": Absence(False, "resumed"), "e": why["b"]}
    found = result()
    report_missing(found, "--gate", {**dict.fromkeys("abcd", "run 1"), "e": "run 2"}, why.__getitem__)
    text = "missing: in run 1 but not in this run, although it was selected: its test failed"
    assert found.failures == [Finding("--gate", "a", "missing", text)]
    assert found.notes == [
        "In run 1 but not timed in this run (deselected): b, c.",
        "In run 1 but not timed in this run (resumed): d.",
        "In run 2 but not timed in this run (deselected): e.",
    ]


def test_other_versions_of_the_software_are_reported():
    saved = [
        SimpleNamespace(versions={"torch": "2.2", "numba": "0.68", "numpy": "2.4"}),
        SimpleNamespace(versions={"torch": "2.1", "numba": "0.68"}),
        SimpleNamespace(versions={"torch": "2.3"}),
    ]
    found = result()
    report_versions(found, {"torch": "2.3", "numba": None, "numpy": "2.4", "python": "3.11"}, saved)
    assert found.versions == {
        "torch": {"now": "2.3", "saved": "2.1 and 2.2"},
        "numba": {"now": "none", "saved": "0.68"},
    }
    assert found.notes == [
        "The saved runs used PyTorch 2.1 and 2.2; this run uses 2.3.",
        "The saved runs used Numba 0.68; this run uses none.",
    ]


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        (None, True), ("1e-9", True), ("100", True), ("100.001", False), ("0", False), ("-1", False),
        ("nan", False), ("inf", False), ("x", False), ("", False),
    ],
)  # fmt: skip
def test_a_limit_is_above_0_and_up_to_the_most(given, valid):
    if valid:
        plugin._check_number("--gate", given, 100, "points")
        return
    with pytest.raises(pytest.UsageError) as refused:
        plugin._check_number("--gate", given, 100, "points")
    assert str(refused.value) == f"--gate is {given!r}; expected points, above 0 and up to 100"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, None),
        ({"collectonly": True}, "--collect-only"),
        ({"setuponly": True}, "--setup-only or --setup-plan"),
        ({"setupplan": True}, "--setup-only or --setup-plan"),
        ({"benchmark_disable": True}, "--benchmark-disable"),
        ({"benchmark_disable": True, "benchmark_enable": True}, None),
        ({"benchmark_enable": True}, None),
        ({"benchmark_skip": True}, "--benchmark-skip"),
        ({"benchmark_skip": True, "benchmark_only": True}, None),
        ({"benchmark_only": True}, None),
    ],
)
def test_a_session_that_trains_nothing_has_an_option_for_it(options, named):
    names = ("collectonly", "setuponly", "setupplan")
    names += tuple(f"benchmark_{each}" for each in ("disable", "enable", "skip", "only"))
    option = SimpleNamespace(**{**dict.fromkeys(names, False), **options})
    assert plugin._trains_nothing(SimpleNamespace(option=option)) == named
