"""The mutants that `make mutants` generates."""

import ast

import pytest

from tests.mutation import __main__ as mutation
from tests.mutation import results
from tests.mutation.__main__ import EQUIVALENT, main
from tests.mutation.choice import TESTS, chosen_tests, modules
from tests.mutation.mutants import mutants
from tests.mutation.order import Order, Trial
from tests.mutation.patch import changed_functions, functions_of, replaced
from tests.mutation.results import (
    Result,
    digest_of,
    keep_result,
    matches,
    read_results,
    summary,
)
from tests.mutation.traced import TracedTest
from tests.mutation.trial import ROOT, Copy


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("a < b", ["(a <= b)", "(a >= b)"]),
        ("a < b == c", ["(a <= b == c)", "(a >= b == c)", "(a < b != c)"]),
        ("a and b", ["(a or b)"]),
        ("not a", ["(a)"]),
        ("a + 2", ["(a - 2)", "a + 3", "a + (1)"]),
        ("a / 'b'", []),
        ("True", ["False"]),
        ("x = zip(a, 1, strict=True)", ["x = zip(a, 2, strict=True)", "x = zip(a, (0), strict=True)"]),
        ("a if b else c", ["(a if not b else c)"]),
        ("f(a, b=c, d=e)", ["pass", "f(a, d=e)", "f(a, b=c)"]),
        ("if a: b", ["if (not (a)): b"]),
        ("if a is b: c", ["if (a is not b): c"]),
        ("[a for a in b if c]", ["[a for a in b if (not (c))]"]),
        ("for a in b: break", ["for a in (): break", "for a in b: continue"]),
        ("def f() -> 'g': return 'a'", ["def f() -> 'g': return None"]),
        ("raise a", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a = b", []),
        ("a += b", ["pass"]),
        ("try: a\nexcept b: c", ["try: a\nexcept (): c"]),
        ("with a as b, c: d", ["with a as b, __import__('contextlib').nullcontext(): d"]),
        ("with a as b: c", []),
        ("if TYPE_CHECKING:\n    import a", []),
        ("a: 1 = b", []),
        ("@dataclass(frozen=True)\nclass A: pass", []),
        ("'é' + a", ["('é' - a)"]),
    ],
)
def test_each_change_is_made_once(source, changed):
    assert sorted(mutant.source for mutant in mutants(source)) == sorted(changed)


def test_a_change_over_several_lines_is_shown_in_one_line_without_comments():
    (mutant, *_) = mutants("x = (\n    a\n    and b  # c\n)\n")
    assert (mutant.lines, mutant.change) == ({1, 2, 3, 4}, "{a and b -> (a or b)}")
    assert mutant.source == "x = (\n    (a or b)  # c\n)\n"


def test_every_mutant_compiles_and_differs():
    source = (ROOT / "harness/hardware/lease.py").read_text()
    for mutant in mutants(source):
        ast.parse(mutant.source)
        assert mutant.source != source


def test_every_module_has_tests_that_exist():
    found = [*modules()]
    assert {path.partition("/")[0] for path in found} == {"bench", "examples", "harness", "model"}
    for module in found:
        assert all((ROOT / path).exists() for path in chosen_tests(module)), module
    assert all((ROOT / path).exists() for path in TESTS)


def test_the_tests_of_a_module_are_those_of_the_longest_path():
    assert chosen_tests("harness/report/figures/figure.py")[0] == "tests/test_known_figures.py"
    assert chosen_tests("harness/report/figure_names.py")[0] == "tests/test_known_tables.py"
    assert chosen_tests("harness/ownership.py") == [
        "tests/test_small_rules.py",
        "tests/test_ownership.py",
    ]


def test_modules_are_chosen_by_folder_or_name(capsys):
    assert [*modules(["harness/stats.py", "harness/compare/"])] == [
        "harness/compare/__init__.py",
        "harness/compare/github.py",
        "harness/compare/learning.py",
        "harness/compare/significance.py",
        "harness/stats.py",
    ]
    assert main(["harness/stats"]) == 2
    assert capsys.readouterr().err == (
        "harness/stats is not a module or a folder of modules; expected paths like bench or "
        "bench/__init__.py\n"
    )


@pytest.mark.parametrize("module", EQUIVALENT)
def test_the_equivalent_mutants_of_a_module_exist(module):
    listed = {change for changes in EQUIVALENT[module].values() for change in changes}
    found = [mutant.change for mutant in mutants((ROOT / module).read_text())]
    assert [each for each in listed if not any(matches(change, each) for change in found)] == []


def test_results_are_kept_by_module(tmp_path):
    path = tmp_path / "results.json"
    assert read_results(path) == {}
    keep_result("b.py", Result("1", 3, ["x"]), path)
    keep_result("a.py", Result("2", 4, []), path)
    keep_result("b.py", Result("3", 5, ["é"]), path)
    assert read_results(path) == {"a.py": Result("2", 4, []), "b.py": Result("3", 5, ["é"])}
    assert [*read_results(path)] == ["a.py", "b.py"]


def test_a_result_is_that_of_a_module_and_its_tests(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(name)
    before = digest_of("a.py", ["b.py"])
    (tmp_path / "c.py").write_text("other")
    assert digest_of("a.py", ["b.py"]) == before
    assert digest_of("a.py", ["b.py", "c.py"]) != before
    (tmp_path / "b.py").write_text("other")
    assert digest_of("a.py", ["b.py"]) != before


def test_a_listed_mutant_may_leave_text_out():
    assert matches("a[{0 -> 1}]", "a[{0 -> 1}]")
    assert matches("a.b = {0 -> 1}", "a…{0 -> 1}")
    assert matches("a = {Scale(0, 1) -> Scale(1)}", "a = {Scale(…}")
    assert not matches("a = {Scale(0, 1) -> Scale(1)}, b", "a = {Scale(…}")
    assert not matches("a[{0 -> 1}]", "a[{0 -> 2}]")


def test_the_summary_counts_neither_equivalent_mutants_nor_modules_without_a_result():
    found = {"a": Result("", 10, ["x", "y"]), "b": Result("", 5, []), "c": Result("", 7, ["z"])}
    assert summary(["a", "b", "d"], found, {"a": ["x"], "b": ["z"]}) == (
        "13 of 14 mutants of 2 modules were detected (92.9%), without equivalent ones"
    )
    assert summary([], found, {}).startswith("0 of 0 mutants of 0 modules were detected, ")


@pytest.mark.parametrize("fails", [True, False])
def test_a_module_whose_tests_cannot_run_costs_no_other_result(monkeypatch, capsys, fails):
    first, *others = [module for module in modules(["harness"]) if module not in EQUIVALENT][:3]

    def tried(module, copy, traced):
        if fails and module == first:
            raise RuntimeError(f"the tests of {module} ended early: no reason")
        return Result("", 4, [])

    kept = []
    monkeypatch.setattr(mutation, "Copy", lambda folder: None)
    monkeypatch.setattr(mutation, "_tried", tried)
    monkeypatch.setattr(mutation, "keep_result", lambda module, result: kept.append(module))
    assert main([first, *others]) == fails
    assert sorted(kept) == sorted(others if fails else [first, *others])
    out, err = capsys.readouterr()
    assert err == (f"the tests of {first} ended early: no reason\n" if fails else "")
    found = "8 of 8 mutants of 2" if fails else "12 of 12 mutants of 3"
    assert out.endswith(f"{found} modules were detected (100.0%), without equivalent ones\n")


def test_no_mutant_is_detected_without_tests(tmp_path):
    copy = Copy.__new__(Copy)
    copy._folder = copy._root = tmp_path
    found = copy.trials("m.py", [*mutants("a < b")], Order("m.py", []), set())
    assert [trial.detected for trial in found] == [False, False]


def lines_of(source, change):
    (found,) = [mutant.lines for mutant in mutants(source) if mutant.change == change]
    return sorted(found)


def test_the_lines_of_a_mutant_are_those_of_its_statement_or_its_head():
    source = (
        "def f(\n    a=1,\n):\n    if (\n        a == 2\n        and a\n    ):\n        return (\n"
        "            a + 3\n        )\n    try:\n        a()\n    except B:\n        raise\n"
    )
    assert lines_of(source, "a={1 -> 2},") == [1, 2, 3]
    assert lines_of(source, "a == {2 -> 3}") == [4, 5, 6, 7]
    assert lines_of(source, "{a + 3 -> (a - 3)}") == [8, 9, 10]
    assert lines_of(source, "except {B -> ()}:") == [13]


def compiled(source):
    return compile(source, "m.py", "exec")


def test_a_mutant_changes_its_function_and_those_around_it():
    source = "import a\nclass A:\n    def f(self):\n        g = lambda: {}\n        return g\nB = {}\n"
    before = compiled(source.format(1, 2))
    changed = changed_functions(before, compiled("\n" + source.format(3, 2)))
    assert [*changed] == [("A.f", 3), ("A.f.<locals>.<lambda>", 4)]
    assert changed_functions(before, compiled(source.format(1, 3))) is None
    assert changed_functions(before, compiled("\n" + source.format(1, 2))) == {}
    classes = "class A:\n    B = {}\n"
    assert changed_functions(compiled(classes.format(1)), compiled(classes.format("1.0"))) is None
    assert changed_functions(compiled(classes.format("0.0")), compiled(classes.format("-0.0"))) is None


def test_functions_are_replaced_wherever_they_are_kept():
    source = "def f():\n    return {}\ndef h():\n    a = 1\n    return lambda: {}\n"
    names = {}
    exec(compiled(source.format(1, 2)), names)
    kept = [names.pop("f"), names["h"]()]
    changed = changed_functions(compiled(source.format(1, 2)), compiled(source.format(3, 4)))
    assert replaced(functions_of("m.py"), changed)
    assert [each() for each in kept] == [3, 4]
    assert names["h"]()() == 4
    assert not replaced({}, changed)
    exec(compiled(source.format(1, "a")), names)
    assert not replaced({("f", 1): kept[:1]}, {("f", 1): names["h"]().__code__})
    # The outer function changes, and with it the inner one that exists.
    assert not replaced(functions_of("m.py"), {("h", 3): names["h"].__code__})


def test_a_mutant_on_import_is_used_where_what_it_defines_is():
    source = """LEAST = 2
_other = [each for each in (3,)]
@decorated(limit=4)
def f(a=5):
    return a + LEAST
def g():
    least = LEAST
    return f()
"""
    found = {mutant.change: sorted(mutant.uses) for mutant in mutants(source)}
    assert found["LEAST = {2 -> 3}"] == [1, 5, 7]
    assert found["_other = [each for each in ({3 -> 4},)]"] == [2]
    assert found["@decorated(limit={4 -> 5})"] == found["def f(a={5 -> 6}):"] == [3, 4, 5]


def traced(name, seconds, *lines):
    return TracedTest(name, seconds, {"m.py": frozenset(lines)})


def names(tests):
    return [test.name for test in tests]


def test_the_last_tests_to_detect_a_mutant_run_first_and_then_the_fastest():
    tests = [traced("slow", 9, 1, 2), traced("fast", 1, 2), traced("other", 2, 2, 3)]
    order = Order("m.py", [*tests, TracedTest("of another module", 0, {"n.py": frozenset([2])})])
    assert names(order.tests({2})) == ["fast", "other", "slow"]
    assert names(order.tests({1, 5})) == ["slow"]
    assert names(order.tests({4})) == []
    assert names(order.tests()) == ["of another module", "fast", "other", "slow"]
    assert names(order.tests(first={3, 5})) == ["other", "of another module", "fast", "slow"]
    for failed in ("slow", "other", None, "slow"):
        order.note(Trial(1, failed))
    assert names(order.tests({2})) == ["slow", "other", "fast"]
    found = order.tests(first={3})
    assert names(found) == ["other", "slow", "of another module", "fast"]


def test_tests_that_take_too_long_together_are_left_out():
    order = Order(
        "m.py", [traced("a", 5, 1), traced("b", 10, 1), traced("c", 10.5, 1), traced("d", 16, 2)]
    )
    assert names(order.tests({1})) == ["a", "b"]
    assert names(order.tests({2})) == ["d"]
    assert order.limit(order.tests({1})) == 85


MODULE = """
import sys

LIMIT = 5
KEPT = []

def keep(value):
    KEPT.append(value + 1)

keep(1)

def below(value):
    return value < LIMIT

def unused():
    return 3

def ends():
    while True:
        break

if __name__ == "__main__":
    print(below(int(sys.argv[1])))
"""

TESTS_OF_THE_MODULE = """
import subprocess, sys
import pytest
from harness.small import KEPT, below, ends

def test_below():
    assert below(4) and not below(6)

def test_kept():
    assert KEPT == [2]

def test_program():
    command = [sys.executable, "-m", "harness.small", "5"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\\n"

def test_ends():
    ends()

def test_fails():
    assert below(5)

@pytest.mark.skip
def test_skipped():
    assert not below(5)
"""


def test_mutants_are_tried_by_the_tests_that_run_them(tmp_path):
    (tmp_path / "root" / "harness").mkdir(parents=True)
    (tmp_path / "root" / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "root" / "harness" / "__init__.py").touch()
    module = tmp_path / "root" / "harness" / "small.py"
    module.write_text(MODULE)
    (tmp_path / "root" / "tests").mkdir()
    (tmp_path / "root" / "tests" / "test_small.py").write_text(TESTS_OF_THE_MODULE)
    copy = Copy(tmp_path / "copy", tmp_path / "root")
    traces = copy.traces("tests/test_small.py")
    assert traces.failed == [
        "tests/test_small.py::test_fails",
        "tests/test_small.py::test_skipped",
    ]
    lines = {test.name.partition("::")[2]: test.lines.get("harness/small.py") for test in traces.tests}
    assert lines == {
        "test_below": {13},
        "test_kept": None,
        "test_program": {2, 4, 5, 7, 8, 10, 12, 13, 15, 18, 22, 23},
        "test_ends": {19, 20},
    }
    assert traces.imported["harness/small.py"] >= {4, 8, 10}
    tried = [*mutants(MODULE)]
    order = Order("harness/small.py", traces.tests, patience=15)
    trials = copy.trials("harness/small.py", tried, order, traces.imported["harness/small.py"])
    assert (tmp_path / "copy" / "checkout" / "harness" / "small.py").read_text() == MODULE
    found = {
        mutant.change: (trial.status, trial.failed and trial.failed.partition("::")[2])
        for mutant, trial in zip(tried, trials, strict=True)
    }
    # In a fork, and in the program that a test starts, which alone prints.
    assert found["return {value < LIMIT -> (value <= LIMIT)}"] == (1, "test_program")
    assert found["{return value < LIMIT -> return None}"][0] == 1
    # In a process that imports the module again.
    assert found["LIMIT = {5 -> (4)}"][0] == 1
    assert found["KEPT.append(value + {1 -> 2})"] == (1, "test_kept")
    # Not run, not noticed, without an end, and a module that cannot be imported.
    assert found["return {3 -> 4}"] == found["while {True -> False}:"] == (0, None)
    assert found["{break -> continue}"] == (None, None)
    assert found["""if {__name__ == "__main__" -> (__name__ != '__main__')}:"""] == (4, None)
    assert [trial.detected for trial in (Trial(0), Trial(1), Trial(None), Trial(4))] == [
        False, True, True, True,
    ]  # fmt: skip
