"""Runs a CUDA kernel's source on the CPU, and detects errors in it.

g++ compiles the source, with `cuda.h` included first, and `emulator.cpp` runs it. Two things that macros
cannot replace are rewritten: the declaration of a `__shared__` variable, and `asm` statements, whose
instructions become calls of functions with their names.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

# The emulator uses GCC's hooks and glibc's contexts.
AVAILABLE = sys.platform == "linux" and shutil.which("g++") is not None

ALWAYS = (
    "-std=c++17",
    "-g1",
    "-fPIC",
    "-U_FORTIFY_SOURCE",  # it would report a switch of stacks as an attack
)
SANITIZERS = ("-fsanitize=thread,alignment", "--param=tsan-instrument-func-entry-exit=0")
AS_NVCC = ("-fno-strict-aliasing", "-Wno-unknown-pragmas", "-include", HERE / "cuda.h")


class Found(Exception):
    """An error in a kernel; the first word is its kind."""


class Array(ctypes.Structure):
    """An array in global memory; accesses outside all arrays are errors."""

    _fields_ = (("pointer", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("constant", ctypes.c_bool))


def compile_emulator(target: Path) -> None:
    """Compiles the emulator into an object that kernels are linked with."""
    _gpp("-O2", "-c", HERE / "emulator.cpp", "-o", target)


class Kernel:
    """The kernel called `name` in a CUDA source, compiled for this CPU with `macros` defined."""

    def __init__(self, source: str, name: str, emulator: Path, folder: Path, *macros: str):
        translated, compiled, self._library = (folder / f"{name}.{end}" for end in ("cu", "o", "so"))
        translated.write_text(_translated(source, name))
        _gpp(
            *SANITIZERS,
            *AS_NVCC,
            *(f"-D{macro}" for macro in macros),
            "-O1",
            "-c",
            "-x",
            "c++",
            translated,
            "-o",
            compiled,
        )
        _gpp("-shared", "-Wl,-Bsymbolic,-z,defs,-z,now", compiled, emulator, "-o", self._library)
        self._launch = ctypes.CDLL(str(self._library)).launch
        self._launch.restype = ctypes.c_char_p

    def launch(
        self,
        clusters: int,
        blocks: int,
        threads: int,
        arguments: Sequence[int | np.generic],
        arrays: Sequence[Array],
        seed: int,
    ) -> None:
        """Runs the kernel to its end, or raises Found. `seed` determines the order in which threads run.

        `clusters` are per grid, `blocks` per cluster, `threads` per block. An argument that is an `int`
        is a pointer.
        """
        values = [np.asarray(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        found = self._launch(
            clusters, blocks, threads, pointers, (Array * len(arrays))(*arrays), len(arrays), seed
        )
        if found is not None:
            raise Found(re.sub(r"\{(\w+)\}", self._line, found.decode()))

    def _line(self, match: re.Match) -> str:
        """Returns the source line of an address in the compiled kernel, as ` (line 7 from line 8)`."""
        command = ("addr2line", "--inlines", "-e", self._library, match[1])
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = [line for path, line in re.findall(r"(\S+):(\d+)", said) if path.endswith(".cu")]
        return f" (line {' from line '.join(lines)})"


def _gpp(*arguments: str | Path) -> None:
    done = subprocess.run(["g++", *ALWAYS, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise Found(f"compiler: {done.stderr}")


def _translated(source: str, name: str) -> str:
    """Returns the source as C++, with every statement in the same line."""
    source, variables = re.subn(
        r"__shared__ (\w+) (\w+);",
        r"\1& \2 = *static_cast<\1*>(emulator::shared_memory(sizeof(\1), alignof(\1)));",
        source,
    )
    assert variables == 1, "the emulator supports one shared variable"
    source = re.sub(
        r"\basm\b( volatile)?\s*\(((?:\s*\"[^\"]*\")+)(.*?)\);", _calls, source, flags=re.DOTALL
    )
    kernel = f"void emulator::kernel(void** arguments) {{ call({name}, arguments); }}"
    return f"{source}\n{kernel}\n"


def _calls(statement: re.Match) -> str:
    """Returns the replacement of an `asm` statement."""
    volatile, text, rest = statement.groups()
    operands = [_operand(start, rest) for start in re.finditer(r'"(=?)([rlfn])"\s*\(', rest)]
    instructions = "".join(re.findall(r'"([^"]*)"', text)).strip(" {}").split(";")
    calls = []
    for instruction in filter(None, map(str.strip, instructions)):
        name, _, given = instruction.partition(" ")
        if name == ".reg":
            calls.append(given.replace(".pred", "bool"))
            continue
        if name.partition(".")[0] not in ("mapa", "selp") and not (volatile and '"memory"' in rest):
            raise Found(f"compiler: it may move or remove {instruction}")
        given = re.sub(r"\[(.*?)\]", r"emulator::address(\1)", given)
        given = re.sub(r"\b_\b", "emulator::_", given)
        given = re.sub(r"%(\d+)", lambda number: operands[int(number[1])], given)
        calls.append(f"emulator::{re.sub('[.:]+', '_', name)}({given})")
    return f"{{ {'; '.join(calls)}; }}" + "\n" * statement[0].count("\n")


def _operand(start: re.Match, rest: str) -> str:
    """Returns an operand of `rest` as an argument; `start` matches its constraint and parenthesis."""
    output, constraint = start.groups()
    depth, end = 1, start.end()
    while depth:
        depth += {"(": 1, ")": -1}.get(rest[end], 0)
        end += 1
    expression = rest[start.end() : end - 1]
    if output:
        return expression
    return (
        f"emulator::N<({expression})>()"
        if constraint == "n"
        else f"emulator::{constraint}({expression})"
    )
