"""The mutants that `make mutants` generates."""

import ast

import pytest

from tests.mutation.__main__ import EQUIVALENT, main
from tests.mutation.choice import TESTS, chosen_tests, modules
from tests.mutation.mutants import mutants
from tests.mutation.trial import ROOT


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
