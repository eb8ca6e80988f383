"""docs/studies.md's walk-through, word for word, on a small data set."""

import re

from tests.conftest import ROOT

_BLOCK = re.compile(r"^```(?P<kind>sh|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^`(my_study/\S+\.py)`", re.MULTILINE)


def test_it_leads_to_a_page_with_a_verdict(suite, monkeypatch):
    text = (ROOT / "docs" / "studies.md").read_text()
    blocks = [*_BLOCK.finditer(text.partition("## What a study says")[0])]
    python = [block for block in blocks if block["kind"] == "python"]
    commands = [block["code"].strip() for block in blocks if block["kind"] == "sh"]
    typed = [line for block in blocks for line in block["code"].splitlines() if line.strip()]
    assert len(typed) <= 60
    assert sum(bool(line.strip()) for block in python for line in block["code"].splitlines()) <= 40
    (suite.path / "my_study").mkdir()  # the last line of the first command
    assert commands[0].splitlines() == ["pip install -e path/to/this/checkout", "mkdir my_study"]
    names = _FILE.findall(text)
    for name, block in zip(names, python, strict=True):
        (suite.path / name).write_text(block["code"])
    (suite.path / "pytest.ini").unlink()
    (suite.path / "conftest.py").unlink()
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p tests.small")
    program, *args = commands[1].split()
    assert program == "pytest"
    result = suite._pytester.runpytest_inprocess(*args)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        [
            "*Lion and AdamW: tables and claims*",
            "Claims: * hold*",
            "Page: my_study/reports/*/report.html",
        ]
    )
    page = (suite.path / "my_study" / "reports" / "latest" / "report.html").read_text()
    assert "At its best rate, Lion ends better than AdamW." in page
    assert "Lion, rate 0.001" in page
