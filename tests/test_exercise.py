"""What an exercise and its rows may declare, and in which words anything else is refused."""

import re

import pytest

from harness.exercise import Exercise, Published, Row
from model.observers import Observer
from model.optimizers import SGD

SETTINGS = {"optimizer": SGD(0.1), "batch_size": 32}


def observe(seen):
    return {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": 3}, "a row's name is 3; expected text"),
        ({"name": ""}, "a row's name is ''; expected 1 to 100 characters"),
        ({"name": "a" * 101}, "expected 1 to 100 characters"),
        ({"name": "größe"}, "expected printable ASCII without / and \\"),
        ({"name": "a\x1b[1m"}, "expected printable ASCII without / and \\"),
        ({"name": "a/b"}, "a row's name is 'a/b'; expected printable ASCII without / and \\"),
        ({"name": "a\\b"}, "expected printable ASCII without / and \\"),
        ({"settings": [1]}, "the row 'a': settings is [1]; expected values by field"),
        ({"settings": {1: 2}}, "the row 'a': settings is {1: 2}; expected values by field"),
        ({"published": 0.9}, "the row 'a': published is 0.9; expected Published"),
        (
            {"settings": {**SETTINGS, "epochs": 3}},
            "the row 'a': epochs cannot be set in a row; the exercise sets them for each scale",
        ),
        ({"settings": {**SETTINGS, "batch_size": 0}}, "the row 'a': batch_size is 0; expected"),
        ({"settings": {"batch_size": 1}}, "the row 'a': "),
    ],
)
def test_a_row_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        Row(**{"name": "a", "settings": SETTINGS, **given})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a", "a" * 100, "sgd lr=0.1 (momentum) [x]"])
def test_other_names_are_accepted(name):
    assert Row(name, SETTINGS).name == name


def test_a_rows_settings_stay_as_they_are():
    settings = {**SETTINGS}
    row = Row("a", settings)
    settings["batch_size"] = 1
    assert row.settings["batch_size"] == row.experiment.batch_size == 32
    assert row.experiment.epochs == 1
    with pytest.raises(TypeError):
        row.settings["batch_size"] = 1


ROW = Row("a", SETTINGS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": " "}, "title is empty; expected text"),
        ({"title": 3}, "title is 3; expected"),
        ({"question": "a\x1bb"}, "question is"),
        ({"source": "a\x1bb"}, "source is"),
        ({"figure": None}, "figure is None"),
        ({"epochs": 3}, "epochs is 3; expected epochs by scale"),
        ({"epochs": {"quick": 0}}, "epochs['quick'] is 0"),
        ({"guesses": "A guess."}, "guesses is 'A guess.'; expected a tuple of sentences"),
        ({"guesses": ("A guess.", 3)}, "guesses is 3; expected"),
        ({"guesses": ("A guess.", "a\x1bb")}, "guesses is"),
        ({"rows": 3}, "rows is 3; expected a tuple of rows"),
        ({"rows": (ROW, "b")}, "rows contains 'b'; expected harness.exercise.Row"),
        ({"rows": (ROW, Row("b", SETTINGS), ROW)}, "two rows of 'Exercise' are named 'a'; rename one"),
        ({"measurements": [len]}, "expected functions by name"),
        ({"measurements": {"bias": 3}}, "measurements['bias'] is 3; expected a function"),
        ({"measurements": {"a\x1bb": len}}, "the name of a measurement is"),
        ({"measurements": {3: len}}, "the name of a measurement is 3"),
        ({"observers": 3}, "observers is 3; expected a tuple of observers"),
        ({"observers": (len,)}, "expected model.observers.Observer"),
        ({"figures": (len,)}, "expected functions by name"),
        ({"figures": {"loss": 3}}, "figures['loss'] is 3; expected a function"),
        ({"figures": {3: len}}, "figures contains 3; expected 1 to 40 characters"),
        ({"story": "It was found."}, "story is 'It was found.'; expected a function or None"),
    ],
)
def test_an_exercise_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        Exercise(**{"title": "Exercise", "rows": (ROW,), **given})
    assert "\n" not in str(refused.value)


def test_what_is_given_in_any_order_is_kept_as_a_tuple():
    observer = Observer(observe)
    exercise = Exercise(
        title="Exercise",
        rows=(Row(name, SETTINGS) for name in "ab"),
        guesses=["One.", "Two."],
        observers=iter([observer]),
        story=lambda results: "",
    )
    for _ in range(2):  # a generator would be used up
        assert exercise.names == ["a", "b"]
    assert (exercise.guesses, exercise.observers) == (("One.", "Two."), (observer,))


def test_the_first_of_the_names_that_are_repeated_is_told():
    names = "abcbca"
    with pytest.raises(ValueError, match=r"named 'a'; rename one$"):
        Exercise(title="Exercise", rows=tuple(Row(name, SETTINGS) for name in names))


def test_figures_of_the_paper_are_optional():
    assert Published() == Published(None, None, "")
    assert Row("a", SETTINGS).published == Published()
