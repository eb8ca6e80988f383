"""The plugin of every session loads the suite's where there is a study, and else nothing."""

import pytest

from harness import entry
from tests.test_study import CONFTEST, MODULE


def run(suite, *args):
    """Runs pytest with exactly these arguments."""
    return suite._pytester.runpytest_inprocess(*args)


@pytest.mark.parametrize(
    "args",
    [
        ("--scale=huge",),
        ("--scale", "huge"),  # taken for a path until the option is known
        ("-q", "--scale=huge"),
        ("--scale=huge", "bench"),
        ("--scale=huge", "bench/test_1_fake.py::test_training"),
        ("bench/test_1_fake.py::test_training", "--scale", "huge"),
    ],
    ids=" ".join,
)
def test_options_are_known_with_and_without_a_path(suite, args):
    result = run(suite, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line.strip()] == [
        "ERROR: --scale is 'huge'; expected quick or paper"
    ]


def test_an_option_that_nobody_knows_is_refused(suite):
    result = run(suite, "--scael=huge")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --scael=huge" in result.stderr.str()


def test_the_named_study_is_used_also_if_there_is_another_in_testpaths(suite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere") / "my_study"
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_ways.py").write_text(MODULE)
    for path in (folder, f"{folder}/test_ways.py::test_training"):
        result = run(suite, "--scale", "huge", str(path))
        assert "ERROR: --scale is 'huge'; expected all" in result.errlines


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"STUDY = Study()\n", True),
        (b"import x\nSTUDY: Study = Study()\n", True),
        (b"STUDY_OF = 1\n", False),
        (b"A_STUDY = 1\n", False),
        (b" STUDY = 1\n", False),
        (b"", False),
        (b"\xff\nSTUDY = 1\n", False),
        (None, False),
    ],
)
def test_a_study_is_recognised_by_its_declaration(tmp_path, content, found):
    if content is not None:
        (tmp_path / "conftest.py").write_bytes(content)
    assert entry._has_study(tmp_path) is found


def test_a_conftest_that_is_a_folder_is_no_study(tmp_path):
    (tmp_path / "conftest.py").mkdir()
    assert entry._has_study(tmp_path) is False


def test_another_projects_study_and_exercise_are_theirs(pytester):
    pytester.makeconftest("STUDY = 'mine'")
    pytester.makepyfile(
        "class Own:\n    pass\nEXERCISE = Own()\ndef test_it(pytestconfig):\n"
        "    assert not pytestconfig.pluginmanager.has_plugin('harness.plugin')\n"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
