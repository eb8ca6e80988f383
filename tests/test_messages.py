"""Every error message in the source of `model` and `harness` has one form.

It names what is wrong and what was given, and then what was expected or what to do, in one line:
"batch_size is 0; expected a whole number from 1". If the cause is an error of the system or of another
library, that follows a colon instead: "/x/summary.json cannot be read: permission denied".
"""

import ast
import re
from pathlib import Path

import pytest

from harness.paths import ROOT

# Words that readers stumbled over, and their replacements.
AVOIDED = {
    r"\b(tell|told|tells)\b": "distinguish, detect or report",
    r"\bbeside\b": "next to, or compared with",
    r"\bhangs? on\b": "depends on",
    r"\bso (many|much)\b": "the number",
    r"\bwhoever\b": "a noun",
    r"\b(has|have) not (the|a)\b": "does not have",
    r"\bis there twice\b": "occurs twice",
    r"\bit takes\b": "expected",
    r"\bfalls?\b": "drop",
}

# Exceptions whose messages no user sees.
UNSEEN = {"KeyError", "UnsupportedOperation", "Interrupted"}

VERBS = "is|was|has|have|does|do|contains|contradict|decreases|differ|lacks|occurs"
# Messages that a caller completes: their files, their exceptions and their form.
FRAGMENTS = (
    (  # "x.json cannot be read: it has no checksum"
        r"harness/files/|harness/gates/baselines\.py",
        {"ValueError"},
        rf".+ ({VERBS})( .+)?|expected .+",
    ),
    # "a worktree of main cannot be created: git is not in PATH"
    (r"harness/processes\.py", {"ValueError"}, r"git .+|\S+ does not exist"),
    (r"harness/report/", {"LookupError"}, r"(needs|names|would) .+"),  # "the passage 'rows' needs ..."
    (r"harness/ab/payload\.py", {"LookupError"}, r".+ has no .+"),  # in the table of an A/B
    (r"harness/commands/prune\.py", {"OSError"}, r"a session .+"),  # "kept reports/x: ..."
)

REMEDY_OR_CAUSE = r"; |: |, (and|but|which) |\{\.\.\.\}$"


def messages():
    """Yields the place, the exception and the text of each message, with `{...}` for inserted values."""
    for package in ("model", "harness"):
        for file in sorted(Path(ROOT, package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                    continue
                kind = ast.unparse(node.exc.func).rpartition(".")[2]
                if node.exc.args and kind not in UNSEEN:
                    for text in templates(node.exc.args[1 if kind == "SideError" else -1]):
                        yield f"{file.relative_to(ROOT)}:{node.lineno}", kind, text


def templates(node):
    """Yields the texts that an expression can have; none if it only passes on another message."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{...}" for part in parts)
        case ast.IfExp(body=body, orelse=orelse):
            yield from templates(body)
            yield from templates(orelse)
        case ast.Call(func=ast.Name(id="one_line"), args=[text, *_]):
            yield from templates(text)


def fragment_form(place, kind):
    """Returns the pattern for a message that a caller completes, or None for a whole one."""
    found = [form for file, kinds, form in FRAGMENTS if re.match(file, place) and kind in kinds]
    return found[0] if found else None


ALL = [each for each in messages() if re.search(r"[a-z]{2}", each[2].replace("{...}", ""))]


def test_there_are_messages():
    assert len(ALL) > 150


@pytest.mark.parametrize(("place", "kind", "text"), ALL, ids=[place for place, _, _ in ALL])
def test_a_message_has_the_form(place, kind, text):
    assert text == " ".join(text.split()), "more than one line, or a space at the start or end"
    assert not text.endswith("."), "a full stop"
    assert re.match(r"[a-z0-9'`{<-]|PyTorch|BASE|GOOD|BAD|ROW|A/B|GPU|Numba", text), (
        "a capital at the start"
    )
    for pattern, better in AVOIDED.items():
        assert not re.search(pattern, text), f"use {better}"
    if form := fragment_form(place, kind):
        assert re.fullmatch(form, text), "its caller cannot complete it"
    else:
        assert re.search(REMEDY_OR_CAUSE, text), "neither an expectation, a remedy nor a cause"


@pytest.mark.parametrize(("file", "kinds"), [each[:2] for each in FRAGMENTS])
def test_there_are_fragments(file, kinds):
    assert {kind for place, kind, _ in ALL if re.match(file, place)} >= kinds
