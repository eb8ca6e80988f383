"""The files that pytest and pytest-benchmark are asked to write are checked before anything trains."""

import os

import pytest

from harness.timing import outputs

BAD = {
    "no folder": ("--benchmark-json=nope/x.json", "nope does not exist"),
    "a folder": ("--benchmark-json=bench", "Is a directory"),
    "a file for a folder": ("--benchmark-json=pytest.ini/x.json", "Not a directory"),
    "/proc": ("--benchmark-json=/proc/nope.json", "No such file or directory"),
    "a long name": (f"--benchmark-json={'x' * 300}", "File name too long"),
    "histogram": ("--benchmark-histogram=pytest.ini/x", "Not a directory"),
    "histogram in /proc": ("--benchmark-histogram=/proc/x/y", "No such file or directory"),
    "profiles": ("--benchmark-cprofile-dump=pytest.ini/x", "Not a directory"),
    "junit": ("--junitxml=pytest.ini/x.xml", "Not a directory"),
    "log": ("--log-file=pytest.ini/x.log", "Not a directory"),
    "a long name to save": (f"--benchmark-save={'x' * 250}", "File name too long"),
}


@pytest.mark.parametrize(("option", "why"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("spread", ["0", "2"])
def test_a_file_that_cannot_be_written_is_refused(suite, option, why, spread):
    line = suite.refused(option, "-n", spread)
    name, _, value = option.partition("=")
    assert line == f"ERROR: {name} is {value!r}, which cannot be written: {why}"


@pytest.mark.parametrize("option", ["--benchmark-autosave", "--benchmark-save=x"])
def test_a_storage_that_cannot_be_written_is_refused(suite, option):
    line = suite.refused(option, "--benchmark-storage=/proc/nope")
    assert line.startswith(f"ERROR: {option.partition('=')[0]} is ")
    assert "cannot be written: No such file or directory" in line


@pytest.mark.parametrize("name", ["mine_inconclusive", "inconclusive"])
def test_a_name_of_an_inconclusive_run_is_refused(suite, name):
    assert suite.refused(f"--benchmark-save={name}") == (
        f"ERROR: --benchmark-save is {name!r}, and names that end in _inconclusive mark inconclusive "
        "runs; choose another name"
    )


def test_files_that_can_be_written_are_written(suite):
    (suite.path / "old.json").write_text("old")
    result = suite.run(
        "--benchmark-json=old.json",
        "--benchmark-histogram=new/folder/histogram",
        "--junitxml=other/folder/junit.xml",
        "--benchmark-save=mine",
        "-n2",
    )
    assert result.ret == pytest.ExitCode.OK
    assert (suite.path / "old.json").read_text() != "old"
    assert len([*(suite.path / "new" / "folder").glob("histogram-*.svg")]) == 2
    assert (suite.path / "other" / "folder" / "junit.xml").exists()
    assert [path.name for path in (suite.path / ".benchmarks").rglob("*") if path.is_file()] == [
        "0001_mine.json"
    ]


def test_a_check_leaves_no_file_and_changes_none(tmp_path):
    (tmp_path / "old").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    outputs._check("-x", "old", tmp_path / "old", makes_folders=True)
    outputs._check("-x", "new", tmp_path / "new" / "folder" / "file", makes_folders=True)
    outputs._check("-x", "null", outputs.Path(os.devnull), makes_folders=False)
    with pytest.raises(pytest.UsageError, match="-x is 'pipe', which cannot be written: No such device"):
        outputs._check("-x", "pipe", tmp_path / "pipe", makes_folders=False)
    assert (tmp_path / "old").read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "pipe"]


def test_the_last_of_two_prefixes_is_used(suite):
    result = suite.run("--benchmark-histogram=a/x", "--benchmark-histogram=b/x")
    assert result.ret == pytest.ExitCode.OK
    assert (suite.path / "b").exists()
    assert not (suite.path / "a").exists()


@pytest.mark.parametrize("spread", ["0", "2"])
def test_a_tilde_is_the_home_folder(suite, home, spread):
    result = suite.run(
        "--benchmark-json=~/x.json",
        "--benchmark-histogram=~/h/x",
        "--benchmark-storage=~/saved",
        "--benchmark-save=mine",
        "-n",
        spread,
    )
    assert result.ret == pytest.ExitCode.OK
    assert not (suite.path / "~").exists()
    assert (home / "x.json").exists()
    assert len([*home.glob("h/x-*.svg")]) == 2
    assert len([*home.glob("saved/*/0001_mine.json")]) == 1


@pytest.mark.parametrize("option", ["json", "storage", "histogram", "cprofile-dump", "compare"])
def test_the_home_folder_of_a_missing_user_is_refused(suite, option):
    line = suite.refused(f"--benchmark-{option}=~nobody-of-this-name/x")
    assert line.endswith("but there is no such home folder")


@pytest.mark.parametrize("option", ["--benchmark-json=late/x.json", "--benchmark-histogram=late/x"])
def test_a_file_that_can_no_longer_be_written_costs_no_table(suite, option):
    """By then the disk may be full, or the folder gone."""
    (suite.path / "late").mkdir()
    suite.add(2, "def test_last():\n    os.rmdir('late')\n    open('late', 'w').close()")
    result = suite.run(option)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["Exercise 2: *", "Written to *", "pytest-benchmark could not write its files: *late*"]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert len(suite.summary()["cases"]) == 6
