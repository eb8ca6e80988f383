"""`make gpu`: order, resuming, limits and summary, with substitutes for the steps."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness import __main__ as command_line
from harness import atomic_json
from harness.commands import gpu
from harness.commands.gpu import Step

from .processes import Session, end, wait_for_the_end_of

OF = {"device": "a GPU", "torch": "2.13.0", "code": "0123456789ab"}


@pytest.fixture(autouse=True)
def limits(tmp_path, monkeypatch) -> list[float]:
    """The limits of the steps so far, in seconds; a step that hangs reaches its limit at once."""
    limits = []

    class Process(subprocess.Popen):
        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            if timeout != gpu._GRACE / 2:
                limits.append(timeout)
            hangs = tmp_path / f"hangs-{self.pid}"
            while self.poll() is None:
                if hangs.exists():
                    raise subprocess.TimeoutExpired(self.args, timeout)
                time.sleep(0.01)
            return self.returncode

    changed = SimpleNamespace(Popen=Process, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(gpu, "subprocess", changed)
    return limits


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def ran(folder: Path) -> list[str]:
    """Returns the steps' notes since the last call."""
    noted = folder / "noted"
    names = noted.read_text().split() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return names


def notes(folder: Path, name: str, then: str = "", **fields) -> Step:
    """Returns a step that notes its name and arguments and then runs `then`."""
    code = (
        "import os, signal, sys, time\n"
        f"note = '+'.join([{name!r}, *sys.argv[1:]])\n"
        f"open({str(folder / 'noted')!r}, 'a').write(note + '\\n')\n{then}"
    )
    return Step(name, python(code), **{"seconds": 60, **fields})


def run(planned, folder, seconds=None, of=OF) -> int:
    return gpu.run_steps(planned, folder, of, seconds=seconds)


def statuses(folder: Path) -> dict[str, str]:
    steps = atomic_json.read_json(folder / "steps.json")["steps"]
    return {name: result["status"] for name, result in steps.items()}


def test_every_step_runs_once_in_order_even_if_others_fail(tmp_path, capfd):
    planned = [
        notes(tmp_path, "good", "print('fine')"),
        notes(tmp_path, "fails", "sys.exit('one test failed')"),
        notes(tmp_path, "killed", "os.kill(os.getpid(), signal.SIGKILL)"),
        Step("absent", ("no-such-program",), 60),
        Step("cannot", ("no-such-program",), 60, cannot="it is not installed"),
        notes(tmp_path, "last", "print('=== 3 skipped in 1.00s ===')"),
    ]
    assert run(planned, tmp_path) == 1
    assert ran(tmp_path) == ["good", "fails", "killed", "last"]
    assert (tmp_path / "good.txt").read_text() == "fine\n"
    summary = (tmp_path / "summary.txt").read_text()
    assert summary in capfd.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in summary.splitlines()[1:-1])
    assert lines["good"].startswith("passed after ")
    assert lines["fails"].endswith(": exit status 1; see fails.txt: one test failed")
    assert lines["killed"].endswith(": exit status -9; see killed.txt: it printed nothing")
    assert "No such file" in lines["absent"]
    assert lines["cannot"] == "skipped: it is not installed"
    assert lines["last"].endswith(": 3 skipped in 1.00s"), "so that nobody takes it for a proof"
    assert summary.splitlines()[-1] == "All done."

    assert run(planned, tmp_path) == 1
    assert ran(tmp_path) == [], "they are done"
    assert run(planned, tmp_path, of={**OF, "code": "another"}) == 1
    assert ran(tmp_path) == ["good", "fails", "killed", "last"], "results of other code do not count"
    (tmp_path / "steps.json").unlink()
    assert run(planned, tmp_path, of={**OF, "code": "another"}) == 1
    assert ran(tmp_path) == ["good", "fails", "killed", "last"]


def test_all_passed_or_impossible_is_success(tmp_path):
    impossible = Step("impossible", (), 60, cannot="not here")
    assert run([notes(tmp_path, "good"), impossible], tmp_path) == 0
    possible = notes(tmp_path, "impossible")
    assert run([notes(tmp_path, "good"), possible], tmp_path) == 0
    assert ran(tmp_path) == ["good", "impossible"], "a skipped step runs once it can"


def hang(folder: Path) -> str:
    """Returns the code of a step that hangs unless it is resumed."""
    return (
        "if sys.argv[1:] != ['--resume']:\n"
        f"    open({str(folder)!r} + f'/hangs-{{os.getpid()}}', 'w')\n"
        "    time.sleep(120)\n"
    )


def test_a_step_over_its_limit_is_ended_with_all_its_processes_and_the_next_runs(tmp_path, limits):
    child = (
        f"import os, time; open({str(tmp_path)!r} + f'/hangs-{{os.getppid()}}', 'w'); time.sleep(120)"
    )
    code = (
        "import subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.run([sys.executable, '-c', {child!r}])\n"
    )
    planned = [notes(tmp_path, "hangs", code, seconds=50), notes(tmp_path, "next")]
    assert run(planned, tmp_path) == 1
    assert statuses(tmp_path) == {"hangs": "failed", "next": "passed"}
    assert limits == [50, 60]
    (hung,) = tmp_path.glob("hangs-*")
    wait_for_the_end_of(int(hung.name.partition("-")[2]))


def test_the_limit_stops_the_step_in_progress_and_the_next_call_resumes_it(tmp_path, capfd, limits):
    planned = [
        notes(tmp_path, "first"),
        notes(tmp_path, "long", hang(tmp_path), seconds=600, resume=("--resume",)),
        notes(tmp_path, "last"),
    ]
    assert run(planned, tmp_path, seconds=100) == 1
    assert ran(tmp_path) == ["first", "long"]
    assert statuses(tmp_path) == {"first": "passed", "long": "stopped"}
    remaining = "Remaining: long, last; run the same command again to continue."
    assert remaining in capfd.readouterr().out
    assert limits[0] == 60, "its own"
    assert limits[1] < 100 - gpu._GRACE, "the command's remaining time"
    assert run(planned, tmp_path, seconds=100) == 0
    assert ran(tmp_path) == ["long+--resume", "last"]


def test_a_step_that_can_be_resumed_is_stopped_at_its_own_limit_too(tmp_path):
    planned = [notes(tmp_path, "long", hang(tmp_path), seconds=1, resume=("--resume",))]
    assert run(planned, tmp_path) == 1
    assert statuses(tmp_path) == {"long": "stopped"}


def test_no_step_is_started_with_too_little_time(tmp_path):
    assert run([notes(tmp_path, "first")], tmp_path, seconds=20) == 1
    assert ran(tmp_path) == []
    assert "first      not run" in (tmp_path / "summary.txt").read_text()


def test_a_step_is_resumed_after_the_command_itself_was_killed(tmp_path):
    code = (
        "from tests.test_gpu_command import *\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "steps = notes(folder, 'first'), notes(folder, 'long', hang(folder), resume=('--resume',))\n"
        "run(list(steps), folder)\n"
    )
    command = subprocess.Popen(python(code), cwd=gpu.ROOT, stdout=subprocess.PIPE)
    while not [*tmp_path.glob("hangs-*")]:
        assert command.poll() is None
        time.sleep(0.01)
    command.kill()
    command.communicate()
    assert statuses(tmp_path) == {"first": "passed", "long": "stopped"}
    ran(tmp_path)
    planned = [
        notes(tmp_path, "first"),
        notes(tmp_path, "long", hang(tmp_path), resume=("--resume",)),
    ]
    assert run(planned, tmp_path) == 0
    assert ran(tmp_path) == ["long+--resume"]
    (hung,) = tmp_path.glob("hangs-*")
    end(int(hung.name.partition("-")[2]))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"of": 1}', f'{{"of": {OF}, "steps": 1}}'])
def test_damaged_results_are_ignored(tmp_path, content):
    (tmp_path / "steps.json").write_text(content.replace("'", '"'))
    assert run([notes(tmp_path, "first")], tmp_path) == 0
    assert ran(tmp_path) == ["first"]


def test_each_machine_and_code_has_its_own_folder_and_again_makes_a_new_one(tmp_path, monkeypatch):
    """No result is overwritten."""
    monkeypatch.setattr(gpu, "GPU", tmp_path / "gpu")
    monkeypatch.setattr(gpu.run_folders, "git", lambda *_, **__: "d2cbc64")
    folders = []
    for of, again in ((OF, False), (OF, False), (OF, True), ({**OF, "code": "another"}, False)):
        folder = gpu._folder(of, again=again)
        run([notes(tmp_path, "first")], folder, of=of)
        folders.append(folder)
    assert folders[0] == folders[1]
    assert len({*folders}) == 3
    assert (tmp_path / "gpu" / "latest").resolve() == folders[-1]
    assert all((folder / "steps.json").exists() for folder in folders)


def test_results_are_packed_into_one_file_without_other_files(tmp_path):
    for report in ("paper", "other"):
        (tmp_path / report / "runs").mkdir(parents=True)
        (tmp_path / report / "runs" / "a.json").touch()
    run([notes(tmp_path, "first")], tmp_path)
    with tarfile.open(tmp_path / "results.tar.gz") as tar:
        names = set(tar.getnames())
    assert {"gpu/first.txt", "gpu/steps.json", "gpu/summary.txt", "gpu/paper/runs/a.json"} <= names
    assert not any("other" in name for name in names)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_command_is_refused(capsys):
    assert command_line.main(["gpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("finds no GPU; `gpu` needs one")


def test_the_real_steps_are_valid_commands(tmp_path, monkeypatch):
    """As far as can be tested without a GPU: each parses its options and finds its tests."""
    monkeypatch.setattr(gpu.shutil, "which", lambda *_, **__: "compute-sanitizer")
    monkeypatch.setattr(gpu.cluster, "refuses", lambda *_: None)
    monkeypatch.setattr(gpu.cluster, "unavailable", lambda *_: None)
    planned = {step.name: step for step in gpu.steps(torch.device("cuda"), tmp_path)}
    assert list(planned) == ["tests", "speed", "memcheck", "racecheck", "synccheck", "times", "paper"]
    assert all(step.cannot is None for step in planned.values())
    for name in ("speed", "times"):
        python_, module, *options = planned[name].command
        assert (python_, module, options.pop(0)) == (sys.executable, "-m", "harness")
        with pytest.raises(SystemExit) as ended:
            command_line.main([*options, "--help"])
        assert ended.value.code == 0
    imports, _, call = planned["memcheck"].command[-1].partition(";")
    exec(imports)
    assert call.strip() == "check.few_cluster_steps()"
    for name, least in (("tests", 15), ("paper", 31)):
        python_, module, *options = [*planned[name].command, *planned[name].resume]
        assert (python_, module, options.pop(0)) == (sys.executable, "-m", "pytest")
        options = ["cpu" if option == "cuda" else option for option in options if option != "-v"]
        output = tmp_path / f"{name}.txt"
        session = Session([*options, "--collect-only", "-q", "-p", "no:cacheprovider"], gpu.ROOT, output)
        assert session.wait(60) == 0, output.read_text()
        assert output.read_text().count("::") >= least
