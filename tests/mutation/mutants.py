"""The mutants of a module: copies of its source, each with one small mistake."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
# Arguments that change only how a figure or a help text looks, which people judge.
_LOOKS = {
    *("help", "metavar", "opacity", "strokeWidth", "strokeDash", "filled", "clip", "grid", "orient"),
    *("labelAngle", "labelOverlap", "labelSeparation", "gradientLength", "tickCount", "tickMinStep"),
    *("symbolOpacity", "symbolStrokeWidth", "symbolType", "nice", "padding"),
}
# Arguments whose loss no test on Linux can notice: text is UTF-8 there, and output is read at its end.
_UNSEEN = {"encoding", "flush", "prefix", "stacklevel"}
_LEFT_ALONE = _LOOKS | _UNSEEN


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    lines: frozenset[int]
    """Those of its statement, or of the statement's head: a test has to run one of them to detect it."""
    uses: frozenset[int]
    """Those of its outermost statement, and those that use what that defines, such as a constant."""
    change: str
    """Its lines joined by spaces, with the change in braces: "if {a < b -> (a <= b)}:"."""
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Yields every mutant of a module's source.

    Not changed are strings (most are messages), annotations, code that only the type checker needs, the
    arguments of `@dataclass`, the `strict` of `zip`, which only guards against programming errors, and
    arguments in `_LEFT_ALONE`.
    """
    encoded = source.encode()  # ast counts columns in bytes
    starts = [0, *accumulate(len(line) for line in encoded.splitlines(keepends=True))]
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for first, last, text in sorted(_changes(tree), key=lambda change: change[:2]):
        begin, end = (starts[line - 1] + column for line, column in (first, last))
        parts = encoded[:begin], encoded[begin:end], encoded[end:]
        head, old, tail = (part.decode() for part in parts)
        before, after = head.rpartition("\n")[2], tail.partition("\n")[0].partition("  #")[0]
        change = " ".join(f"{before}{{{old} -> {text}}}{after}".split())
        line = first[0]
        yield Mutant(_lines_around(tree, line), _uses(tree, names, line), change, head + text + tail)


def _uses(tree: ast.Module, names: Sequence[ast.Name], line: int) -> frozenset[int]:
    """Returns the lines of the outermost statement around a line, and those that use what it defines.

    `names` are all names in the tree.
    """
    for statement in tree.body:
        decorators = getattr(statement, "decorator_list", [])
        lines = range(min(each.lineno for each in (statement, *decorators)), statement.end_lineno + 1)
        if line in lines:
            break
    defined = {each.id for each in names if isinstance(each.ctx, ast.Store) and each.lineno in lines}
    return frozenset({*lines, *(each.lineno for each in names if each.id in defined)})


def _lines_around(tree: ast.Module, line: int) -> frozenset[int]:
    """Returns the lines of the innermost statement that has this line, without those of its body."""
    found = frozenset({line})
    for node in ast.walk(tree):  # outer nodes first
        if isinstance(node, ast.stmt | ast.ExceptHandler) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            found = frozenset(
                {line, *range(node.lineno, body[0].lineno if body else node.end_lineno + 1)}
            )
    return found


# The first and last (line, column) of a span, and its replacement.
_Change = tuple[tuple[int, int], tuple[int, int], str]


def _changes(tree: ast.Module) -> Iterator[_Change]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dataclass":
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "zip":
            todo += node.args
            continue
        if isinstance(node, ast.keyword) and node.arg in _LEFT_ALONE:
            continue
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                todo += [each for each in _listed(value) if isinstance(each, ast.AST)]
        for text in _expressions(node):
            yield (*_span(node), text)
        yield from _statements(node)


def _expressions(node: ast.AST) -> Iterator[str]:
    """Yields the replacements of an expression."""
    match node:
        case ast.Compare(left, [operator], [right]):
            for other in _COMPARISONS[type(operator)]:
                yield f"({ast.unparse(ast.Compare(left, [other()], [right]))})"
        case ast.Compare(left, [_, *_] as operators, comparators):
            for index, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    changed = [*operators[:index], other(), *operators[index + 1 :]]
                    yield f"({ast.unparse(ast.Compare(left, changed, comparators))})"
        case ast.BoolOp(operator, values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS and not _is_text(right):
            yield f"({ast.unparse(ast.BinOp(left, _OPERATORS[type(operator)](), right))})"
        case ast.Constant(bool() as value):
            yield repr(not value)
        case ast.Constant(int() | float() as value):
            yield repr(value + 1)
            yield f"({value - 1!r})"
        case ast.IfExp(test, body, orelse):
            yield f"({ast.unparse(ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse))})"
        case ast.Call(function, arguments, [_, *_] as keywords):
            for index in (at for at, each in enumerate(keywords) if each.arg not in _LEFT_ALONE):
                fewer = keywords[:index] + keywords[index + 1 :]
                yield ast.unparse(ast.Call(function, arguments, fewer))


def _statements(node: ast.AST) -> Iterator[_Change]:
    """Yields the changes of a statement or of its head."""
    match node:
        case ast.If(test) | ast.While(test) if not _is_negated_elsewhere(test):
            yield (*_span(test), f"(not ({ast.unparse(test)}))")
        case ast.comprehension(ifs=tests):
            for test in (each for each in tests if not _is_negated_elsewhere(each)):
                yield (*_span(test), f"(not ({ast.unparse(test)}))")
        case ast.For(iter=iterable):
            yield (*_span(iterable), "()")
        case ast.Break():
            yield (*_span(node), "continue")
        case ast.Continue():
            yield (*_span(node), "break")
        case ast.Return(value) if value is not None and ast.unparse(value) != "None":
            yield (*_span(node), "return None")
        case ast.Raise() | ast.Expr(ast.Call()) | ast.AugAssign() | ast.Delete():
            yield (*_span(node), "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield (*_span(node), "pass")
        case ast.ExceptHandler(type=ast.expr() as kind):
            yield (*_span(kind), "()")
        case ast.With(items):
            for item in items:
                if item.optional_vars is None:
                    yield (*_span(item.context_expr), "__import__('contextlib').nullcontext()")


def _is_text(node: ast.expr) -> bool:
    """Returns whether the operand is text: part of a path, to which only `/` applies."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_negated_elsewhere(test: ast.expr) -> bool:
    return isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Compare) and len(test.ops) == 1)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _span(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
