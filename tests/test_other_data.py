"""The assignment's exercises on another data set train and decide, without assertions about MNIST."""

import hashlib
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from harness.processes import environment
from model.data.download import FILES
from model.engines.numba_loop import compilation

from .conftest import ROOT


@pytest.fixture
def fashion(tmp_path):
    """Files in Fashion-MNIST's format, with a few images of ten classes."""
    rng = np.random.default_rng(0)
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    strokes = rng.random((10, 28, 28)) < 0.15
    digests = {}
    for images, labels, count in ((*FILES[:2], 4000), (*FILES[2:], 300)):
        classes = np.arange(count) % 10
        pixels = 100 * (strokes[classes] ^ (rng.random((count, 28, 28)) < 0.02))
        contents = {
            images: struct.pack(">4i", 2051, count, 28, 28) + pixels.astype(np.uint8).tobytes(),
            labels: struct.pack(">2i", 2049, count) + classes.astype(np.uint8).tobytes(),
        }
        for name, content in contents.items():
            (raw / name).write_bytes(content)
            digests[name] = hashlib.md5(content).hexdigest()
    (tmp_path / "made_up.py").write_text(
        f"from model.data import download\ndownload._UNPACKED_MD5['fashion-mnist'] = {digests}\n"
        "def pytest_configure():\n"
        "    import harness.plugin.session\n"
        "    harness.plugin.session.draw_report = lambda *_: 'No page.'  # it takes ten seconds\n"
    )
    return tmp_path


@pytest.mark.skipif(compilation.numba_unavailable() is not None, reason="Numba cannot run here")
def test_the_quick_suite_passes_on_fashion_mnist(fashion):
    report = fashion / "report"
    options = [f"--data-root={fashion / 'data'}", f"--report-dir={report}", "--timing=shared"]
    command = [sys.executable, "-m", "pytest", "bench", "-q", "-p", "made_up", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, "--dataset=fashion-mnist", "--engine=numba", *options],
        cwd=ROOT,
        env=environment(imports=fashion),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
    assert " passed" in ran.stdout
    heading = "assertions left out on fashion-mnist: they hold on mnist only"
    (start,) = [at for at, line in enumerate(ran.stdout.splitlines()) if heading in line]
    listed = ran.stdout.splitlines()[start + 1 :]
    assert "bench/test_1_minibatch_size.py::test_100_learns" in listed
    assert "bench/test_4_adam_vs_sgd.py::test_training[adam-lr0.001]" in listed
    summary = json.loads((report / "summary.json").read_text())
    assert summary["dataset"] == "fashion-mnist"
    assert len(summary["claims"]) == sum(len(each["claims"]) for each in summary["exercises"])
    assert {*summary["cases"][0]["time_to_accuracy"]} == {"0.80", "0.85", "0.88"}
    assert " to 80% " in " ".join(ran.stdout.split())
