"""Bad input: one line that names the option, what it got and what it takes; nothing trains."""

import pytest
import torch

BAD = {
    ("--scale", "huge"): "--scale is 'huge'; it takes quick or paper",
    ("--dataset", "cifar10"): "--dataset is 'cifar10'; it takes mnist or fashion-mnist or kmnist",
    ("--timing", "fast"): "--timing is 'fast'; it takes exclusive or shared",
    ("--engine", "steam"): "--engine is 'steam'; it takes auto or *eager*",
    ("--device", "tpu"): "--device is 'tpu'; it takes auto, cpu, cuda or cuda:N",
    ("--device", "cuda:x"): "--device is 'cuda:x'; it takes auto, cpu, cuda or cuda:N",
    ("--device", "cuda:999"): "--device is 'cuda:999'*",
    ("--replicates", "0"): "--replicates is '0'; it takes a whole number from 1 to 999999",
    ("--replicates", "-3"): "--replicates is '-3'; it takes a whole number from 1 to 999999",
    ("--replicates", "1.5"): "--replicates is '1.5'; it takes a whole number from 1 to 999999",
    ("--replicates", "²"): "--replicates is '²'; it takes a whole number from 1 to 999999",
    ("--accuracy-compare-fail", "x"): "--accuracy-compare-fail is 'x'; it takes percentage points*",
    ("--accuracy-compare-fail", "nan"): "--accuracy-compare-fail is 'nan'; it takes percentage points*",
    ("--accuracy-compare-fail", "-1"): "--accuracy-compare-fail is '-1'; it takes percentage points*",
    ("--accuracy-compare-fail", "2"): "--accuracy-compare-fail needs --benchmark-compare*",
    ("--benchmark-compare-fail", "min:5%"): "--benchmark-compare-fail needs --benchmark-compare*",
}


def refused(suite, *args):
    """What the session says, which must be one line and nothing run."""
    result = suite.in_process(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "passed" not in result.stdout.str()
    assert not suite.report.exists()
    (line,) = [line for line in result.errlines if line]
    return line


@pytest.mark.parametrize(("given", "said"), BAD.items(), ids=map("=".join, BAD))
def test_a_bad_value_is_refused(suite, given, said):
    pytest.LineMatcher([refused(suite, "=".join(given))]).fnmatch_lines([f"ERROR: {said}"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_refused(suite):
    line = refused(suite, "--device", "cuda")
    assert line == (
        f"ERROR: --device is 'cuda', but PyTorch {torch.__version__} sees no GPU here; "
        "it takes auto or cpu"
    )


def test_the_options_stand_under_one_heading(suite):
    text = suite.in_process("--help").stdout.str()
    ours = text[text.index("training the assignment's experiments:") :].split("\n\n")[0]
    names = "scale device engine replicates dataset data-root timing report-dir accuracy-compare-fail"
    for name in names.split():
        assert f"  --{name}=" in ours
