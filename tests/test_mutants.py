"""The mutants that `make mutants` tries."""

import ast

import pytest

from tests.mutation.__main__ import TESTS
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
        ("try: a\nexcept b: c", ["except (): c"]),
        ("with a as b, c: d", ["with a as b, __import__('contextlib').nullcontext(): d"]),
        ("with a as b: c", []),
        ("if TYPE_CHECKING:\n    import a", []),
        ("a: 1 = b", []),
        ("@dataclass(frozen=True)\nclass A: pass", []),
        ("'é' + a", ["('é' - a)"]),
    ],
)
def test_every_change_is_made_once_and_where_it_belongs(source, changed):
    assert sorted(mutant.after for mutant in mutants(source)) == sorted(changed)


def test_a_change_over_several_lines_is_told_in_one():
    (mutant, *_) = mutants("x = (\n    a\n    and b\n)\n")
    assert (mutant.line, mutant.before, mutant.after) == (2, "a and b", "(a or b)")
    assert mutant.source == "x = (\n    (a or b)\n)\n"


def test_every_mutant_compiles_and_differs():
    source = (ROOT / "harness/hardware/lease.py").read_text()
    for mutant in mutants(source):
        ast.parse(mutant.source)
        assert mutant.source != source


def test_what_is_tried_is_there():
    for module, tests in TESTS.items():
        assert (ROOT / module).exists()
        assert all((ROOT / "tests" / f"test_{name}.py").exists() for name in tests)
