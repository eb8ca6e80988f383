"""The types of the fields in files: ranges, finite numbers, shapes.

Bounds also exclude NaN, for which every comparison is false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from model.dataset import DATASETS, Dataset
from model.experiment import Experiment
from model.network import MLP
from model.optimizers import Optimizer, from_dict
from model.schedule import Schedule

from .measured import SPELLED

TIMINGS = ("exclusive", "shared")
ENGINE_NAMES = ("cluster", "numba", "cuda-graph", "eager")
"""The names of `model.engines`, repeated here because importing it imports PyTorch, in two seconds."""


class Model(BaseModel):
    """A part of a file. Values are not converted and cannot be changed; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


def _printable(text: str) -> str:
    """Rejects control characters and escape sequences, which a terminal would obey."""
    if not text.replace("\n", " ").isprintable():
        raise ValueError("it contains characters that cannot be printed")
    return text


def _one_of(allowed: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


_MAX_AXES = 8  # of an observer's array


def _number(value: Any) -> Any:
    """Returns the number that `atomic_json` wrote as a string, since JSON lacks it; others unchanged."""
    return SPELLED.get(value, value) if isinstance(value, str) else value


def _array(nested: list[Any], axes: int = _MAX_AXES) -> list[Any]:
    """Returns nested lists as lists of floats. Raises ValueError if they are not an array of numbers."""
    if not axes:
        raise ValueError(f"expected at most {_MAX_AXES} axes")
    found = [_array(each, axes - 1) if isinstance(each, list) else _to_float(each) for each in nested]
    if len({shape_of(each) for each in found}) > 1:
        raise ValueError("its lists differ in length")
    return found


def _to_float(value: Any) -> float:
    number = _number(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("expected numbers")
    return float(number)


def shape_of(nested: Any) -> tuple[int, ...]:
    """Returns the shape of an array in nested lists; that of a number is ()."""
    if not isinstance(nested, list):
        return ()
    return (len(nested), *(shape_of(nested[0]) if nested else ()))


def _value(kind: type, read: Callable[[Any], object]) -> PlainValidator:
    """Accepts a `kind`, or content for `read`, which rejects unknown fields, unlike pydantic."""
    return PlainValidator(lambda given: given if isinstance(given, kind) else read(given))


def _written(value: Any) -> Any:
    return None if value is None else value.to_dict()


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed occurs twice")
    return seeds


Text = Annotated[str, Field(max_length=5000), AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(ge=1, le=10**12)]
Accuracy = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
FinitePositive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, BeforeValidator(_number)]
"""A number that is infinite or NaN if the training diverged."""
Observed = Annotated[list[Any], AfterValidator(_array)]
"""An array of numbers, of any shape."""
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1), AfterValidator(_distinct)
]
ADataset = Annotated[Dataset, _value(Dataset, Dataset.from_dict), PlainSerializer(_written)]
ANetwork = Annotated[MLP, _value(MLP, MLP.from_dict), PlainSerializer(_written)]
ASchedule = Annotated[Schedule | None, _value(Schedule, Schedule.from_dict), PlainSerializer(_written)]
AnExperiment = Annotated[Experiment, _value(Experiment, Experiment.from_dict), PlainSerializer(_written)]
AnOptimizer = Annotated[Optimizer, _value(Optimizer, from_dict), PlainSerializer(_written)]
Scale = Annotated[str, Field(pattern=r"^\w{1,100}$")]
DatasetName = Annotated[str, _one_of(DATASETS)]
Timing = Annotated[str, _one_of(TIMINGS)]
EngineName = Annotated[str, _one_of(ENGINE_NAMES)]
EngineOrPeer = Annotated[str, _one_of((*ENGINE_NAMES, "jax", "torch.compile"))]
Device = Annotated[str, Field(pattern=r"^(cpu|cuda(:\d{1,3})?)$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


def check_shapes(content: Model, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises ValueError, naming the field, if one does not have the shape given for it."""
    for name, shape in shapes.items():
        if not _has_shape(getattr(content, name), shape):
            raise ValueError(f"{name} does not have shape {shape}")


def _has_shape(nested: Sequence[Any], shape: tuple[int, ...]) -> bool:
    return len(nested) == shape[0] and (
        len(shape) == 1 or all(_has_shape(each, shape[1:]) for each in nested)
    )
