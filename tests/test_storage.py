"""Saved runs: their folder, and those that `--benchmark-compare` names."""

import json

import pytest


@pytest.fixture
def saved(suite, saved_run):
    """Two saved runs."""
    path, text = saved_run
    (suite.path / path).parent.mkdir(parents=True)
    for name in ("0001_first", "0002_second"):
        (suite.path / path).with_name(f"{name}.json").write_text(text)
    return suite


def rename(suite, old, new):
    (path,) = (suite.path / ".benchmarks").rglob(f"{old}.json")
    path.rename(path.with_name(f"{new}.json"))


NONE = {
    "a number": "0099",
    "a name": "nope",
    "above": "../x",
    "three levels": "a/b/c",
    "stars": "a**b",
    "an absolute path": "/nope",
    "nothing": "",
    "a bracket": "[z-a]",
}
GATE = "--accuracy-compare-fail=1"


@pytest.mark.parametrize("gates", [(), (GATE,), (GATE, "-n2")], ids=["none", "gate", "xdist"])
@pytest.mark.parametrize("given", NONE.values(), ids=NONE)
def test_a_pattern_that_matches_nothing_is_refused(saved, given, gates):
    line = saved.refused(f"--benchmark-compare={given}", *gates)
    if given or not gates:
        assert f"--benchmark-compare is {given!r}, which matches no saved run in " in line
        assert line.endswith(".benchmarks; it has 0002_second, 0001_first")


def test_an_empty_storage_is_reported(suite):
    assert suite.refused("--benchmark-compare=0001").endswith(".benchmarks; it has none")


def test_the_newest_of_many_saved_runs_are_named(saved):
    (path,) = (saved.path / ".benchmarks").rglob("0001_*.json")
    for number in range(3, 6):
        path.with_name(f"{number:04}_x.json").write_text(path.read_text())
    assert saved.refused("--benchmark-compare=9").endswith("0005_x, 0004_x, 0003_x and 2 more")


@pytest.mark.parametrize(
    "path",
    [
        "bench/",
        "bench",
        ".",
        "..",
        "/",
        "bench/test_1_fake.py",
        "bench/test_1_fake.py::test_training",
        "bench/test_9.py",
    ],
)
def test_a_path_that_was_taken_for_the_options_value_is_reported(saved, path):
    line = saved.refused("--benchmark-compare", path)
    assert line.endswith(
        f"; to run the tests in {path}, put the path first, or write --benchmark-compare -- {path}"
    )


def test_the_suggested_command_works(saved):
    result = saved.run(GATE, "--benchmark-compare", "--", "bench/test_1_fake.py")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["Learning: * compared with 0002_second: *"])


def test_without_a_value_it_is_the_newest_baseline(saved):
    rename(saved, "0002_second", "0002_second_inconclusive")
    result = saved.run(GATE, "--benchmark-compare")
    result.stdout.fnmatch_lines(["Learning: 6 rows compared with 0001_first: *"])
    result.stdout.no_fnmatch_line("*(0002_second_*")
    result = saved.run(GATE, "--benchmark-compare=0002")
    result.stdout.fnmatch_lines(["Learning: 6 rows compared with 0002_second_inconclusive: *"])


def test_inconclusive_runs_are_not_baselines(saved):
    rename(saved, "0001_first", "0001_inconclusive")
    rename(saved, "0002_second", "0002_second_inconclusive")
    assert "found no baseline in" in saved.refused(GATE, "--benchmark-compare")
    result = saved.run("--benchmark-compare")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["*nothing to compare with, as all of the 2 saved runs in * are inconclusive; name one *"]
    )


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("elasticsearch+https://localhost:9200", "expected a folder, as FOLDER or file://FOLDER"),
        ("s3://bucket/x", "expected a folder, as FOLDER or file://FOLDER"),
        ("file://elasticsearch+http://x", "expected a folder, as FOLDER or file://FOLDER"),
        ("", "expected a folder, as FOLDER or file://FOLDER"),
        ("file://", "expected a folder, as FOLDER or file://FOLDER"),
        ("pytest.ini", "pytest.ini is not a folder"),
        ("pytest.ini/x", "pytest.ini is not a folder"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("args", [(), ("--benchmark-autosave",), ("--benchmark-compare",)], ids=str)
def test_a_storage_that_is_not_a_folder_is_refused(suite, storage, why, args):
    line = suite.refused(f"--benchmark-storage={storage}", *args)
    pytest.LineMatcher([line]).fnmatch_lines([f"ERROR: --benchmark-*{why}"])


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_storage_may_be_in_the_home_folder(suite, home, scheme):
    storage = f"--benchmark-storage={scheme}~/saved"
    suite.run(storage, "--benchmark-save=mine").assert_outcomes(passed=6)
    (path,) = home.rglob("*.json")
    assert suite.run(storage, GATE, "--benchmark-compare").ret == pytest.ExitCode.OK
    named = f"--benchmark-compare=~/{path.relative_to(home)}"
    assert suite.run(GATE, named).ret == pytest.ExitCode.OK


@pytest.mark.parametrize("machine_info", [{"release": "5.4.0"}, [], None])
@pytest.mark.parametrize("spread", ["0", "2"])
def test_storage_outside_the_checkout_with_runs_of_another_kernel(
    suite, tmp_path_factory, machine_info, spread
):
    folder = tmp_path_factory.mktemp("outside")
    storage = f"--benchmark-storage={folder}"
    suite.run(storage, "--benchmark-save=mine").assert_outcomes(passed=6)
    (path,) = folder.rglob("*.json")
    content = json.loads(path.read_text())
    del content["machine_info"]
    if machine_info is not None:
        content["machine_info"] = machine_info
    path.write_text(json.dumps(content))
    result = suite.run(storage, "--benchmark-compare", GATE, "-n", spread)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["Learning: 6 rows compared with 0001_mine: 6 identical."])
