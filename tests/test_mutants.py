"""The mutants that `make mutants` generates."""

import ast

import pytest

from tests.mutation import results, trial
from tests.mutation.__main__ import EQUIVALENT, main
from tests.mutation.choice import TESTS, chosen_tests, modules
from tests.mutation.mutants import mutants
from tests.mutation.results import Result, digest_of, keep_result, read_results, summary
from tests.mutation.trial import ROOT, Copies, Killers


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
    assert (mutant.line, mutant.change) == (2, "{a and b -> (a or b)}")
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
    assert chosen_tests("harness/ownership.py") == ["tests/test_ownership.py"]


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
    assert listed <= {mutant.change for mutant in mutants((ROOT / module).read_text())}


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


def test_the_summary_counts_neither_equivalent_mutants_nor_modules_without_a_result():
    found = {"a": Result("", 10, ["x", "y"]), "b": Result("", 5, []), "c": Result("", 7, ["z"])}
    assert summary(["a", "b", "d"], found, {"a": {"x"}}) == (
        "13 of 14 mutants of 2 modules were detected (92.9%), without equivalent ones"
    )
    assert summary([], found, {}).startswith("0 of 0 mutants of 0 modules were detected, ")


def test_the_test_that_detected_the_last_mutant_comes_first():
    killers = Killers()
    for output in (
        "FAILED tests/test_a.py::test_x[1 - 2] - AssertionError: FAILED tests/no.py::no",
        "passed",
        "ERROR tests/test_a.py::test_y",
        "FAILED tests/test_b.py::test_z - assert 1 == 2",
        "dots\nFAILED tests/test_a.py::test_y - no\n1 failed",
    ):
        killers.add(output)
    assert killers.first() == [
        "tests/test_a.py::test_y",
        "tests/test_b.py::test_z",
        "tests/test_a.py::test_x[1 - 2]",
    ]
    for test in range(9):
        killers.add(f"FAILED tests/test_c.py::test_{test} - no")
    assert len(killers.first()) == 8


@pytest.mark.parametrize(("status", "runs"), [(1, 1), (0, 2), (4, 2), (5, 2), (None, 1)])
def test_tests_run_unless_a_killer_fails(tmp_path, monkeypatch, status, runs):
    """A killer that pytest does not find detects nothing."""
    ran = []

    def tried(_, tests, seconds):
        ran.append(tests)
        return trial.Trial(status if len(ran) == 1 else 0, 1.0, "")

    monkeypatch.setattr(trial, "_tried", tried)
    (tmp_path / "m.py").write_text("before")
    copies = Copies.__new__(Copies)
    copies._free = trial.Queue()
    copies._free.put(tmp_path)
    killers = Killers()
    killers.add("FAILED tests/test_a.py::test_x - no")
    found = copies.run("m.py", "after", ["tests/test_b.py"], killers, seconds=5)
    assert ran == [["tests/test_a.py::test_x"], ["tests/test_b.py"]][:runs]
    assert found.killed == (runs == 1)
    assert (tmp_path / "m.py").read_text() == "before"
