"""An exercise is a module that pytest collects, with any path and name."""

from xml.etree import ElementTree

import pytest

from model.environment import code_digest
from tests.conftest import MODULE

COUNTED = """
import harness.plugin.fixtures
fake = harness.plugin.fixtures.train_model

def slower_and_slower(experiment, *args, **kwargs):
    with open("trained.txt", "a") as file:
        file.write("x")
    training = fake(experiment, *args, **kwargs)
    training.epoch_seconds[:] *= len(open("trained.txt").read())
    return training

harness.plugin.fixtures.train_model = slower_and_slower
"""


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
@pytest.mark.parametrize("path", ["bench/sub/test_3_mine.py", "bench/mine_test.py"])
def test_an_exercise_is_found_by_any_path(suite, path, workers):
    file = suite.path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(MODULE.format(number=3))
    suite.run("-n", workers).assert_outcomes(passed=9)
    modules = [exercise["module"] for exercise in suite.summary()["exercises"]]
    assert modules == sorted([path, "bench/test_1_fake.py", "bench/test_2_fake.py"])
    ids = [case["id"] for case in suite.summary()["cases"]]
    assert len([case for case in ids if case.startswith(path)]) == 3


def test_unselected_modules_are_not_imported(suite):
    (suite.path / "bench" / "test_3_broken.py").write_text("def")
    (suite.path / "bench" / "test_4_skipped.py").write_text("import pytest; pytest.importorskip('nope')")
    suite._pytester.runpytest_inprocess("bench/test_1_fake.py").assert_outcomes(passed=3)
    result = suite.run("--continue-on-collection-errors")
    result.assert_outcomes(passed=6, errors=1, skipped=1)
    assert len(suite.cases()) == 6


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_two_modules_with_the_same_name_are_refused_before_anything_trains(suite, workers):
    (suite.path / "bench" / "sub").mkdir()
    (suite.path / "bench" / "sub" / "__init__.py").touch()
    (suite.path / "bench" / "sub" / "test_1_fake.py").write_text(MODULE.format(number=1))
    assert suite.refused("-n", workers) == (
        "ERROR: bench/sub/test_1_fake.py and bench/test_1_fake.py have the same name, by which "
        "exercises are identified; rename one"
    )


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_an_invalid_row_is_reported_even_if_it_is_not_selected(suite, workers):
    """It is a collection error, at its line; nothing is trained, opened or moved."""
    suite.add(2, "\nRow('mine', {'optimizer': SGD(0.1), 'batch_size': 1, 'momentum': 0.9})")
    result = suite.run("-k", "lr1.0", "-n", workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.parseoutcomes().keys() <= {"errors", "error", "deselected"}
    result.stdout.fnmatch_lines(
        [
            "bench/test_2_fake.py:*: in <module>",
            "E   ValueError: the row 'mine': no setting is called 'momentum'; expected one of optimi*",
        ]
    )
    assert not suite.report.exists()


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_epochs_of_an_unknown_scale_are_refused(suite, workers):
    suite.add(1, "object.__setattr__(EXERCISE, 'epochs', {'qiuck': 3})")
    assert suite.refused("-k", "lr1.0", "-n", workers) == (
        "ERROR: bench/test_1_fake.py: epochs contains 'qiuck'; expected a scale of the study: quick, "
        "paper"
    )


def test_files_other_than_code_are_ignored(suite):
    """An editor's lock, which is a dangling link; a folder; but not a name that is not UTF-8."""
    bench = suite.path / "bench"
    before = code_digest([bench])
    (bench / ".#test_1_fake.py").symlink_to("somebody@nowhere.1234")
    (bench / "x.py").mkdir()
    suite.run("-k", "lr0.5").assert_outcomes(passed=2)
    assert code_digest([bench]) == before
    (bench / "y\udcff.py").write_text("1")
    assert code_digest([bench]) != before


def test_a_repeated_test_is_timed_each_time(suite):
    """Plugins such as pytest-repeat repeat tests: two measurements are two trainings."""
    suite.add(
        1,
        COUNTED
        + """
@pytest.mark.parametrize("repeat", range(2))
@pytest.mark.parametrize("row", EXERCISE.names[:1])
def test_repeated(train, row, repeat):
    train(row)
""",
    )
    options = ("--benchmark-json=saved.json", "--benchmark-sort=fullname")
    result = suite.run("-k", "test_repeated", *options)
    result.assert_outcomes(passed=2)
    assert (suite.path / "trained.txt").read_text() == "xx"
    result.stdout.fnmatch_lines(["test_repeated* 250.0000 *", "test_repeated* 500.0000 *"])
    assert [case["seconds"] for case in suite.cases().values()] == [0.25]


def test_a_tests_duration_excludes_its_waiting_time(suite):
    suite.add(
        1,
        """
import contextlib, harness.plugin.fixtures
from model import phases
fake = harness.plugin.fixtures.lease

@contextlib.contextmanager
def slow(*args):
    with fake(*args) as device:
        phases._spans.append(phases.Span("waiting", 0.0, 1000.0, 0.0))
        yield device

harness.plugin.fixtures.lease = slow
""",
    )
    suite.run("-k", "test_1 and lr0.5", "--junitxml=junit.xml").assert_outcomes(passed=1)
    (case,) = ElementTree.parse(suite.path / "junit.xml").iter("testcase")
    assert float(case.get("time")) < 0.5, "only setup and teardown remain"
