"""`--save-weights`: each seed's final network, which evaluates to the recorded accuracy."""

import json
import sys

import numpy as np
import pytest
import torch

import model.data.mnist
from harness import ownership
from harness.export import read_network
from harness.files.sealed import FileError
from harness.files.weights import networks_of, write_network
from model.experiment import Experiment
from model.observers import Observer
from model.optimizers import SGD
from model.train import train
from tests.data import made_up


@pytest.fixture
def trained(suite, monkeypatch):
    """Runs the suite with real trainings on made-up data."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p tests.small")
    conftest = suite.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('pytest_plugins += ["tests.fakes"]', ""))
    for number in (1, 2):  # few steps
        module = suite.module(number)
        module.write_text(module.read_text().replace('"batch_size": 10', '"batch_size": 500'))
    monkeypatch.setattr(model.data.mnist, "load", lambda *_: made_up())
    # Sessions in this process unload Numba's modules, which cannot be imported twice.
    monkeypatch.setattr("model.evaluate._compiled_holds", lambda _: False)
    monkeypatch.setattr("harness.plugin.session.draw_report", lambda *_: "No report.")
    return suite


def networks(suite):
    return {path.name: read_network(path) for path in (suite.report / "weights").iterdir()}


def test_each_seeds_network_evaluates_to_the_recorded_accuracy(trained):
    options = ("--replicates", "2", "-n", "2", "-k", "test_1_fake and not 1.0")
    trained.run_apart("--save-weights", *options).assert_outcomes(passed=2)
    records = {record["id"]: record for record in trained.records()}
    found = networks(trained)
    assert len(found) == 4
    assert ownership.foreign_file(trained.report) is None
    for name, network in found.items():
        record = records[network.case]
        assert name.startswith(f"{network.case.partition('.py')[0].removeprefix('bench/')}.sgd-lr")
        assert name.endswith(f".seed{network.seed}.safetensors")
        at = record["seeds"].index(network.seed)
        assert network.test_accuracy == record["test_accuracy"][-1][at]
        assert network.evaluate(device="cpu") == network.test_accuracy
        assert network.experiment.to_dict() == record["experiment"]
        assert (network.engine, network.device) == (record["engine"], record["device"])
        # It is the network that PyTorch makes of it, too.
        data = made_up()
        with torch.no_grad():
            predicted = network.network()(data.test_images).argmax(dim=1)
        assert (predicted == data.test_labels).double().mean().item() == network.test_accuracy
    one, other = (found[name].state["0.weight"] for name in sorted(found)[:2])
    assert not torch.equal(one, other)


def test_a_resumed_row_without_weights_is_named(suite):
    suite.run("-k", "test_1_fake").assert_outcomes(passed=3)
    result = suite.run_apart("--resume", "--save-weights", "-k", "0.25 and test_1_fake")
    result.assert_outcomes(passed=1)
    case = "bench/test_1_fake.py::test_training[sgd-lr0.25]"
    result.stdout.fnmatch_lines([f"{case} has no weights: it was trained without --save-weights"])
    shown = suite.run("--resume", "-k", "0.25 and test_1_fake").stdout.str()
    assert "has no weights" not in shown


def test_without_safetensors_it_is_refused_in_one_line(suite, monkeypatch):
    monkeypatch.setattr("harness.plugin.options.find_spec", lambda name: None)
    assert suite.refused("--save-weights") == (
        "ERROR: --save-weights needs safetensors, which is not installed; `pip install safetensors` "
        "installs it"
    )


@pytest.fixture
def saved(tmp_path):
    """The file of a network that was trained in this process."""
    experiment = Experiment(optimizer=SGD(0.25), batch_size=500, epochs=1)
    final = []
    keep = Observer(lambda seen: final.extend(seen.parameters) or {})
    training = train(experiment, made_up(), seeds=(3,), engine="eager", observers=[keep])
    (network,) = networks_of("bench/test_x.py::test_training[sgd]", training, final)
    path = tmp_path / "weights" / "a network.safetensors"
    write_network(path, network)
    return path


def refusal(path):
    with pytest.raises(FileError) as error:
        read_network(path)
    return str(error.value)


def test_files_that_are_damaged_or_foreign_are_named(saved, tmp_path):
    content = saved.read_bytes()
    for changed in (b"", content[:100], content[:-4], b"PK" + content, content + b"more"):
        saved.write_bytes(changed)
        assert refusal(saved).startswith(f"{saved} cannot be read: ")
    saved.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert refusal(saved) == (
        f"{saved} cannot be read: its tensors do not have the checksum in its metadata"
    )
    assert refusal(tmp_path) == f"{tmp_path} cannot be read: it is not a regular file"
    assert refusal(tmp_path / "no") == f"{tmp_path}/no cannot be read: there is no such file"


def test_a_safetensors_file_of_something_else(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(3)}, path)
    assert refusal(path) == f"{path} cannot be read: its metadata has no case"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"experiment": "{"}, "Expecting property name"),
        ({"experiment": "[]"}, "the experiment is []"),
        ({"seed": "x"}, "invalid literal for int"),
        ({"test_accuracy": "1.5"}, "test_accuracy is 1.5; expected 0 to 1"),
        ({"test_accuracy": "nan"}, "test_accuracy is nan; expected 0 to 1"),
    ],
)
def test_metadata_are_checked(saved, changes, why):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(saved, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, saved, metadata)
    assert why in refusal(saved)
    assert "\n" not in refusal(saved)


def test_tensors_of_another_network_are_refused(saved):
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["experiment"])["batch_size"] == 500
    save_file({"0.weight": torch.zeros(2, 2)}, saved, metadata)
    assert refusal(saved).endswith("it has other tensors than its experiment's network")


def test_reading_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert refusal(tmp_path / "x") == f"{tmp_path}/x cannot be read: safetensors is not installed"
