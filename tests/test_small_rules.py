"""What exercises, claims and queries declare, accuracies in words, and why a process failed."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from harness import ownership, paths, processes, run_folders
from harness.accuracy import end_apart, ends_above, format_accuracy
from harness.claim import Claim, claim, claims_of
from harness.exercise import Exercise, Published, Row, case_id, row_name, short_name, slug
from harness.looks import Looks
from harness.processes import environment, reason, run_whole
from harness.stats import exceeds
from harness.study import Study, StudyFolder, study_of
from harness.verdicts import HOLDS, INCONCLUSIVE, NOT_TESTABLE, REPRODUCED, verdicts_on
from harness.where import check_names, matches
from model.dataset import KMNIST
from model.experiment import Experiment
from model.optimizers import SGD, Adam, AdamW, Torch
from tests.made_up_runs import trained

# Exercises and studies --------------------------------------------------------------------------------


def test_names_of_cases():
    case = case_id("bench/test_1_my_x.py", "sgd [a]")
    assert case == "bench/test_1_my_x.py::test_training[sgd [a]]"
    assert (row_name(case), short_name(case)) == ("sgd [a]", "1. sgd [a]")
    assert (row_name("a.py::test"), short_name("a.py::test")) == ("a.py::test", "a.py::test")
    assert short_name("bench/test_x.py::test_t[a]") == "a"
    assert (slug("bench/test_1_my_x.py"), slug("x/odd.py")) == ("1-my-x", "odd")


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"test_accuracy": 0}, False),
        ({"test_accuracy": 1}, False),
        ({"test_accuracy": 1.01}, True),
        ({"test_accuracy": -0.01}, True),
        ({"seconds": 0}, False),
        ({"seconds": -0.01}, True),
        ({"seconds": float("inf")}, True),
        ({"remark": "a\nb"}, True),
    ],
)
def test_published_figures_are_in_range(given, refused):
    if refused:
        with pytest.raises(ValueError, match=next(iter(given))):
            Published(**given)
    else:
        assert Published(**given) == Published(**given)


def sgd(name, rate, published=None, **settings):
    row = {"optimizer": SGD(rate), "batch_size": 32, **settings}
    return Row(name, row, Published(published))


ROWS = (sgd("a", 0.1, 0.9), sgd("b", 0.2), sgd("c", 0.1, 0.8, dataset=KMNIST, batch_size=16))


def test_rows_are_found_by_their_values():
    exercise = Exercise(title="Exercise", rows=ROWS)
    assert exercise.names == ["a", "b", "c"]
    assert exercise.where() == ROWS
    assert exercise.where(learning_rate=0.1) == (ROWS[0], ROWS[2])
    assert exercise.where(published=True) == (ROWS[0], ROWS[2])
    assert exercise.where(published=True, batch_size=32) == (ROWS[0],)
    assert exercise.row("b") is ROWS[1]
    with pytest.raises(ValueError, match=r"^'rate' is not a field; expected one of optimizer, batch_"):
        exercise.where(rate=1, odd=2)


def test_a_rows_own_data_set_and_the_exercises_own_epochs_count():
    exercise = Exercise(title="Exercise", rows=ROWS, epochs={"quick": 7})
    study = Study(title="Study", scales={"quick": 2, "full": 20})
    assert (study.default_scale, study.full_scale) == ("quick", "full")
    assert (study.epochs(exercise, "quick"), study.epochs(exercise, "full")) == (7, 20)
    first, _, third = (study.experiment(exercise, row, "quick", "fashion-mnist") for row in ROWS)
    assert (str(first.dataset), first.epochs, third.dataset) == ("fashion-mnist", 7, KMNIST)
    study.check(exercise)
    other = Exercise(title="Exercise", rows=(), epochs={"slow": 1, "odd": 1})
    with pytest.raises(
        ValueError, match=r"^epochs contains 'slow'; expected a scale of the study: quic"
    ):
        study.check(other)


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("a", True),
        ("9-a", True),
        ("a" * 40, True),
        ("a" * 41, False),
        ("-a", False),
        ("A", False),
        ("", 0),
    ],
)
def test_a_figure_has_a_name_of_forty_characters(name, accepted):
    if accepted:
        assert [*Exercise(title="a", rows=(), figures={name: print}).figures] == [name]
    else:
        with pytest.raises(ValueError, match=r"expected 1 to 40 characters of a to z, digits and -$"):
            Exercise(title="a", rows=(), figures={name: print})


def test_a_studys_folders(tmp_path):
    study = Study(title="a", home="..", data_root="my data", documents=("README.md",))
    folder = StudyFolder(study, tmp_path / "s")
    assert folder.home == tmp_path
    assert folder.reports == tmp_path / "reports"
    assert folder.published == tmp_path / "reports" / "published"
    assert folder.saved_runs == tmp_path / ".benchmarks"
    assert folder.data_root == tmp_path / "s" / "my data"
    assert folder.documents == (tmp_path / "README.md",)
    conftest = SimpleNamespace(STUDY=study, __file__=str(tmp_path / "s" / "conftest.py"))
    assert study_of(conftest) == folder
    for other in ({"STUDY": 3}, {"__file__": str(tmp_path / "other.py")}, {"__file__": None}):
        assert study_of(SimpleNamespace(**{**vars(conftest), **other})) is None


# Queries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, True),
        ({"batch_size": 32}, True),
        ({"batch_size": 31}, False),
        ({"batch_size": [16, 32]}, True),
        ({"batch_size": {16}}, False),
        ({"batch_size": range(30, 33)}, True),
        ({"batch_size": ()}, False),
        ({"learning_rate": 0.1}, True),
        ({"learning_rate": 0.2}, False),
        ({"momentum": 0.0, "batch_size": 31}, False),
        ({"betas": (0.9, 0.999)}, False),  # of another optimizer
        ({"optimizer": SGD}, True),
        ({"optimizer": SGD(0.1)}, True),
        ({"optimizer": SGD(0.2)}, False),
        ({"optimizer": [Adam, SGD]}, True),
        ({"optimizer": AdamW}, False),
    ],
)
def test_an_experiment_has_the_values_of_a_query(query, found):
    assert matches(Experiment(optimizer=SGD(0.1), batch_size=32, epochs=1), query) is found


def test_a_query_for_an_optimizer_finds_that_class_alone_also_if_it_is_wrapped():
    adamw = Experiment(optimizer=AdamW(0.1), batch_size=32, epochs=1)
    assert (matches(adamw, {"optimizer": Adam}), matches(adamw, {"optimizer": AdamW})) == (False, True)
    wrapped = Experiment(optimizer=Torch(torch.optim.NAdam, 0.1), batch_size=32, epochs=1)
    assert matches(wrapped, {"optimizer": torch.optim.NAdam})
    assert not matches(wrapped, {"optimizer": torch.optim.Adam})


def test_fields_of_any_of_the_optimizers_may_be_asked_for():
    experiments = [Experiment(optimizer=each, batch_size=32, epochs=1) for each in (SGD(0.1), Adam(0.1))]
    check_names({"momentum": 0, "batch_size": 0}, experiments)
    with pytest.raises(ValueError, match=r"^'momentum' is not a field; expected one of "):
        check_names({"momentum": 0, "odd": 1}, experiments[1:])


# Claims -----------------------------------------------------------------------------------------------


def module_with(**content):
    module = ModuleType("test_made_up")
    vars(module).update(content)
    return module


def deciding(*marks, name="test_so"):
    def test(decide):
        pass

    test.__name__ = name
    for mark in marks:
        test = mark(test)
    return test


class Grouped:
    @claim("So.")
    def test_inside(self):
        pass


def test_claims_are_found_in_the_modules_order():
    def test_other(trained):
        pass

    def helper(decide):
        pass

    claims = [claim("First."), claim("Second.", source="Table 1")]
    module = module_with(
        test_b=deciding(claims[0]), test_other=test_other, helper=helper, number=3,
        test_a=deciding(claims[1]),
    )  # fmt: skip
    found = claims_of(module)
    assert [*found] == ["test_b", "test_a"]
    assert [each.text for each in found.values()] == ["First.", "Second."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Grouped": Grouped}, "Grouped::test_inside is a claim in a class; expected a function"),
        ({"Odd": claim("So.")(type("Odd", (), {}))}, "Odd is a claim in a class; expected a function"),
        ({"test_a": deciding()}, "test_a uses decide, but is not marked with @claim; mark it"),
        (
            {"test_a": deciding(claim("So."), pytest.mark.parametrize("x", [1]))},
            "test_a is a parametrised claim; expected a test that runs once",
        ),
        (
            {"test_a": deciding(claim("So."), claim("Or."))},
            "test_a is marked with 2 claims; expected one",
        ),
        (
            {"test_a": deciding(pytest.mark.claim("So."))},
            "test_a is marked with pytest.mark.claim; expected harness.claim.claim",
        ),
        (
            {"test_a": deciding(pytest.mark.claim())},
            "test_a is marked with pytest.mark.claim; expected harness.claim.claim",
        ),
        ({"so": deciding(claim("So."))}, "so is a claim, but its name is not a test's; name it test_so"),
    ],
)
def test_a_claim_that_no_table_would_show(content, message):
    with pytest.raises(ValueError, match=r"\A.+\Z") as refused:
        claims_of(module_with(**content))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ((), ["reproduced", "not reproduced"]),
        (("Table 1",), ["reproduced", "not reproduced"]),
        (("",), ["holds", "does not hold"]),
        (("", "x", ""), ["reproduced", "not reproduced", "holds", "does not hold"]),
    ],
)
def test_the_verdicts_that_claims_may_have(sources, words):
    assert verdicts_on(sources) == (*words, INCONCLUSIVE, NOT_TESTABLE)


@pytest.mark.parametrize(
    ("source", "expected", "refused"),
    [
        ("x", REPRODUCED, False),
        ("", HOLDS, False),
        ("x", INCONCLUSIVE, False),
        ("", None, False),
        ("", REPRODUCED, True),
        ("x", HOLDS, True),
    ],
)
def test_the_expected_verdict_is_of_the_claims_kind(source, expected, refused):
    fields = {"text": "So.", "source": source, "expected": expected, "needs": None}
    if refused:
        kind = "with a source" if source else "without a source"
        with pytest.raises(ValueError, match=f"a claim {kind} takes None or one of "):
            Claim(**fields)
    else:
        assert Claim(**fields).expected == expected


# Accuracies and seeds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "apart"),
    [
        ([0.5], False),
        ([0.0, 0.05], True),
        ([0.0, 0.049], False),
        ([0.2, 0.0, 0.1], False),  # exactly half of the range
        ([0.0, 0.1, 0.1625], True),
        ([0.9, 0.1, 0.9, 0.1], True),
    ],
)
def test_seeds_that_end_in_two_places(accuracies, apart):
    assert end_apart(accuracies) is apart


@pytest.mark.parametrize(
    ("accuracies", "decimals", "text"),
    [
        ([0.97], 3, "0.970"),
        ([0.970, 0.972], 3, "0.971 ± 0.013"),  # 12.706 times 0.001
        ([0.96, 0.98], 2, "0.97 (0.84 to 1)"),  # 0.97 ± 0.127
        ([0.02, 0.04], 3, "0.030 (0 to 0.157)"),
        ([0.36, 0.115], 3, "0.115 to 0.360"),
        ([1.0, 1.0], 3, "1.000 ± 0.000"),
        ([0.0, 0.0], 3, "0.000 ± 0.000"),
    ],
)
def test_accuracies_in_words(accuracies, decimals, text):
    assert format_accuracy(accuracies, decimals) == text


def test_accuracies_have_three_digits():
    assert format_accuracy([0.98765]) == "0.988"


def test_a_training_ends_above_another_or_a_number():
    one = trained(SGD(0.1), (0.1, 0.9), (0.1, 0.91), seconds=(0, 1))
    other = trained(SGD(0.1), (0.9, 0.8), (0.9, 0.81), seconds=(0, 1))
    assert (ends_above(one, other), ends_above(other, one)) == (True, False)
    assert (ends_above(one, other, 0.09), ends_above(one, other, 0.11)) == (True, False)
    assert (ends_above(one, 0.5), ends_above(one, 0.905), ends_above(one, 1.1)) == (True, None, False)


def test_one_value_decides_by_itself():
    assert (exceeds([0.5], [0.4]), exceeds([0.5], [0.5]), exceeds([0.5], [0.6])) == (True, False, False)


@pytest.mark.parametrize(
    ("first", "most", "seeds"), [(3, 12, (3, 6, 12)), (3, 10, (3, 6, 10)), (5, 5, (5,)), (1, 2, (1, 2))]
)
def test_looks_share_the_errors(first, most, seeds):
    looks = Looks(first, most)
    assert looks.seeds == seeds
    assert looks.confidence == pytest.approx(1 - 0.05 / len(seeds))


# Folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("runs/a.json", True),
        ("claims/a.json", True),
        ("summary.json", True),
        ("runs/a.lock", False),
        ("speed.json", False),
        ("weights/a.json", False),
    ],
)
def test_what_makes_a_folder_a_run(tmp_path, path, found):
    ownership.make(tmp_path / "r")
    (tmp_path / "r" / path).parent.mkdir(exist_ok=True)
    (tmp_path / "r" / path).touch()
    assert ownership.has_run(tmp_path / "r") is found


@pytest.mark.parametrize(
    ("files", "removed"),
    [
        ([], True),
        (["runs/", "claims/", "locks/"], True),
        (["speed.json", "times.json"], True),
        (["runs/a.json"], False),
        (["locks/a.lock"], False),
        (["summary.json"], False),
        (["thesis.txt"], False),
    ],
)
@pytest.mark.parametrize("owned", [True, False])
def test_only_a_folder_without_results_is_removed(tmp_path, files, removed, owned):
    folder = tmp_path / "r"
    folder.mkdir()
    if owned:
        ownership.make(folder)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    ownership.remove_if_unused(folder)
    assert folder.exists() != (removed and owned)


@pytest.mark.parametrize(
    ("path", "foreign"),
    [
        ("summary.json", None),
        (".summary.json-ab12_xyz", None),
        ("runs/a.json", None),
        ("runs/.a.json-ab12_xyz", None),
        ("figures/a.svg", None),
        ("thesis.txt", "thesis.txt"),
        ("runs/a.txt", "runs/a.txt"),
        ("runs/a/b.json", "runs/a"),
        ("summary.json/a", "summary.json"),
        (".summary.json-ab12xyz", ".summary.json-ab12xyz"),  # seven characters
        (".summary.json-AB12_xyz", ".summary.json-AB12_xyz"),
    ],
)
def test_files_that_the_suite_did_not_write(tmp_path, path, foreign):
    ownership.make(tmp_path / "r")
    (tmp_path / "r" / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "r" / path).touch()
    found = ownership.foreign_file(tmp_path / "r")
    assert found == (None if foreign is None else tmp_path / "r" / foreign)


def test_a_folder_in_the_place_of_a_file_and_a_link_are_foreign(tmp_path):
    ownership.make(tmp_path / "r")
    (tmp_path / "r" / "runs").touch()
    assert ownership.foreign_file(tmp_path / "r") == tmp_path / "r" / "runs"
    (tmp_path / "r" / "runs").unlink()
    (tmp_path / "r" / "gate.json").symlink_to(tmp_path / "r" / ownership.MARK)
    assert ownership.foreign_file(tmp_path / "r") == tmp_path / "r" / "gate.json"


def test_results_of_an_earlier_command_are_not_overwritten(tmp_path):
    run_folders.check_free(tmp_path, "ab.json")
    (tmp_path / "ab.json").touch()
    run_folders.check_free(tmp_path, "noise.json")
    with pytest.raises(
        ValueError, match=f"^--report-dir is {tmp_path}, which has a ab.json from an earl"
    ):
        run_folders.check_free(tmp_path, "ab.json")


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.expanded("~/a") == tmp_path / "a"
    assert paths.expanded(Path("a/~")) == Path("a/~")
    with pytest.raises(ValueError, match=r"^'~nobody-here/x', but there is no such home folder$"):
        paths.expanded("~nobody-here/x")
    assert paths.REFUSED == 2


# Processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        (["usage: x\npytest: error: no such option\nx: error: b\n"], "no such option"),
        (["python -m harness ab: error: a", "ERROR: b"], "a"),
        (["ERROR: usage: x\nERROR: not found\nERROR: c"], "not found"),
        (["INTERNALERROR> KeyError: a\nINTERNALERROR> x.OSError: b\nlast"], "x.OSError: b"),
        (["E   a.KeyError: a\nE   OSError: b\nlast"], "a.KeyError: a"),
        (["hint: x\nfatal: not a repository\nerror: b"], "not a repository"),
        (["Traceback\nKeyError: a\nSystemExit\nhint: x"], "SystemExit"),
        (["Traceback\nKeyError: a\nmodule.OddError: b\n\nhint: x"], "module.OddError: b"),
        (["one\n  two  \n\n"], "two"),
        (["", "KeyError: a\n"], "KeyError: a"),
        (["x" * 500], "x" * 500),
        (["x" * 501], "x" * 500 + "…"),
    ],
)
def test_the_line_that_explains_a_failure(outputs, why):
    assert reason(*outputs, status=1) == why


@pytest.mark.parametrize(
    ("status", "why"),
    [(-9, "killed by signal 9"), (3, "it ended with status 3"), (0, "it ended with status 0")],
)
def test_without_output_the_status_explains_a_failure(status, why):
    assert reason("", " \n", status=status) == why


def test_the_environment_of_a_child(monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("MINE", "1")
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    assert environment(imports=Path("/ours"))["PYTHONPATH"] == f"/ours{os.pathsep}/theirs"
    assert environment("MINE", imports=None).keys() == os.environ.keys() - {"GIT_DIR", "MINE"}
    assert environment(imports=None)["PYTHONPATH"] == "/theirs"
    monkeypatch.delenv("PYTHONPATH")
    assert environment()["PYTHONPATH"] == str(paths.ROOT)
    assert "PYTHONPATH" not in environment(imports=None)


def test_gits_failures_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^git rev-parse: not a git repository"):
        processes.git(tmp_path, "rev-parse", "--git-dir")
    with pytest.raises(ValueError, match=f"^{tmp_path}/nowhere does not exist$"):
        processes.git(tmp_path / "nowhere", "status")
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ValueError, match=r"^git cannot be run: .*timed out after 0\.05 seconds"):
        processes.git(tmp_path, "status", timeout=0.05)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"^git is not in PATH$"):
        processes.git(tmp_path, "status")


def test_a_command_is_run_with_its_whole_output(tmp_path):
    code = (
        "import os, sys; print(os.getcwd()); print('b', file=sys.stderr); "
        "print(sys.stdin.read()); sys.exit(3)"
    )
    status, output = run_whole([sys.executable, "-uc", code], tmp_path, {**os.environ})
    assert (status, output.splitlines()) == (3, [str(tmp_path), "b", ""])
