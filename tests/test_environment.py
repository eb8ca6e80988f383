"""What times and last digits depend on: cores, hardware, versions, settings of libraries, code."""

import hashlib
import os
import platform
import re
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.hardware import machine
from harness.session_settings import CLUSTER_MACHINE, KEPT_RUN, SETTINGS
from model import environment


def of_the_system(monkeypatch, name, content):
    """Makes the file of that name have this content; None if there is no such file."""

    def read_text(path):
        assert path == Path(name)
        if content is None:
            raise FileNotFoundError
        return content

    monkeypatch.setattr(Path, "read_text", read_text)


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0: {7, 3, 5}}[process])
    assert environment.available_cores() == [3, 5, 7]
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, cores in ((3, [0, 1, 2]), (None, [0])):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert environment.available_cores() == cores


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "machine", "name"),
    [
        ("processor\t: 0\nmodel name\t: A  CPU \nmodel name\t: B\n", "p", "m", "A  CPU"),
        ("cpu model : x\nmodel\t: 1\n", "p", "m", "p"),
        ("", "", "m", "m"),
        (None, "p", "m", "p"),
    ],
)
def test_the_processors_name(monkeypatch, cpuinfo, processor, machine, name):
    of_the_system(monkeypatch, "/proc/cpuinfo", cpuinfo)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert environment.cpu_model() == name
    assert environment.device_name(torch.device("cpu")) == name


def test_a_gpus_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device.index}")
    assert environment.device_name(torch.device("cuda", 2)) == "the GPU 2"


def test_versions():
    assert environment.version("pytest") == pytest.__version__
    assert environment.version("no-such-distribution") is None


def test_settings_that_change_code_or_its_speed(monkeypatch):
    for name in (*environment.library_settings(),):
        monkeypatch.delenv(name)
    changing = {
        "NUMBA_OPT": "0", "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1", "KMP_BLOCKTIME": "1",
        "MKL_CBWR": "x", "DNNL_MAX_CPU_ISA": "x", "ONEDNN_X": "x", "CUBLAS_X": "x", "CUBLASLT_X": "x",
        "CUDNN_X": "x", "PYTORCH_X": "x", "ATEN_CPU_CAPABILITY": "x", "CUDA_LAUNCH_BLOCKING": "1",
        "CUDA_MODULE_LOADING": "x", "LD_PRELOAD": "", "NVIDIA_TF32_OVERRIDE": "0",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    }  # fmt: skip
    others = {
        "NUMBA_CACHE_DIR": "/x", "NUMBA_DEBUG_CACHE": "1", "CUDA_VISIBLE_DEVICES": "0", "MY_OMP_X": "1",
        "LD_PRELOAD_X": "1", "XATEN_CPU_CAPABILITY": "1", "TORCH_HOME": "/x", "numba_opt": "0",
    }  # fmt: skip
    for name, value in {**changing, **others}.items():
        monkeypatch.setenv(name, value)
    assert environment.library_settings() == changing


@pytest.fixture
def untraced(monkeypatch):
    """A process without debugger, profiler or coverage."""
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    monkeypatch.setattr(sys, "getprofile", lambda: None)
    monkeypatch.setattr(tracemalloc, "is_tracing", lambda: False)
    monkeypatch.setattr(sys, "monitoring", SimpleNamespace(get_tool=lambda _: None), raising=False)


@pytest.mark.parametrize(
    ("module", "name"), [(sys, "gettrace"), (sys, "getprofile"), (tracemalloc, "is_tracing")]
)
def test_a_tool_that_slows_python_down(untraced, monkeypatch, module, name):
    assert environment.is_traced() is False
    monkeypatch.setattr(module, name, lambda: True)
    assert environment.is_traced() is True


@pytest.mark.parametrize("number", range(6))
def test_a_tool_of_pythons_monitoring(untraced, monkeypatch, number):
    def get_tool(given):
        return "a profiler" if range(6)[given] == number else None

    monkeypatch.setattr(sys, "monitoring", SimpleNamespace(get_tool=get_tool), raising=False)
    assert environment.is_traced() is True
    monkeypatch.delattr(sys, "monitoring")  # before Python 3.12
    assert environment.is_traced() is False


@pytest.fixture
def sources(tmp_path):
    """A folder with code, and everything that is none."""
    for name in (
        "b.py", "a/c.py", "a/kernel.cu", ".hidden.py", ".git/d.py", "venv/pyvenv.cfg", "venv/e.py",
        "text.md",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to("nowhere")
    return tmp_path


def digest(*files):
    """Returns the digest of files given as (name, content)."""
    text = b"".join(name.encode() + b"\0" + content for name, content in files)
    return hashlib.sha256(text).hexdigest()[:12]


def test_a_digest_is_of_the_names_and_contents_of_code(sources):
    files = [("a/c.py", b"a/c.py"), ("a/kernel.cu", b"a/kernel.cu"), ("b.py", b"b.py")]
    assert environment.code_digest([sources]) == digest(*files)
    assert environment.code_digest([sources / "b.py", sources / "a"]) == digest(
        ("b.py", b"b.py"), ("c.py", b"a/c.py"), ("kernel.cu", b"a/kernel.cu")
    )
    assert environment.code_digest([sources / "text.md", sources / "missing.py"]) == digest()


def test_a_file_that_cannot_be_read_counts_as_empty(sources, monkeypatch):
    def read_bytes(path):
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert environment.code_digest([sources / "b.py"]) == digest(("b.py", b""))


# The machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "count", "line"),
    [
        ("auto", 0, None),
        ("cpu", 0, None),
        ("cuda", 1, None),
        ("cuda:0", 1, None),
        ("cuda:1", 2, None),
        ("cuda:1", 1, "--device is 'cuda:1'; expected cuda:0"),
        ("cuda:2", 2, "--device is 'cuda:2'; expected cuda:0 to cuda:1"),
        ("cuda:999", 3, "--device is 'cuda:999'; expected cuda:0 to cuda:2"),
        ("cuda:1000", 3, "--device is 'cuda:1000'; expected auto, cpu, cuda or cuda:N"),
        ("cuda:01", 3, "--device is 'cuda:01'; expected auto, cpu, cuda or cuda:N"),
        ("gpu", 3, "--device is 'gpu'; expected auto, cpu, cuda or cuda:N"),
        ("", 3, "--device is ''; expected auto, cpu, cuda or cuda:N"),
        (
            "cuda",
            0,
            f"--device is 'cuda', but PyTorch {torch.__version__} sees no GPU here; "
            "expected auto or cpu",
        ),
    ],
)
def test_devices(monkeypatch, given, count, line):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    if line is None:
        machine.check_device(given, "--device")
        return
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        machine.check_device(given, "--device")


@pytest.mark.parametrize(
    ("name", "available", "devices"),
    [
        ("auto", True, ["cuda:0", "cuda:1"]),
        ("auto", False, ["cpu"]),
        ("cuda", True, ["cuda:0", "cuda:1"]),
        ("cuda:1", True, ["cuda:1"]),
        ("cpu", True, ["cpu"]),
    ],
)
def test_devices_that_a_training_may_take(monkeypatch, name, available, devices):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(each) for each in machine.candidate_devices(name)] == devices


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan\nGCC 12.3.0 (x)\n",
            "570.86.15",
        ),
        ("NVRM version: Kernel Module  535.54 Thu\n", "535.54"),
        ("nothing", None),
        (None, None),
    ],
)
def test_the_driver(monkeypatch, text, driver):
    of_the_system(monkeypatch, "/proc/driver/nvidia/version", text)
    assert machine._driver() == driver


def test_a_machine_with_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    monkeypatch.setattr(machine, "_driver", lambda: "570.1")
    found = machine.describe_machine(torch.device("cuda", 0))
    assert {
        name: found[name] for name in ("device", "device_name", "gpus", "driver", "cuda", "cudnn")
    } == {
        "device": "cuda",
        "device_name": "A GPU",
        "gpus": 2,
        "driver": "570.1",
        "cuda": "12.9",
        "cudnn": 91000,
    }
    here = machine.describe_machine(torch.device("cpu"))
    assert here | {"gpus": 0, "driver": None, "cuda": None, "cudnn": None} == here
    assert here["cores"] == len(environment.available_cores())
    assert here["device_name"] == here["cpu"] == environment.cpu_model()
    assert here["torch"] == environment.version("torch")


def test_the_machine_is_the_kept_runs_then_the_clusters_then_this_one(monkeypatch):
    monkeypatch.setattr(machine, "describe_machine", lambda device: {"device": device.type})
    stash = {SETTINGS: SimpleNamespace(device="cpu")}
    config = SimpleNamespace(stash=stash)
    assert machine.machine_of(config) == {"device": "cpu"}
    stash[CLUSTER_MACHINE] = {"device": "cuda", "cores": 7}
    assert machine.machine_of(config) == {"device": "cuda", "cores": 7}
    stash[KEPT_RUN] = SimpleNamespace(machine={"device": "kept"})
    assert machine.machine_of(config) == {"device": "kept"}


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    def git(folder, *arguments, timeout):
        assert folder == tmp_path
        return answers.pop()

    answers = ["", "a" * 40, "b" * 40 + "-dirty"]
    monkeypatch.setattr(machine.processes, "git", git)
    assert [machine.git_commit(tmp_path) for _ in range(3)] == ["b" * 40 + "-dirty", "a" * 40, None]

    def fail(*_, **__):
        raise ValueError("git is not in PATH")

    monkeypatch.setattr(machine.processes, "git", fail)
    assert machine.git_commit(tmp_path) is None
