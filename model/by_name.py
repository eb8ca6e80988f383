"""Classes and functions inside values, kept as dotted names: so values can be compared and written.

A name is looked up again where the class is needed, in whatever process that is.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, cast

from .values import flag, number, shown

_kept: dict[str, Any] = {}  # what a value was made with in this process, by name


@dataclass(frozen=True)
class Function:
    """A function as an option, by its name."""

    name: str

    def __str__(self) -> str:
        return self.name.rpartition(".")[2]


def name_of(field: str, given: type, base: type, public: str) -> str:
    """The name that finds the class again.

    That is its name in the module `public`, if it is there. Raises ValueError, naming the field, unless
    it is a subclass of `base` that its module has by name.
    """
    if not issubclass(given, base) or given is base:
        raise ValueError(f"{field} is {shown(given)}; expected a subclass of {public}.{base.__name__}")
    in_public = getattr(importlib.import_module(public), given.__name__, None) is given
    return f"{public}.{given.__name__}" if in_public else _own_name(field, given)


def check_name(field: str, given: object, kind: str) -> None:
    """Raises ValueError, naming the field, unless `given` may be the dotted name of a class."""
    if not (isinstance(given, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", given)):
        raise ValueError(f"{field} is {shown(given)}; expected {kind}")


def look_up(name: str, kind: str) -> Callable[..., Any]:
    """The class or function of that dotted name; raises ValueError where there is none."""
    if name in _kept:
        return cast("Callable[..., Any]", _kept[name])
    module, _, rest = name.rpartition(".")
    while module:
        try:
            found: Any = importlib.import_module(module)
            for each in rest.split("."):
                found = getattr(found, each)
        except (ImportError, AttributeError):
            module, _, last = module.rpartition(".")
            rest = f"{last}.{rest}"
        else:
            return cast("Callable[..., Any]", found)
    raise ValueError(f"no {kind} is called {name} here")


def plain_options(given: object, *, without: Collection[str]) -> tuple[tuple[str, Any], ...]:
    """Options as pairs in the order of their names, each of plain Python's values or a `Function`.

    Raises ValueError for one that is called as in `without`, or that JSON has no form for.
    """
    try:
        options = dict(cast(Any, given))
    except (TypeError, ValueError):
        raise ValueError(f"options is {shown(given)}; expected options by name") from None
    for name in options:
        if not (isinstance(name, str) and name.isidentifier()) or name in without:
            raise ValueError(
                f"options has {shown(name)}; expected names of options, but {' and '.join(without)}"
            )
    return tuple((name, _plain(f"options[{name!r}]", options[name])) for name in sorted(options))


def written(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The options as JSON has them; `plain_options` reads them again."""
    return {name: _written(value) for name, value in options}


def called_with(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """The options as the class is called with them; raises ValueError for a function not found here."""
    return {
        name: look_up(value.name, "function") if isinstance(value, Function) else value
        for name, value in options
    }


def in_words(name: str, value: object) -> str:
    """A setting as labels have it, like "momentum 0.9", "nesterov" or "no cycle momentum"."""
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if isinstance(value, tuple | list):
        return f"{words} ({', '.join(map(_shortly, value))})"
    return f"{words} {_shortly(value)}"


def named(name: str, settings: list[str]) -> str:
    """A name and its settings in words, like "SGD with momentum 0.9 and nesterov"."""
    if not settings:
        return name
    *others, last = settings
    return f"{name} with {' and '.join([', '.join(others)] * bool(others) + [last])}"


def _own_name(field: str, given: Any) -> str:
    name = f"{given.__module__}.{given.__qualname__}"
    if "<" in name:
        raise ValueError(
            f"{field} is {shown(given)}, made in a function; expected one that its module has by name"
        )
    _kept[name] = given
    return name


def _plain(field: str, value: object) -> Any:
    """The option as it can be compared and written; ValueError for what JSON has no form for."""
    if value is None or isinstance(value, Function):
        return value
    if isinstance(value, str) and value.isprintable():  # tables show it
        return value
    if isinstance(value, tuple | list):
        return tuple(_plain(field, each) for each in value)
    if isinstance(value, dict) and [*value] == ["function"] and isinstance(value["function"], str):
        return Function(value["function"])
    if callable(value) and hasattr(value, "__qualname__"):
        return Function(_own_name(field, value))
    for check in (flag, number):
        try:
            found = check(field, value)
        except ValueError:
            continue
        return int(found) if isinstance(value, int) and not isinstance(found, bool) else found
    raise ValueError(
        f"{field} is {shown(value)}; expected a finite number, True, False, None, a printable string, "
        "a tuple of these, or a function that its module has by name"
    )


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    return {"function": value.name} if isinstance(value, Function) else value


def _shortly(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
