"""The command line: which command runs, with which options, and its exit status."""

import importlib.util
import io
import re
import runpy
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

import harness.__main__ as commands
from harness.paths import ROOT
from harness.processes import environment


@pytest.fixture
def made_up(monkeypatch):
    """Puts a made-up command in the place of a real one; returns the options that it is given."""

    def made_up(command, run=lambda options: None):
        given = []
        module = SimpleNamespace(
            add_arguments=lambda parser: parser.add_argument("words", nargs="*"),
            run=lambda options: given.append(options) or run(options),
        )
        monkeypatch.setitem(sys.modules, f"harness.commands.{command}", module)
        return given

    return made_up


def raising(error):
    def run(options):
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "status", "line"),
    [
        (lambda options: None, 0, ""),
        (lambda options: 0, 0, ""),
        (lambda options: 1, 1, ""),
        (lambda options: 3, 3, ""),
        (raising(ValueError("a\x1b is wrong")), 2, "a\\x1b is wrong\n"),
        (raising(FileNotFoundError(2, "No such file", "a")), 2, "[Errno 2] No such file: 'a'\n"),
        (raising(KeyboardInterrupt), 130, "Interrupted.\n"),
    ],
)
def test_a_command_determines_the_exit_status(made_up, capsys, run, status, line):
    made_up("report", run)
    assert commands.main(["report"]) == status
    assert capsys.readouterr() == ("", line)


def test_other_errors_are_not_hidden(made_up):
    made_up("report", raising(TypeError("a bug")))
    with pytest.raises(TypeError, match="a bug"):
        commands.main(["report"])


@pytest.mark.parametrize(
    ("given", "words", "of_pytest"),
    [
        (["ab", "a", "b"], ["a", "b"], []),
        (["ab", "a", "--"], ["a"], []),
        (["ab", "a", "--", "-k", "b"], ["a"], ["-k", "b"]),
        (["bisect", "--", "b", "--", "c"], [], ["b", "--", "c"]),
        (["merge", "a", "--", "--b"], ["a"], ["--b"]),
        (["noise", "a", "--", "--b"], ["a"], ["--b"]),
        (["report", "--", "-a", "b"], ["-a", "b"], []),  # takes no arguments of pytest's
    ],
)
def test_arguments_after_dashes_are_pytests(made_up, given, words, of_pytest):
    options = made_up(given[0])
    assert commands.main(given) == 0
    assert (options[0].words, options[0].pytest_arguments) == (words, of_pytest)


def test_without_a_list_the_arguments_are_those_of_the_process(made_up, monkeypatch):
    options = made_up("report")
    monkeypatch.setattr(sys, "argv", ["program", "report", "a"])
    commands.main()
    assert options[0].words == ["a"]
    commands.main(["report", "b"])
    assert options[1].words == ["b"]


def test_help_lists_the_commands_and_describes_one(made_up, capsys):
    made_up("report")
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert out.startswith("usage: python -m harness [-h] COMMAND ...\n\nThe project's commands")
    assert re.search(r"^ +prune +delete the oldest report folders of a study$", out, re.MULTILINE)
    with pytest.raises(SystemExit):
        commands.main(["report", "--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m harness report [-h] [words ...]\n")
    assert "\nDraw the page and the figures of a report folder.\n" in out


def test_only_the_module_of_the_command_is_imported(made_up, monkeypatch):
    options, imported = made_up("report"), []
    import_module = commands.import_module
    monkeypatch.setattr(
        commands, "import_module", lambda *name: imported.append(name[0]) or import_module(*name)
    )
    commands.main(["report", "ab"])
    assert imported == [".commands.report"]
    assert options[0].words == ["ab"]


@pytest.mark.parametrize(("own", "status"), [(0, 2), (3, 3)])
def test_lost_output_is_reported_unless_the_command_failed_anyway(
    made_up, monkeypatch, capsys, own, status
):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    made_up("report", lambda options: print("a") or own)
    monkeypatch.setattr(sys, "stdout", Full())
    assert commands.main(["report"]) == status
    line = "the output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == ("" if own else line)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_characters_that_neither_stream_can_encode_are_escaped(made_up, capsys, stream):
    made_up("report", lambda options: print("\udcff", file=getattr(sys, stream)))
    assert commands.main(["report"]) == 0
    assert getattr(capsys.readouterr(), stream.removeprefix("std")) == "\\udcff\n"


def test_the_process_ends_with_the_commands_status():
    ran = subprocess.run(
        [sys.executable, "-m", "harness", "verdicts", "/dev/null"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("/dev/null is not the report of a finished run")


@pytest.mark.parametrize("found", ["elsewhere", None])
def test_another_package_called_model_is_refused(monkeypatch, found):
    spec = found and ModuleSpec("model", None, origin=f"/{found}/model/__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    where = "/elsewhere/model/__init__.py" if found else "None"
    with pytest.raises(ImportError, match=f"^'model' is {where}, not this project's package"):
        runpy.run_path(str(ROOT / "harness" / "__init__.py"))
