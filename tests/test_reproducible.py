"""The same command gives identical results: serially, with -n, and in any order."""

import importlib

import pytest
import torch

from model.engines import ENGINES, cannot_run
from model.engines.cluster import engine as cluster
from model.engines.cuda_graph import engine as cuda_graph
from model.experiment import Experiment
from model.optimizers import SGD

GPU_ENGINES = (cluster, cuda_graph)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# The suite's exercises with real training instead of made-up results, and tests in an order that depends
# on a seed.
CONFTEST = """
    import model.train
    from model.data.mnist import Data
    from tests.data import made_up_on

    def load(dataset, root, device):
        data = made_up_on(device)
        few = data.train_images[:129], data.train_labels[:129]
        return Data(data.dataset, *few, data.test_images, data.test_labels)

    harness.plugin.fixtures.train_model = model.train.train
    harness.plugin.fixtures.load = load

def pytest_collection_modifyitems(items):
    import random

    random.Random(os.environ["ORDER"]).shuffle(items)
"""


@pytest.fixture(scope="session")
def compiler():
    """PyTorch imports it in an optimizer's first step, and cannot do so twice (see `prepared`)."""
    importlib.import_module("torch._dynamo")


@pytest.fixture
def real(compiler, suite, engine):
    (suite.path / "conftest.py").open("a").write(CONFTEST)
    # Batches of one example, which every engine supports; for eager, the slowest, in one row only.
    first = "1 if rate == 0.25 else 32" if engine == "eager" else "1"
    for number, batch_size in ((1, first), (2, "128")):
        module = suite.module(number)
        module.write_text(module.read_text().replace('"batch_size": 10', f'"batch_size": {batch_size}'))
    return suite


def results(suite, monkeypatch, engine, order, *args):
    """Returns a run's records without seconds, and without checksums, which depend on them."""
    monkeypatch.setenv("ORDER", order)
    some = ("-k", "test_1") if engine == "cluster" else ()
    result = suite.run("--engine", engine, "--device", DEVICE, "--replicates", "2", *some, *args)
    result.assert_outcomes(passed=3 if some else 6)
    return {
        record["id"]: {
            name: value for name, value in record.items() if "seconds" not in name and name != "checksum"
        }
        for record in suite.records()
    }


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(engine.NAME, marks=pytest.mark.gpu if engine in GPU_ENGINES else ())
        for engine in ENGINES
    ],
)
def test_the_same_command_gives_the_same_results(real, monkeypatch, engine):
    (chosen,) = (each for each in ENGINES if each.NAME == engine)
    if refusal := cannot_run(
        chosen, Experiment(optimizer=SGD(1), batch_size=1, epochs=1), torch.device(DEVICE)
    ):
        pytest.skip(f"the engine cannot run here: {refusal}")
    runs = [
        results(real, monkeypatch, engine, "a"),
        results(real, monkeypatch, engine, "a", "-n", "2"),
        results(real, monkeypatch, engine, "b"),
    ]
    assert {record["engine"] for record in runs[0].values()} == {engine}
    assert runs[0] == runs[1] == runs[2]
