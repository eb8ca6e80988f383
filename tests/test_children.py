"""The commands as processes: their children's environment, and their output and exit status."""

import argparse
import ast
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from harness import processes
from harness.__main__ import main
from harness.commands import times
from harness.paths import ROOT

STARTS = {"run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}
WITHOUT_ENVIRONMENT = (
    "system",
    "popen",
    "execv",
    "execl",
    "execvp",
    "execlp",
    "spawnl",
    "spawnv",
    "fork",
)


def started(code):
    """Returns the lines of calls that start a process with git's local variables."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == "subprocess":
            lines.append(node.lineno)  # a call of the imported name would not be found
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of, name = ast.unparse(node.func.value), node.func.attr
        if of == "subprocess" and name in STARTS:
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if not re.search(r"\benvironment\(", given.get("env", "")):
                lines.append(node.lineno)
        elif (of == "os" and name in WITHOUT_ENVIRONMENT) or name.startswith("create_subprocess"):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "code",
    [
        "subprocess.run(['x'])",
        "subprocess.Popen(['x'], cwd=a)",
        "from subprocess import run",
        "os.system('x')",
        "os.popen('x')",
        "asyncio.create_subprocess_exec('x')",
    ],
)
def test_a_child_without_an_environment_is_found(code):
    assert started(code) == [1]
    assert started("subprocess.run(['x'], env=environment())") == []


def test_a_child_with_another_environment_is_found():
    assert started("subprocess.run(['x'], env=os.environ)") == [1]


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("harness/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_child_is_given_its_environment(path):
    # `run_whole` there passes on the environment that it is given.
    allowed = 1 if path.name == "processes.py" else 0
    assert len(started(path.read_text())) == allowed


def test_children_inherit_none_of_gits_local_variables(monkeypatch):
    named = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in named:
        monkeypatch.setenv(name, "/nowhere")
    assert named
    assert not {*named} & {*processes.environment()}


# Output and exit status -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("speed", "tpu"), "the device is 'tpu'; expected auto, cpu, cuda or cuda:N"),
        (("speed", "cuda:01"), "the device is 'cuda:01'; expected auto, cpu, cuda or cuda:N"),
        (("speed", "cuda:999"), "the device is 'cuda:999'*"),
        (("report", "nowhere\x1b[31m"), r"nowhere\x1b[[]31m is not the report of a finished run: *"),
        (("report", "/dev/null"), "/dev/null is not the report of a finished run: *"),
        (("report", "a" * 5000), "*File name too long*"),
        (("publish", "nowhere", "\udcff"), r"the name is '\udcff'; expected letters*"),
        (("calibrate", "/dev/null"), "the saved run /dev/null cannot be read: *"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, line, capsys):
    assert main([*arguments]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    pytest.LineMatcher([message]).fnmatch_lines([line])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("times", "--workers", "0"), "*--workers: got '0'; expected a whole number from 1 to 999999*"),
        (("times", "--workers", "9" * 5000), "*argument --workers: got '9999*"),
        (("ab", "x", "--\x1b[31m"), r"*unrecognized arguments: --\x1b[[]31m*"),
        (("report", ""), "*got ''; expected a path*"),
        (
            ("speed", "--report-dir=~nobody-here/x"),
            "*'~nobody-here/x', but there is no such home folder*",
        ),
        (("nope",), "*invalid choice: 'nope'*"),
        ((), "*COMMAND*"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, line, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.isprintable()
    pytest.LineMatcher([message]).fnmatch_lines([line])


def test_a_home_folder_is_expanded_after_an_equals_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    parser = argparse.ArgumentParser()
    times.add_arguments(parser)
    options = parser.parse_args(["--report-dir=~/x"])
    assert options.report_dir == tmp_path / "x"


def test_a_folder_that_cannot_be_read_is_reported(tmp_path, capsys, monkeypatch):
    def load(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("harness.report.build.load_run", load)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"[Errno 13] Permission denied: '{tmp_path}'\n"


def test_times_of_a_suite_that_fails_report_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(times, "MODULES", ("bench/nowhere.py",))
    assert main(["times", "--report-dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "pytest -n 0 ended with status 4: file or directory not found: bench/nowhere.py"


PRINTS = """
import sys, harness.__main__ as commands
def prints(options):
    for _ in range(100_000):
        print(LINE)
    print("done", file=sys.stderr, flush=True)
    return 3
from harness.commands import report
report.run = prints
sys.exit(commands.main(["report"]))
"""


def printing(line, redirection, **env):
    code = PRINTS.replace("LINE", repr(line))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$0" -c "$1" {redirection}', sys.executable, code],
        cwd=ROOT,
        env={**processes.environment(), **env},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("redirection", ["| head -1", ">&-", "| true"])
def test_output_need_not_be_read_to_the_end(redirection):
    """The command continues, and ends with its own status."""
    ran = printing("a line", redirection)
    assert (ran.returncode, ran.stderr) == (3, "done\n")


def test_stderr_may_be_closed_too():
    assert printing("a line", "2>&1 | head -1").returncode == 3


def test_a_full_disk_is_reported():
    code = PRINTS.replace("LINE", "'a line'").replace("return 3", "return 0")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, env=processes.environment(), stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert ran.stderr.splitlines() == ["done", "the output cannot be written: No space left on device"]
    assert ran.returncode == 2


def test_characters_that_an_encoding_lacks_are_escaped():
    ran = printing("\udcff µ", "| tail -1", PYTHONIOENCODING="ascii")
    assert ran.stdout == "\\udcff \\xb5\n"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_reported_in_one_line(tmp_path, end):
    code = (
        "import signal, sys, time, pathlib, harness.__main__ as commands\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # also if nohup runs the tests
        "from harness.commands import report\n"
        "report.run = lambda _: (pathlib.Path(sys.argv[1]).touch(), time.sleep(60))\n"
        "sys.exit(commands.main(['report']))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "begun"],
        cwd=ROOT, env=processes.environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
    os.kill(child.pid, end)
    assert child.communicate(timeout=30)[1] == "Interrupted.\n"
    assert child.returncode == 130
