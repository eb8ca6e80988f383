"""Bad input is refused in one line with the option, its value and what was expected; nothing trains."""

import os
import resource
from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from harness.gates import plugin as gates
from harness.plugin import options
from harness.results.report_folder import ReportFolder
from harness.session_settings import SESSION_STUDY, SETTINGS
from harness.study import Study, StudyFolder
from model.data.download import DataError, ensure_downloaded
from model.dataset import DATASETS
from tests.properties import at_any_speed

BAD = {
    ("--scale", "huge"): "--scale is 'huge'; expected quick or paper",
    (
        "--dataset",
        "cifar10",
    ): "--dataset is 'cifar10'; expected mnist, fashion-mnist, kmnist, emnist-* or emnist-*",
    ("--timing", "fast"): "--timing is 'fast'; expected exclusive or shared",
    ("--engine", "steam"): "--engine is 'steam'; expected auto, * or eager",
    ("--shard", "0/4"): "--shard is '0/4'; expected K/N, such as 2/4, with K from 1 to N",
    ("--shard", "5/4"): "--shard is '5/4'; expected K/N, such as 2/4, with K from 1 to N",
    ("--shard", "2"): "--shard is '2'; expected K/N, such as 2/4, with K from 1 to N",
    ("--device", "tpu"): "--device is 'tpu'; expected auto, cpu, cuda or cuda:N",
    ("--device", "cuda:x"): "--device is 'cuda:x'; expected auto, cpu, cuda or cuda:N",
    ("--device", "cuda:999"): "--device is 'cuda:999'*",
    ("--replicates", "0"): "--replicates is '0'; expected a whole number from 1 to 999999",
    ("--replicates", "-3"): "--replicates is '-3'; expected a whole number from 1 to 999999",
    ("--replicates", "1.5"): "--replicates is '1.5'; expected a whole number from 1 to 999999",
    ("--replicates", "²"): "--replicates is '²'; expected a whole number from 1 to 999999",
    ("--replicates", "999999"): "--replicates is '999999', which needs at least 2.43e+03 GiB of memory*",
    ("--accuracy-compare-fail", "x"): "--accuracy-compare-fail is 'x'; expected percentage points*",
    ("--accuracy-compare-fail", "nan"): "--accuracy-compare-fail is 'nan'; expected percentage points*",
    ("--accuracy-compare-fail", "-1"): "--accuracy-compare-fail is '-1'; expected percentage points*",
    ("--accuracy-compare-fail", "2"): "--accuracy-compare-fail needs --benchmark-compare*",
    ("--benchmark-compare-fail", "min:5%"): "--benchmark-compare-fail needs --benchmark-compare*",
}


@pytest.mark.parametrize(("given", "said"), BAD.items(), ids=map("=".join, BAD))
def test_a_bad_value_is_refused(suite, given, said):
    pytest.LineMatcher([suite.refused("=".join(given))]).fnmatch_lines([f"ERROR: {said}"])


GOOD = {
    "scale": None,
    "device": "cpu",
    "engine": "auto",
    "replicates": "1",
    "dataset": "mnist",
    "data_root": None,
    "timing": "exclusive",
    "report_dir": None,
    "resume": False,
    "shard": None,
    "save_weights": False,
    "tensorboard": None,
    "cluster": None,
    "cluster_same": False,
    "seeds_until_decided": None,
    "accuracy_compare_fail": None,
    "time_compare_fail": None,
    "benchmark_compare_fail": None,
    "benchmark_compare": ["0001"],
    **dict.fromkeys(("fail_bare_falls", "fail_underpowered", "collectonly", "setuponly", "setupplan")),
    **dict.fromkeys(("benchmark_disable", "benchmark_skip")),
}
MOST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (2 * 266_610 * 4 + 60_000 * 8)
ALLOWED = {
    "scale": lambda value: value in ("quick", "paper"),
    "dataset": lambda value: value in DATASETS,
    "timing": lambda value: value in ("exclusive", "shared"),
    "engine": lambda value: value in ("auto", "eager", "numba", "cuda-graph", "cluster"),
    "device": lambda value: (
        value in ("auto", "cpu") or (value[:4] == "cuda" and torch.cuda.is_available())
    ),
    "replicates": lambda value: value.isascii() and value.isdigit() and 0 < int(value) <= MOST,
    "seeds_until_decided": lambda value: value.isascii() and value.isdigit() and 1 < int(value) <= MOST,
    "accuracy_compare_fail": lambda value: 0 < float(value) <= 100,
    "time_compare_fail": lambda value: 0 < float(value) <= 1000,
}


def check(folder, called_from=None, **given):
    """Checks a session's options with these values; returns its settings."""
    config = SimpleNamespace(
        option=SimpleNamespace(**{**GOOD, **given}),
        rootpath=folder,
        invocation_params=SimpleNamespace(dir=called_from or folder),
        stash=pytest.Stash(),
    )
    study = Study(title="A study", scales={"quick": 1, "paper": 2}, home="..", data_root="../data")
    config.stash[SESSION_STUDY] = StudyFolder(study, folder / "bench")
    options.pytest_configure(config)
    gates.pytest_configure(config)
    return config.stash[SETTINGS]


@pytest.mark.parametrize("value", ["0", "-5", "abc", "inf", "nan", "", "1001"])
def test_a_bad_percentage_is_refused(tmp_path, value):
    with pytest.raises(
        pytest.UsageError, match=f"--time-compare-fail is '{value}'; expected a slowdown"
    ):
        check(tmp_path, time_compare_fail=value)


def test_given_folders_are_relative_to_the_caller_and_default_folders_to_the_study(tmp_path):
    here = tmp_path / "here"
    given = check(tmp_path, called_from=here, report_dir="mine", data_root="../data-sets")
    assert (given.report_dir, given.data_root) == (here / "mine", tmp_path / "data-sets")
    default = check(tmp_path, called_from=here)
    assert (default.report_dir.parent, default.data_root) == (tmp_path / "reports", tmp_path / "data")


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    """A shell does not do so after a `=`, and a folder called ~ invites `rm -rf ~`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    given = check(tmp_path, report_dir="~/mine", data_root="~/data")
    assert (given.report_dir, given.data_root) == (tmp_path / "home/mine", tmp_path / "home/data")
    with pytest.raises(
        pytest.UsageError, match=r"^--report-dir is '~nobody-here/x', but there is no such home folder$"
    ):
        check(tmp_path, report_dir="~nobody-here/x")


@pytest.mark.parametrize("name", ALLOWED)
@at_any_speed
@example(value="0")
@example(value="1")
@example(value="100")
@example(value="100.5")
@example(value=str(MOST))
@example(value=str(MOST + 1))
@given(value=st.text() | st.integers().map(str) | st.floats().map(str) | st.from_regex(r"cuda:?\d*"))
def test_any_value_is_accepted_or_refused_in_one_line(tmp_path_factory, name, value):
    try:
        allowed = ALLOWED[name](value)
    except ValueError:
        allowed = False
    folder = tmp_path_factory.getbasetemp()
    if allowed:
        check(folder, **{name: value})
        return
    with pytest.raises(pytest.UsageError) as refused:
        check(folder, **{name: value})
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"--{name.replace('_', '-')} is {value!r}")


@pytest.mark.parametrize("value", ["file", "file/below", "x" * 300], ids=["file", "below", "long"])
def test_a_folder_that_cannot_be_created_is_refused(tmp_path, value):
    (tmp_path / "file").touch()
    with pytest.raises(pytest.UsageError) as refused:
        ReportFolder(tmp_path / value, fingerprint={}, resume=False)
    assert str(refused.value).startswith(f"--report-dir is {tmp_path / value}, which cannot be ")
    with pytest.raises(DataError) as missing:
        ensure_downloaded("mnist", tmp_path / value)
    assert str(tmp_path / value) in str(missing.value)
    assert len(f"{refused.value}{missing.value}".splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_refused(suite):
    line = suite.refused("--device", "cuda")
    assert line == (
        f"ERROR: --device is 'cuda', but PyTorch {torch.__version__} sees no GPU here; "
        "expected auto or cpu"
    )


@pytest.mark.parametrize("plugin", ["benchmark", "terminal", "capture"])
def test_a_missing_plugin_is_named(suite, plugin):
    line = suite.refused("-p", f"no:{plugin}")
    assert line.startswith(f"ERROR: pytest's plugin {plugin!r} (")
    assert line.endswith(
        f") is not loaded; install it, and do not disable it with -p no:{plugin} or "
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
    )


def test_plugins_without_autoload(suite, monkeypatch):
    """As distributions run tests; a plugin may be loaded by the name of its module."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in suite.refused()
    result = suite.run("-p", "pytest_benchmark.plugin", "-p", "xdist.plugin", "-k", "lr0.5")
    result.assert_outcomes(passed=2)


def test_too_few_open_files_are_refused(suite):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (63, before[1]))
    try:
        line = suite.refused()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert line == "ERROR: `ulimit -n` is 63; expected at least 64"


@pytest.mark.parametrize("option", ["--rootdir={}", "-c{}/other.ini"])
def test_a_root_or_settings_elsewhere_are_refused(suite, tmp_path_factory, option):
    """Otherwise rows would train without tables, data check or lock."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "other.ini").write_text("[pytest]\n")
    line = suite.refused(option.format(elsewhere))
    assert line.startswith(f"ERROR: pytest's root is {elsewhere}, with settings from ")
    assert line.endswith(
        f"; expected {suite.path}/bench, or the folder above it that has pytest's settings, without "
        "--rootdir or -c"
    )


def test_the_options_are_listed_under_one_heading(suite):
    text = suite.run("--help").stdout.str()
    ours = text[text.index("training a study's experiments:") :].split("\n\n")[0]
    names = "scale device engine replicates dataset data-root timing report-dir"
    for name in (*names.split(), "time-compare-fail", "accuracy-compare-fail"):
        assert f"  --{name}=" in ours
    assert "  --resume " in ours


CODSPEED = """
def pytest_addoption(parser):
    parser.addoption("--codspeed", action="store_true")
"""


@pytest.mark.parametrize("by", ["option", "variable"])
def test_codspeed_is_refused(suite, monkeypatch, by):
    conftest = suite.path / "conftest.py"
    conftest.write_text(conftest.read_text() + CODSPEED)
    if by == "variable":
        monkeypatch.setenv("CODSPEED_ENV", "1")
    line = suite.refused(*(["--codspeed"] if by == "option" else []))
    assert "--codspeed replaces pytest-benchmark, which times the trainings; leave it out" in line
