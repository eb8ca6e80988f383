"""Classes and functions inside values, by their dotted names."""

import builtins
import json
import os.path
import re
import types

import pytest
import torch

from model import by_name
from model.by_name import Function


class Own(torch.optim.SGD):
    """An optimizer at this module's top level."""


class Adam(torch.optim.SGD):
    """An optimizer with the name of one of PyTorch's."""


class Outer:
    class Inner(torch.optim.SGD):
        """An optimizer in a class, which has a dotted name too."""


def own(x):
    return x


def name_of(given):
    return by_name.name_of("optimizer", given, torch.optim.Optimizer, "torch.optim")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (torch.optim.SGD, "torch.optim.SGD"),
        (Own, f"{__name__}.Own"),
        (Adam, f"{__name__}.Adam"),
        (torch.optim.Adam, "torch.optim.Adam"),
        (Outer.Inner, f"{__name__}.Outer.Inner"),
    ],
)
def test_the_class_is_found_by_its_name(monkeypatch, given, name):
    monkeypatch.setattr(by_name, "_kept", {})
    assert name_of(given) == name
    assert by_name.look_up(name, "optimizer") is given
    by_name._kept.clear()
    assert by_name.look_up(name, "optimizer") is given, "also in another process, which imports it"


def test_a_class_that_only_this_process_has_is_kept(monkeypatch):
    monkeypatch.setattr(by_name, "_kept", {})
    made = type("Made", (torch.optim.SGD,), {"__module__": "nowhere", "__qualname__": "Made"})
    assert by_name.look_up(name_of(made), "optimizer") is made
    assert by_name.kept({"nowhere"}) == {"nowhere.Made": made}
    assert by_name.kept({"elsewhere"}) == {}


def test_what_another_process_has_kept_is_found(monkeypatch):
    monkeypatch.setattr(by_name, "_kept", {})
    by_name.keep({"over.there": own})
    assert by_name.look_up("over.there", "function") is own


@pytest.mark.parametrize("name", ["nowhere.Made", "os.nothing", "os.path.nothing", "json.dumps.nothing"])
def test_a_name_without_an_object_is_refused(name):
    line = f"optimizer {name} cannot be found; expected an importable dotted name"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        by_name.look_up(name, "optimizer")


@pytest.mark.parametrize(
    ("name", "found"),
    [("json.dumps", json.dumps), ("os.path.join", os.path.join), ("builtins.str.upper", str.upper)],
)
def test_a_name_may_be_an_attribute_of_an_attribute(name, found):
    assert by_name.look_up(name, "function") is found


@pytest.mark.parametrize("given", [int, torch.optim.Optimizer, types.SimpleNamespace])
def test_other_classes_are_refused(given):
    with pytest.raises(ValueError, match=r"; expected a subclass of torch\.optim\.Optimizer$"):
        name_of(given)


def test_a_class_in_a_function_is_refused():
    class Local(torch.optim.SGD):
        pass

    with pytest.raises(ValueError, match="defined in a function; expected one at a module's top level"):
        name_of(Local)


def test_a_function_is_shown_by_its_last_name():
    assert str(Function("os.path.join")) == "join"
    assert str(Function("join")) == "join"


VALUES = [
    None, True, False, 3, -2, 0.5, "text", (1, (2.5, None)), Function("os.path.join"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_options_are_written_and_read_back(value):
    options = by_name.plain_options({"b": value, "a": 1}, without=("lr",))
    assert options == (("a", 1), ("b", value))
    assert type(options[1][1]) is type(value)
    text = json.dumps(by_name.written(options))
    assert by_name.plain_options(json.loads(text), without=("lr",)) == options


def test_functions_are_options_by_name():
    options = by_name.plain_options({"f": own, "g": [own, 1]}, without=())
    name = f"{__name__}.own"
    assert options == (("f", Function(name)), ("g", (Function(name), 1)))
    assert by_name.written(options) == {"f": {"function": name}, "g": [{"function": name}, 1]}
    assert by_name.called_with(options[:1]) == {"f": own}


def test_whole_numbers_stay_whole_and_others_do_not():
    (_, a), (_, b) = by_name.plain_options({"a": 2, "b": 2.0}, without=())
    assert (type(a), type(b)) == (int, float)


@pytest.mark.parametrize("given", [3, ["a"], None, [("a", 1, 2)]])
def test_options_that_are_no_mapping_are_refused(given):
    with pytest.raises(ValueError, match=r"^options is .*; expected a mapping from names to values$"):
        by_name.plain_options(given, without=("lr",))


@pytest.mark.parametrize("name", ["lr", "params", "a b", "", 3])
def test_names_of_other_things_are_refused(name):
    with pytest.raises(ValueError, match=r"; expected names of options except lr and params$"):
        by_name.plain_options({name: 1}, without=("lr", "params"))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        "a\nb",
        {"a": 1},
        {"function": 3},
        {"function": "a", "b": 1},
        {1},
        ...,
    ],
    ids=repr,
)
def test_values_that_json_cannot_represent_are_refused(value):
    with pytest.raises(
        ValueError, match=r"^options\['x'\] is .*; expected a finite number, True, False,"
    ):
        by_name.plain_options({"x": value}, without=())


def test_a_function_without_a_module_level_name_is_refused():
    with pytest.raises(ValueError, match=r"^options\['x'\] is .*, defined in a function; expected one"):
        by_name.plain_options({"x": lambda: 1}, without=())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("momentum", 0.9, "momentum 0.9"),
        ("weight_decay", 1e-05, "weight decay 1e-05"),
        ("nesterov", True, "nesterov"),
        ("cycle_momentum", False, "no cycle momentum"),
        ("betas", (0.9, 0.999), "betas (0.9, 0.999)"),
        ("steps", [1, 2], "steps (1, 2)"),
        ("anneal_strategy", "cos", "anneal strategy cos"),
        ("lr_lambda", Function("a.b"), "lr lambda b"),
    ],
)
def test_settings_in_words(name, value, words):
    assert by_name.in_words(name, value) == words


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ([], "SGD"),
        (["a"], "SGD with a"),
        (["a", "b"], "SGD with a and b"),
        (["a", "b", "c"], "SGD with a, b and c"),
    ],
)
def test_names_with_settings(settings, name):
    assert by_name.named("SGD", settings) == name


@pytest.mark.parametrize("name", ["SGD", "a.", ".a", "a..b", "a.1", "a b.c", "", 3, None])
def test_what_is_no_dotted_name_is_refused(name):
    with pytest.raises(ValueError, match=r"^optimizer is .*; expected a dotted name$"):
        by_name.check_name("optimizer", name, "a dotted name")


@pytest.mark.parametrize("name", ["a.b", "torch.optim.SGD", "_a.b_1", "é.b"])
def test_dotted_names_are_accepted(name):
    by_name.check_name("optimizer", name, "a dotted name")


def test_builtins_have_names_too():
    assert by_name.plain_options({"x": len}, without=()) == (("x", Function("builtins.len")),)
    assert by_name.look_up("builtins.len", "function") is builtins.len
