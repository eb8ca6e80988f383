"""`harness ab`: what it compares with what, and its exit status."""

import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.__main__ import main
from harness.ab.side import Checkout
from harness.commands import ab
from harness.paths import ROOT


class Comparison:
    """Replaces all that the command calls; notes the calls, in turn."""

    def __init__(self, monkeypatch, outcome="held"):
        self.calls = []
        selection = SimpleNamespace(
            root=Path("/here"), settings=SimpleNamespace(report_dir=Path("/report")), rows=("a row",)
        )

        def note(name, result=None):
            def called(*args, **options):
                self.calls.append((name, *args, *options.items()))
                return result

            return called

        @contextmanager
        def worktree(folder, revision):
            self.calls.append(("worktree", folder, revision))
            yield Path("/there")
            self.calls.append(("removed",))

        for name, replacement in {
            "select": note("select", selection),
            "worktree": worktree,
            "checked_interpreter": note("checked_interpreter", Path("/other/python")),
            "python_of": note("python_of", Path("/its/python")),
            "provenance_of": lambda checkout, revision, rows: (checkout.name, revision, rows),
            "compare_checkouts": note("compare", SimpleNamespace(outcome=outcome)),
            "write_comparison": note("write", None),
        }.items():
            monkeypatch.setattr(ab, name, replacement)
        monkeypatch.setattr(ab.run_folders, "check_free", note("check_free"))
        self.selection = selection

    def call(self, name):
        (found,) = (each[1:] for each in self.calls if each[0] == name)
        return found


@pytest.mark.parametrize(("outcome", "status"), [("held", 0), ("worse", 1), ("undecided", 3)])
def test_the_status_tells_the_outcome(monkeypatch, outcome, status):
    Comparison(monkeypatch, outcome)
    assert main(["ab", "HEAD"]) == status


def test_a_revision_is_compared_in_a_worktree_that_is_removed(monkeypatch):
    made = Comparison(monkeypatch)
    assert main(["ab", "HEAD~1", "--percent", "5", "--points", "0.5", "--", "-k", "sgd"]) == 0
    assert made.call("select") == (["-k", "sgd"],)
    assert made.call("check_free") == (Path("/report"), "ab.json")
    assert made.call("worktree") == (Path("/here"), "HEAD~1")
    assert made.call("python_of") == (Path("/there"), Path("/here"))
    base = Checkout("base", Path("/there"), Path("/its/python"))
    head = Checkout("head", Path("/here"), Path(sys.executable))
    assert made.call("compare") == (made.selection, base, head, ("percent", 5.0), ("points", 0.5))
    found, settings, *sides = made.call("write")
    assert (found.outcome, settings) == ("held", made.selection.settings)
    assert sides == [("base", "HEAD~1", ("a row",)), ("head", None, ("a row",))]
    names = [name for name, *_ in made.calls]
    assert names.index("check_free") < names.index("compare") < names.index("removed")


def test_an_interpreter_is_compared_in_the_working_tree(monkeypatch):
    made = Comparison(monkeypatch)
    assert main(["ab", "--base-python", "/other/python"]) == 0
    assert made.call("checked_interpreter") == (Path("/other/python"), ROOT)
    _, base, head, *limits = made.call("compare")
    assert base == Checkout("base", Path("/here"), Path("/other/python"))
    assert head == Checkout("head", Path("/here"), Path(sys.executable))
    assert limits == [("percent", 10.0), ("points", 1.0)]
    assert "worktree" not in [name for name, *_ in made.calls]


def test_a_revision_in_another_interpreter(monkeypatch):
    made = Comparison(monkeypatch)
    assert main(["ab", "HEAD", "--base-python", "/other/python"]) == 0
    assert made.call("compare")[1] == Checkout("base", Path("/there"), Path("/other/python"))


def test_nothing_to_compare_with_is_refused(monkeypatch, capsys):
    made = Comparison(monkeypatch)
    assert main(["ab"]) == 2
    assert made.calls == []
    line = "ab was given nothing to compare with; name a revision (BASE) or an interpreter "
    assert capsys.readouterr().err == f"{line}(--base-python)\n"
