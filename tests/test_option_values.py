"""Values of options, each alone: what they become, and the line that refuses them."""

import os
from types import SimpleNamespace

import pytest
import torch

from harness.plugin import options
from harness.session_settings import SESSION_STUDY


def refusal(call, *given, **named):
    """Returns the line with which a value is refused."""
    with pytest.raises(pytest.UsageError) as refused:
        call(*given, **named)
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.fixture
def config(tmp_path):
    """A session that was started in a folder, with these options."""

    def make(given=None, **named):
        return SimpleNamespace(
            option=SimpleNamespace(**(given or {})),
            getoption=lambda name, default: named.get(name, default),
            invocation_params=SimpleNamespace(dir=tmp_path),
            stash={SESSION_STUDY: SimpleNamespace(reports=tmp_path / "reports")},
        )

    return make


@pytest.mark.parametrize(
    ("given", "shard"),
    [("1/1", (1, 1)), ("2/4", (2, 4)), ("4/4", (4, 4)), ("1/999", (1, 999)), (None, None)],
)
def test_shards(config, given, shard):
    found = options._shard(config({"shard": given}))
    assert (found and (found.index, found.count)) == shard


@pytest.mark.parametrize("given", ["0/4", "5/4", "2", "2/", "/4", "a/b", "1/1000", "-1/2", "01/2", ""])
def test_what_is_no_shard(config, given):
    assert refusal(options._shard, config({"shard": given})) == (
        f"--shard is {given!r}; expected K/N, such as 2/4, with K from 1 to N"
    )


@pytest.mark.parametrize("option", ["lf", "stepwise"])
def test_shards_need_the_same_rows_on_every_machine(config, option):
    name = {"lf": "--lf", "stepwise": "--sw"}[option]
    assert refusal(options._shard, config({"shard": "1/2"}, **{option: True})) == (
        f"--shard cannot be combined with {name}, which selects rows by what ran on this machine; "
        "leave one out"
    )
    assert options._shard(config({"shard": None}, **{option: True})) is None


def seeds_until_decided(most, replicates=2, cluster=None, shard=None):
    given = SimpleNamespace(seeds_until_decided=most, cluster=cluster, shard=shard, device="cpu")
    return options._seeds_until_decided(given, replicates)


@pytest.mark.parametrize(
    ("most", "replicates", "found"), [(None, 2, None), ("3", 2, 3), ("4", 3, 4), ("020", 1, 20)]
)
def test_the_most_seeds(most, replicates, found):
    assert seeds_until_decided(most, replicates) == found


@pytest.mark.parametrize(
    ("most", "least"), [("2", 3), ("1", 3), ("a", 3), ("-1", 3), ("", 3), ("1e3", 3)]
)
def test_the_most_seeds_are_more_than_the_first(most, least):
    assert refusal(seeds_until_decided, most) == (
        f"--seeds-until-decided is {most!r}; expected a whole number from {least} to 999999"
    )


@pytest.mark.parametrize("other", ["cluster", "shard"])
def test_seeds_are_added_in_the_session_that_decides(other):
    assert refusal(seeds_until_decided, "8", **{other: "1/2"}) == (
        f"--seeds-until-decided cannot be combined with --{other}, which trains rows outside the "
        "session that decides the claims; leave one out"
    )


@pytest.mark.parametrize(("gib", "most"), [(1, True), (0.999, False)])
def test_replicates_that_just_fit_into_memory(monkeypatch, gib, most):
    monkeypatch.setattr(options, "_REPLICATE_BYTES", 2**28)
    monkeypatch.setattr(
        os, "sysconf", lambda name: {"SC_PAGE_SIZE": 2**10, "SC_PHYS_PAGES": int(gib * 2**20)}[name]
    )
    if most:
        options._check_memory("--replicates", "cpu", 4)
    else:
        assert refusal(options._check_memory, "--replicates", "cpu", 4) == (
            "--replicates is '4', which needs at least 1 GiB of memory, and there are 0.999 GiB; "
            "expected at most 3"
        )


def test_the_memory_of_a_gpu_is_that_of_the_largest(monkeypatch):
    gpus = [torch.device("cuda", 0), torch.device("cuda", 1)]
    monkeypatch.setattr(options, "_REPLICATE_BYTES", 2**30)
    monkeypatch.setattr(options, "candidate_devices", lambda device: gpus)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(total_memory={0: 2 * 2**30, 1: 3 * 2**30}[device.index]),
    )
    options._check_memory("--replicates", "auto", 3)
    assert refusal(options._check_memory, "--replicates", "auto", 4) == (
        "--replicates is '4', which needs at least 4 GiB of memory, and there are 3 GiB; "
        "expected at most 3"
    )


def test_a_folder_for_tensorboard(config, tmp_path, monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda package: {"tensorboard": True}[package])
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir()
    made = config()
    assert options._tensorboard(made, None) is None
    assert options._tensorboard(made, "a/b") == tmp_path / "a" / "b"
    assert options._tensorboard(made, "closed") == tmp_path / "closed"
    for given in ("file", "file/below"):
        assert refusal(options._tensorboard, made, given) == (
            f"--tensorboard is {given!r}, but {tmp_path / 'file'} is not a folder; expected a folder"
        )
    assert refusal(options._tensorboard, made, "") == "--tensorboard is ''; expected a folder"
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path / "closed", os.W_OK))
    assert refusal(options._tensorboard, made, "closed/below") == (
        f"--tensorboard is 'closed/below', but {tmp_path / 'closed'} cannot be written; "
        "expected a folder"
    )


def test_what_an_option_needs_is_named(config, monkeypatch):
    monkeypatch.setattr(options, "find_spec", lambda package: None)
    assert refusal(options._tensorboard, config(), "x") == (
        "--tensorboard needs tensorboard, which is not installed; `pip install tensorboard` installs it"
    )
    assert refusal(options._needs, "--save-weights", "safetensors") == (
        "--save-weights needs safetensors, which is not installed; `pip install safetensors` installs it"
    )


def test_folders_are_relative_to_where_pytest_was_called(config, tmp_path):
    made = config()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    assert options._resolved(made, "--x", "link/a") == tmp_path / "real" / "a"
    assert options._resolved(made, "--x", tmp_path / "b") == tmp_path / "b"
    assert options._resolved(made, "--x", "loop/a") == tmp_path / "loop" / "a"
    assert options._resolved(made, "--x", "x" * 300).name == "x" * 300
    assert refusal(options._resolved, made, "--x", "~nobody-of-that-name/a").startswith("--x is ")


@pytest.mark.parametrize(
    ("device", "on_cluster", "line"),
    [
        ("cuda", True, None),
        ("auto", True, None),
        ("cpu", True, None),
        ("cuda:0", True, "--device is 'cuda:0'; expected auto, cpu or cuda with --cluster"),
        ("tpu", True, "--device is 'tpu'; expected auto, cpu or cuda with --cluster"),
        ("cpu", False, None),
    ],
)
def test_devices(device, on_cluster, line):
    if line:
        assert refusal(options._check_device, device, on_cluster=on_cluster) == line
    else:
        options._check_device(device, on_cluster=on_cluster)


def test_the_folder_of_the_report(config, tmp_path, monkeypatch):
    made, reports = config(), tmp_path / "reports"
    monkeypatch.setattr(options.run_folders, "latest", lambda folder: folder / "newest")
    monkeypatch.setattr(options.run_folders, "new", lambda folder: folder / "new")
    for given, resume, folder in (
        ("mine", False, tmp_path / "mine"),
        ("mine", True, tmp_path / "mine"),
        (None, False, reports / "new"),
        (None, True, reports / "newest"),
        ("reports/latest", False, reports / "new"),
        ("reports/latest", True, reports / "newest"),
        ("reports/../reports/latest", True, reports / "newest"),
    ):
        assert options._report_dir(made, given, resume=resume) == folder, given
    monkeypatch.setattr(options.run_folders, "latest", lambda folder: None)
    assert options._report_dir(made, None, resume=True) == reports / "new"
