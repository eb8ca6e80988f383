"""Every error message of `model` and `harness`, taken from their source, has one form.

In one line it says what is wrong, naming what was given, and then what was expected or what to do:
"batch_size is 0; expected a whole number from 1". A system's or another library's error stands behind
a colon instead: "/x/summary.json cannot be read: permission denied".
"""

import ast
import re
from pathlib import Path

import pytest

from harness.paths import ROOT

# Words that readers stumbled over, and what they were meant to say.
AVOIDED = {
    r"\b(tell|told|tells)\b": "distinguish, detect or report",
    r"\bbeside\b": "next to, or compared with",
    r"\bhangs? on\b": "depends on",
    r"\bso (many|much)\b": "the number",
    r"\bwhoever\b": "a noun",
    r"\bhas not (the|a)\b": "does not have",
    r"\bit takes\b": "expected",
    r"\bfalls?\b": "drop",
}


def messages():
    """Yields the place and the text of each message, with `{...}` for what is filled in."""
    for package in ("model", "harness"):
        for file in sorted(Path(ROOT, package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                    continue
                if node.exc.args and (text := template(node.exc.args[-1])):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", text


def template(node):
    """The text that an expression makes, or None if it only passes on another message."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "{...}" for part in parts)
        case ast.Call(func=ast.Name(id="one_line"), args=[text, *_]):
            return template(text)
    return None


ALL = [(place, text) for place, text in messages() if re.search(r"[a-z]{2}", text.replace("{...}", ""))]


def test_there_are_messages():
    assert len(ALL) > 150


@pytest.mark.parametrize(("place", "text"), ALL, ids=[place for place, _ in ALL])
def test_a_message_has_the_form(place, text):
    assert text == " ".join(text.split()), "more than one line, or space at an end"
    assert not text.endswith("."), "a full stop"
    assert re.match(r"[a-z0-9'`{<-]|PyTorch|BASE|A/B|GPU|Numba", text), "a capital at the start"
    for pattern, better in AVOIDED.items():
        assert not re.search(pattern, text), f"say {better}"
    # Parts of a longer message ("it has ...", "needs ...", "which ...") are completed by their caller.
    part = re.match(r"(it|its|they|needs|names|would|observed|epoch|stats|a |an |expected|the) ?", text)
    assert part or re.search(r"; |: |, and |, but |, which |, not |, so |\{\.\.\.\}$", text), (
        "neither what was expected, nor what to do, nor a cause"
    )
