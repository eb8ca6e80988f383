"""Classes and functions inside values, kept as dotted names so that values can be compared and written.

A name is looked up when the class is needed, possibly in another process.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .values import flag, number, shown

_kept: dict[str, Any] = {}  # the objects that this process's values were made with, by name


@dataclass(frozen=True)
class Function:
    """A function that is an option's value, kept by its dotted name."""

    name: str

    def __str__(self) -> str:
        return self.name.rpartition(".")[2]


def kept(modules: Collection[str]) -> dict[str, Any]:
    """Returns the classes and functions of these modules that values were made with, by dotted name."""
    return {name: each for name, each in _kept.items() if each.__module__ in modules}


def keep(named: Mapping[str, Any]) -> None:
    """Makes `look_up` find these classes and functions, for values from another process."""
    _kept.update(named)


def name_of(field: str, given: type, base: type, public: str) -> str:
    """Returns a dotted name by which `look_up` finds the class, in the module `public` if it is there.

    Raises ValueError, naming the field, unless it is a subclass of `base` defined at a module's top
    level.
    """
    if not issubclass(given, base) or given is base:
        raise ValueError(f"{field} is {shown(given)}; expected a subclass of {public}.{base.__name__}")
    in_public = getattr(importlib.import_module(public), given.__name__, None) is given
    return f"{public}.{given.__name__}" if in_public else _own_name(field, given)


def check_name(field: str, given: object, kind: str) -> None:
    """Raises ValueError, naming the field, unless `given` could be the dotted name of a class."""
    if not (isinstance(given, str) and re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", given)):
        raise ValueError(f"{field} is {shown(given)}; expected {kind}")


def look_up(name: str, kind: str) -> Callable[..., Any]:
    """Returns the class or function with that dotted name; raises ValueError if there is none."""
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
    raise ValueError(f"{kind} {name} cannot be found; expected an importable dotted name")


def plain_options(given: object, *, without: Collection[str]) -> tuple[tuple[str, Any], ...]:
    """Returns options as (name, value) pairs sorted by name; values are plain Python's or a `Function`.

    Raises ValueError for an option whose name is in `without` or whose value JSON cannot represent.
    """
    try:
        options = dict(cast(Any, given))
    except (TypeError, ValueError):
        raise ValueError(f"options is {shown(given)}; expected a mapping from names to values") from None
    for name in options:
        if not (isinstance(name, str) and name.isidentifier()) or name in without:
            raise ValueError(
                f"options has {shown(name)}; expected names of options except {' and '.join(without)}"
            )
    return tuple((name, _plain(f"options[{name!r}]", options[name])) for name in sorted(options))


def written(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Returns the options in a form for JSON, which `plain_options` reads back."""
    return {name: _written(value) for name, value in options}


def called_with(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Returns the options as keyword arguments; raises ValueError if a function cannot be found."""
    return {
        name: look_up(value.name, "function") if isinstance(value, Function) else value
        for name, value in options
    }


def in_words(name: str, value: object) -> str:
    """Returns a setting as labels show it, like "momentum 0.9", "nesterov" or "no cycle momentum"."""
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if isinstance(value, tuple | list):
        return f"{words} ({', '.join(map(_shortly, value))})"
    return f"{words} {_shortly(value)}"


def named(name: str, settings: list[str]) -> str:
    """Returns a name with its settings in words, like "SGD with momentum 0.9 and nesterov"."""
    if not settings:
        return name
    *others, last = settings
    return f"{name} with {' and '.join([', '.join(others)] * bool(others) + [last])}"


def _own_name(field: str, given: Any) -> str:
    name = f"{given.__module__}.{given.__qualname__}"
    if "<" in name:
        raise ValueError(
            f"{field} is {shown(given)}, defined in a function; expected one at a module's top level"
        )
    _kept[name] = given
    return name


def _plain(field: str, value: object) -> Any:
    """Returns the value in a form for comparing and writing; raises ValueError if JSON has none."""
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
        "a tuple of these, or a function at a module's top level"
    )


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    return {"function": value.name} if isinstance(value, Function) else value


def _shortly(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
