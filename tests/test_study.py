"""A study is a folder anywhere, with its own tables, verdicts, reports and saved runs."""

import re
import shutil
import subprocess
import sys

import pytest

from harness.exercise import Exercise, Row
from harness.processes import environment
from harness.study import Study, load_study, study_of
from model.optimizers import SGD

CONFTEST = """
from harness.study import Study

STUDY = Study(title="Cold and warm", about="Which is better.", row="way", scales={"all": 2})
"""

MODULE = """
import pytest
from harness.claim import claim
from harness.verdicts import HOLDS
from harness.exercise import Exercise, Row
from harness.stats import exceeds
from model.optimizers import SGD, Adam

EXERCISE = Exercise(
    title="Which is better?",
    rows=(
        Row("cold", {"optimizer": SGD(0.25), "batch_size": 10}),
        Row("warm", {"optimizer": SGD(0.5), "batch_size": 10}),
        Row("adam", {"optimizer": Adam(0.5), "batch_size": 10}),
    ),
)

@pytest.mark.parametrize("row", EXERCISE.names)
def test_training(train, row):
    train(row)

@claim("Warm is slower than cold.", expected=HOLDS)
def test_warm_is_slower(trained, decide):
    cold, warm = trained.where(optimizer=SGD).values()
    decide(warm.seconds > cold.seconds, f"{warm.seconds} s and {cold.seconds} s.")

@claim("Adam is better than SGD.")
def test_adam_is_better(trained, decide):
    (adam,), (sgd, _) = (trained.where(optimizer=each).values() for each in (Adam, SGD))
    decide(exceeds(adam.test_accuracy[-1], sgd.test_accuracy[-1]), "They are alike.")
"""


@pytest.fixture
def study(suite, tmp_path_factory):
    """A folder outside the checkout, with a study of three rows and two claims."""
    folder = tmp_path_factory.mktemp("elsewhere") / "my_study"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_ways.py").write_text(MODULE)
    return folder


def run(suite, study, *args):
    """Runs `pytest STUDY ...` in this process, from another folder."""
    return suite._pytester.runpytest_inprocess(str(study), "-p", "tests.fakes", *args)


@pytest.mark.parametrize("workers", ["0", "2"], ids=["serial", "n2"])
def test_a_folder_anywhere_has_its_own_tables_verdicts_and_folders(suite, study, workers):
    result = run(suite, study, "-n", workers, "--replicates", "2", "--benchmark-autosave")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*Cold and warm: tables and claims*",
            "Which is better? (2 epochs)",
            "way *test *time *outcome",
            "cold *0.9505 ± 0.0064 *0.250 *",
            "does not hold: *",
            "Claims: 1 holds, 1 does not hold.",
        ]
    )
    assert "paper" not in result.stdout.str()
    assert "published" not in result.stdout.str().replace("not published, or", "")
    (report,) = [path for path in (study / "reports").iterdir() if not path.is_symlink()]
    assert (report / "summary.json").exists()
    assert len([*(study / ".benchmarks").rglob("*.json")]) == 1
    assert not (suite.path / "reports").exists()
    assert not (suite.path / ".benchmarks").exists()


def test_a_claim_that_no_longer_holds_fails(suite, study):
    run(suite, study).assert_outcomes(passed=5)
    module = study / "test_ways.py"
    module.write_text(MODULE.replace("warm.seconds > cold", "warm.seconds < cold"))
    result = run(suite, study)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["verdict changed: expected holds, got does not hold: *"])


def test_it_trains_again_each_time_and_resumes_only_runs_of_the_same_code(suite, study):
    for _ in range(2):
        run(suite, study).assert_outcomes(passed=5)
    reports = [path for path in (study / "reports").iterdir() if not path.is_symlink()]
    assert len(reports) == 2
    run(suite, study, "--resume").stdout.fnmatch_lines(["cold [*]*"])
    (study / "test_ways.py").write_text(MODULE + "# another version")
    result = run(suite, study, "--resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --resume: the run in * differs: code is *"])


def test_an_added_row_is_used_by_claims_or_named(suite, study):
    module = study / "test_ways.py"
    added = 'Row("hot", {"optimizer": SGD(1.0), "batch_size": 10}),\n    ),'
    text = MODULE.replace("import Exercise, Row", "import Exercise, Published, Row")
    text = text.replace('"batch_size": 10}),', '"batch_size": 10}, Published(0.9)),')
    text = text.replace("    ),\n)", f"        {added}\n)", 1)
    module.write_text(
        text
        + """
@claim("All ways learn.")
def test_all_learn(trained, decide):
    decide(all(each.outcome == "learned" for each in trained.where().values()), "They do.")

@claim("SGD learns.", source="Table 1")
def test_sgd_learns(trained, decide):
    found = trained.where(optimizer=SGD, published=True)
    decide(all(each.outcome == "learned" for each in found.values()), "It does.")

@claim("RMSprop learns.")
def test_rmsprop(trained, decide):
    trained.where(optimizer=SGD, learning_rate=0.7)

@claim("Momentum helps.")
def test_momentum(trained, decide):
    trained.where(momentumm=0.9)
"""
    )
    result = run(suite, study, "-k", "learn or rmsprop or momentum")
    result.assert_outcomes(passed=2, failed=2)
    found = {claim["text"]: claim for claim in _summary(study)["claims"]}
    assert found["All ways learn."]["rows"] == ["cold", "warm", "adam", "hot"]
    assert found["SGD learns."]["rows"] == ["cold", "warm"]
    assert found["SGD learns."]["verdict"] == "reproduced"
    assert found["SGD learns."]["evidence"] == (
        "It does. Based on the published rows only, without hot."
    )
    result.stdout.fnmatch_lines(
        [
            "no row of 'Which is better?' has optimizer=<class 'model.optimizers.SGD'>, learning_r*",
            "trained.where: 'momentumm' is not a field; expected one of optimizer, batch_size, *",
        ]
    )


def _summary(study):
    import json

    return json.loads((study / "reports" / "latest" / "summary.json").read_text())


REFUSED = {
    "a session of two": (
        lambda study: shutil.copytree(study, study.parent / "other"),
        ("{study}", "{study}/../other"),
        "ERROR: the arguments belong to the studies *; expected one study in a session*",
    ),
    "settings elsewhere": (
        lambda study: (study.parent / "other.ini").write_text("[pytest]\n"),
        ("{study}", "-c{study}/../other.ini", "--rootdir={study}"),
        "ERROR: pytest's root is *",
    ),
    "an unknown scale": (None, ("{study}", "--scale=quick"), "ERROR: --scale is 'quick'; expected all"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_impossible_session_is_refused(suite, study, case):
    prepare, args, message = REFUSED[case]
    if prepare:
        prepare(study)
    result = suite._pytester.runpytest_inprocess(*(each.format(study=study) for each in args))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert not (study / "reports").exists()


def test_a_module_without_an_exercise_is_reported(suite, study):
    (study / "test_other.py").write_text(
        "from harness.claim import claim\n"
        "def test_training(train):\n    train('x')\n"
        "@claim('So.')\ndef test_so(decide):\n    decide(True, 'So.')\n"
    )
    result = run(suite, study, "-k", "other")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    message = "test_other.py has no exercise; expected EXERCISE = Exercise(...)"
    result.stdout.fnmatch_lines([message] * 2)


def test_a_module_with_the_name_of_a_package_of_ours_is_reported(study):
    (study / "model.py").touch()
    command = [sys.executable, "-m", "pytest", str(study)]
    ran = subprocess.run(
        command, cwd=study, env=environment(imports=None), capture_output=True, text=True
    )
    assert ran.returncode == 4
    assert "my_study/model.py, not this project's package of that name; rename it" in ran.stderr


def test_an_exercise_outside_a_study_is_refused(suite, study):
    (study / "conftest.py").unlink()
    result = suite._pytester.runpytest_inprocess(str(study))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["test_ways.py has an exercise, but *my_study is not a study; expected STUDY = Study(...)*"]
    )


def test_a_study_below_the_named_folder_is_refused(suite, study):
    result = suite._pytester.runpytest_inprocess(str(study.parent))
    assert result.ret != 0
    assert "my_study is a study, which the command line does not name; run pytest " in (
        result.stdout.str() + result.stderr.str()
    )


WRONG = {
    "title=''": "title is empty; expected text",
    "title='a\\x1b[31m'": "title is 'a\\x1b[31m'; expected printable text in one line",
    "title='a', scales={}": "scales is {}; expected epochs by scale, such as {'full': 10}",
    "title='a', scales={'full': 0}": "scales['full'] is 0; expected a whole number from 1",
    "title='a', scales={'a b': 1}": "scales contains 'a b'; expected a name of letters, digits and _",
    "title='a', scales=[3]": "scales is [3]; expected epochs by scale, such as {'full': 10}",
    "title='a', documents='x'": "documents is 'x'; expected a tuple of paths",
    "title='a', row=''": "row is empty; expected text",
}


@pytest.mark.parametrize("fields", WRONG)
def test_a_study_is_checked_when_it_is_made(fields):
    with pytest.raises(ValueError, match=re.escape(WRONG[fields])):
        eval(f"Study({fields})", {"Study": Study})


WRONG_EXERCISES = {
    "title=''": "title is empty; expected text",
    "title='a', rows=3": "rows is 3; expected a tuple of rows",
    "title='a', rows='abc'": "rows is 'abc'; expected a tuple of rows",
    "title='a', rows=['abc']": "rows contains 'abc'; expected harness.exercise.Row",
    "title='a', epochs=3": "epochs is 3; expected epochs by scale",
    "title='a', epochs={'full': 0}": "epochs['full'] is 0; expected a whole number from 1",
    "title='a', measurements=[print]": "measurements is [<built-in function print>]; expected functions",
    "title='a', measurements={'x': 3}": "measurements['x'] is 3; expected a function",
    "title='a', observers=3": "observers is 3; expected a tuple of observers",
    "title='a', observers=[3]": "observers contains 3; expected model.observers.Observer",
    "title='a', figures=print": "figures is <built-in function print>; expected functions by name",
    "title='a', figures={'a/b': print}": "figures contains 'a/b'; expected 1 to 40 characters of a to z",
    "title='a', figures={'x': 3}": "figures['x'] is 3; expected a function",
    "title='a', question=None": "question is None; expected printable text in one line",
    "title='a', rows=[Row('x', XS)] * 2": "two rows of 'a' are named 'x'; rename one",
}


@pytest.mark.parametrize("fields", WRONG_EXERCISES)
def test_an_exercise_is_checked_when_it_is_made(fields):
    names = {"Exercise": Exercise, "Row": Row, "XS": {"optimizer": SGD(0.1), "batch_size": 1}}
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        eval(f"Exercise(**{{'rows': (), **dict({fields})}})", names)
    assert str(refused.value).startswith(WRONG_EXERCISES[fields])


WRONG_ROWS = {
    "3, {}": "a row's name is 3; expected text",
    "'a/b', {}": "a row's name is 'a/b'; expected printable ASCII without / and \\",
    "'', {}": "a row's name is ''; expected 1 to 100 characters",
    "'a', 3": "the row 'a': settings is 3; expected values by field",
    "'a', {}, 0.9": "the row 'a': published is 0.9; expected Published",
}


@pytest.mark.parametrize("fields", WRONG_ROWS)
def test_a_row_is_checked_when_it_is_made(fields):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        eval(f"Row({fields})", {"Row": Row})
    assert str(refused.value) == WRONG_ROWS[fields]


def test_a_study_is_loaded_by_commands(tmp_path):
    with pytest.raises(ValueError, match=r"is not a study: it has no conftest\.py"):
        load_study(tmp_path)
    (tmp_path / "conftest.py").write_text("x = 1")
    with pytest.raises(ValueError, match=r"is not a study: its conftest\.py has no STUDY = Study"):
        load_study(tmp_path)
    (tmp_path / "conftest.py").write_text("import nowhere_at_all")
    with pytest.raises(ValueError, match="cannot be imported: ModuleNotFoundError: No module"):
        load_study(tmp_path)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    assert load_study(tmp_path).reports == tmp_path / "reports"
    assert study_of(object()) is None


INERT = """
import sys

def test_nothing_of_the_suite_is_here(pytestconfig):
    assert not {"torch", "harness", "model"} & sys.modules.keys()
    assert not hasattr(pytestconfig.option, "scale")
    assert "claim" not in str(pytestconfig.getini("markers"))
"""


def test_it_does_nothing_without_a_study(tmp_path):
    """Even if packages have the names of ours, and a conftest.py has another STUDY."""
    (tmp_path / "test_mine.py").write_text(INERT)
    (tmp_path / "conftest.py").write_text("STUDY = 'of cats'\n")
    for name in ("harness", "model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('mine')")
    command = [sys.executable, "-m", "pytest", "-q"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment(imports=None), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
