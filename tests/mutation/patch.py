"""Puts a mutant's functions in place of those of the module, in a process that has imported it."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType

# A function's qualified name and the line of its `def`, in the module without a change.
Key = tuple[str, int]


def changed_functions(original: CodeType, mutant: CodeType) -> dict[Key, CodeType] | None:
    """Returns the code of the functions that differ, or None if code outside functions does.

    Functions in functions come with those around them. Both are what `compile` returns for a module.
    """
    if _own(original) != _own(mutant):
        return None
    changed: dict[Key, CodeType] = {}
    for old, new in zip(_nested(original), _nested(mutant), strict=True):
        if old.co_flags & CO_OPTIMIZED:
            changed |= _differing(old, new)
        elif (inside := changed_functions(old, new)) is None:
            return None
        else:  # of a class
            changed |= inside
    return changed


def functions_of(path: str) -> dict[Key, list[FunctionType]]:
    """Returns all functions of this process that were defined in a file."""
    found = defaultdict(list)
    for each in gc.get_objects():
        # isinstance would make some objects of PyTorch warn.
        if type(each) is FunctionType and each.__code__.co_filename == path:
            found[each.__code__.co_qualname, each.__code__.co_firstlineno].append(each)
    return found


def replaced(functions: dict[Key, list[FunctionType]], changed: dict[Key, CodeType]) -> bool:
    """Gives `functions` the changed code; returns False if that is not possible."""
    for key in functions:
        # What a changed function returned earlier, a decorated function for instance, stays as it is.
        if key not in changed and any(key[0].startswith(f"{name}.<locals>.") for name, _ in changed):
            return False
    try:
        for key, code in changed.items():
            for function in functions.get(key, ()):
                function.__code__ = code
    except ValueError:  # it uses another number of variables of the function around it
        return False
    return any(key in functions for key in changed)


def _differing(old: CodeType, new: CodeType) -> dict[Key, CodeType]:
    """Returns the new code of a function that differs, and of those in it."""
    inside: dict[Key, CodeType] = {}
    same = _own(old) == _own(new)
    if same:
        for each, other in zip(_nested(old), _nested(new), strict=True):
            inside |= _differing(each, other)
    return {} if same and not inside else {(old.co_qualname, old.co_firstlineno): new} | inside


def _own(code: CodeType) -> tuple[object, ...]:
    """Returns what a code object does, without the code in it and without lines."""
    constants = [None if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return (
        code.co_code, code.co_exceptiontable, constants, code.co_names, code.co_varnames,
        code.co_freevars, code.co_cellvars, code.co_flags,
    )  # fmt: skip


def _nested(code: CodeType) -> Iterator[CodeType]:
    return (each for each in code.co_consts if isinstance(each, CodeType))
