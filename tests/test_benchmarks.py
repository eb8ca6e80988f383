"""pytest-benchmark's records reach the controlling process, however tests are distributed."""

import json

import pytest

CASES = {
    f"bench/test_{n}_fake.py::test_training[sgd-lr{rate}]" for n in (1, 2) for rate in (0.25, 0.5, 1.0)
}
WORKERS = {
    "serial": (),
    "n0": ("-n", "0"),
    "n2": ("-n", "2"),
    "loadfile": ("-n", "2", "--dist", "loadfile"),
    "loadgroup": ("-n", "2", "--dist", "loadgroup"),
}


def saved(suite):
    content = json.loads((suite.path / "saved.json").read_text())
    return {case["fullname"]: case for case in content["benchmarks"]}


@pytest.mark.parametrize("workers", WORKERS.values(), ids=WORKERS)
def test_every_case_is_saved_and_shown(suite, workers):
    shown = ("--benchmark-sort=name",)
    result = suite.run("--benchmark-json=saved.json", "--benchmark-autosave", *shown, *workers)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*benchmark 'exercise 1: fake': 3 tests*"])
    assert "automatically disabled" not in result.stdout.str() + result.stderr.str()
    cases = saved(suite)
    assert set(cases) == CASES
    for fullname, case in cases.items():
        rate = float(fullname.partition("lr")[2].rstrip("]"))
        assert case["stats"]["median"] == case["stats"]["min"] == pytest.approx(rate)
        assert case["stats"]["rounds"] == 1
        assert case["params"] == {"row": f"sgd-lr{rate}"}
        assert (
            case["extra_info"].items()
            >= {
                "engine": "eager",
                "device": "cpu",
                "timing": "exclusive",
                "scale": "quick",
                "dataset": "mnist",
                "seeds": [0],
                "seconds": rate,
                "test_accuracy": [0.95],
                "epochs_to": {"0.90": [1], "0.95": [1], "0.97": [None]},
            }.items()
        )
    assert len(list((suite.path / ".benchmarks").rglob("*.json"))) == 1


def test_every_epoch_is_a_round(suite):
    suite.run("--benchmark-json=saved.json", "--scale", "paper", "-k", "test_1").assert_outcomes(
        passed=3
    )
    for fullname, case in saved(suite).items():
        rate = float(fullname.partition("lr")[2].rstrip("]"))
        assert case["stats"]["data"] == pytest.approx([rate / 2, rate / 2])
        assert case["extra_info"]["seconds"] == rate


def test_the_saved_file_is_the_same_under_xdist(suite):
    files = []
    for workers in ("0", "2"):
        suite.run("--benchmark-json=saved.json", "-n", workers).assert_outcomes(passed=6)
        files.append(saved(suite))
    assert files[0] == files[1]


def test_a_failing_test_keeps_its_record(suite):
    suite.add(1, "def test_training_fails(train):\n    train('sgd-lr0.25')\n    assert False")
    result = suite.run("--benchmark-json=saved.json", "-n", "2")
    result.assert_outcomes(passed=6, failed=1)
    assert set(saved(suite)) == CASES | {"bench/test_1_fake.py::test_training_fails"}


def test_a_crashing_worker_loses_only_its_test(suite):
    suite.add(1, "def test_crash(train):\n    train('sgd-lr0.25')\n    os._exit(1)")
    result = suite.run("--benchmark-json=saved.json", "-n", "2")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(
        ["*worker 'gw?' crashed while running 'bench/test_1_fake.py::test_crash'*"]
    )
    assert set(saved(suite)) == CASES
    assert len(suite.cases()) == 6


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "n2"])
class TestOptions:
    """pytest-benchmark's own options work under xdist as they do without it."""

    def test_compare_and_fail(self, suite, workers, monkeypatch):
        suite.run("--benchmark-save=base", *workers).assert_outcomes(passed=6)
        gate = ("--benchmark-compare", "--benchmark-compare-fail=median:15%")
        held = suite.run(*gate, *workers)
        held.assert_outcomes(passed=6)
        assert held.ret == 0
        held.stdout.fnmatch_lines(["*sgd-lr0.25* (0001_base)*", "*gate: passed*"])
        monkeypatch.setenv("FAKE_SLOWER", "3")
        failed = suite.run(*gate, *workers)
        assert failed.ret == pytest.ExitCode.TESTS_FAILED
        failed.stdout.fnmatch_lines(
            ["*gate: failed*", "*median 0.75 s per epoch, compared with 0.25 s in 0001_base"]
        )

    def test_disable(self, suite, workers):
        result = suite.run("--benchmark-disable", "--benchmark-json=saved.json", *workers)
        result.assert_outcomes(passed=6)
        assert not (suite.path / "saved.json").exists()
        assert len(suite.cases()) == 6

    def test_skip(self, suite, workers):
        suite.add(1, "def test_other():\n    pass")
        suite.run("--benchmark-skip", *workers).assert_outcomes(passed=1, skipped=6)

    def test_only(self, suite, workers):
        suite.add(1, "def test_other():\n    pass")
        suite.run("--benchmark-only", *workers).assert_outcomes(passed=6, skipped=1)

    def test_histogram(self, suite, workers):
        suite.run("--benchmark-histogram=plot", *workers).assert_outcomes(passed=6)
        assert list(suite.path.glob("plot*.svg"))


def test_an_incompatible_pytest_benchmark_is_refused(suite):
    conftest = suite.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\nimport pytest_benchmark.session as s\n"
        "init = s.BenchmarkSession.__init__\n"
        "def without(self, config):\n    init(self, config)\n    del self.xdist_warning\n"
        "s.BenchmarkSession.__init__ = without\n"
    )
    result = suite.run_apart()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(
        ["ERROR: pytest-benchmark * has no xdist_warning in its session, *; install 5.2.3 or 5.3.1, *"]
    )
