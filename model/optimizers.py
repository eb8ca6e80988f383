"""Optimizers as values: a row's optimizer, and everything that the rest of the suite asks about it.

`SGD(0.1, momentum=0.9)` is a small frozen object, checked when it is made. Its fields have PyTorch's
names and defaults. Optimizers are listed nowhere else except in the engines, each of which declares the
classes and fields that it honours (see `model.engines.honours`).

To add an optimizer, define a class here with the name that it has in `torch.optim` and its options as
fields, and add it to `OPTIMIZERS`. Any other class of `torch.optim`, or your own, is a `Torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, MISSING, Field, dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from .by_name import called_with, check_name, in_words, look_up, name_of, named, plain_options, written
from .values import flag, number, one_line, shown

if TYPE_CHECKING:  # a report is rendered without PyTorch
    import torch


def _checked(check: Callable[[str, object], Any], default: Any = MISSING) -> Any:
    """Returns a field whose values pass through `check(name, value)`, which may raise ValueError."""
    return field(default=default, metadata={"check": check})


def _number(default: Any = MISSING, **bounds: Any) -> Any:
    return _checked(partial(number, **bounds), default)


def _pair(name: str, value: object) -> tuple[float, float]:
    """Returns two decay rates; raises ValueError, naming the field."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name} is {shown(value)}; expected two numbers from 0 and below 1")
    first, second = (number(f"{name}[{i}]", each, least=0, below=1) for i, each in enumerate(value))
    return first, second


class Optimizer:
    """The interface of all optimizers. A subclass is a frozen dataclass with a field `learning_rate`."""

    learning_rate: float

    def __post_init__(self) -> None:
        for each in self._fields():
            if "check" in each.metadata:
                checked = each.metadata["check"](each.name, getattr(self, each.name))
                object.__setattr__(self, each.name, checked)

    @property
    def name(self) -> str:
        """Its name in tables, without its settings."""
        return type(self).__name__

    @property
    def label(self) -> str:
        """Its name and the settings that differ from their defaults, without the learning rate."""
        return named(self.name, [in_words(*each) for each in self._settings().items()])

    def __str__(self) -> str:
        return f"{self.label} at rate {self.learning_rate:g}"

    @property
    def proof_rate(self) -> float:
        """A rate at which rounding errors do not grow within the few hundred steps of a proof."""
        return 1e-4

    @property
    def tolerance(self) -> Mapping[float, float]:
        """The distances from eager's parameters allowed after a proof, by share of a tensor's entries.

        Distances are relative to the tensor's norm. The allowed distance is not the same for all
        entries: if a unit's input is 0 up to rounding, ReLU lets an example's gradient pass in one
        engine and not in the other, and an optimizer that divides by the gradient's magnitude amplifies
        the difference; see tests/test_engines.py.
        """
        return {0.95: 1e-5, 1.0: 1e-2}

    @property
    def state_per_parameter(self) -> int | None:
        """The number of float32 values that it keeps for each parameter; None if unknown."""
        return None

    @property
    def operations_per_parameter(self) -> int | None:
        """Approximate additions and multiplications per parameter and step; None if unknown."""
        return None

    @property
    def moves_all(self) -> bool:
        """Whether a step changes parameters whose gradient is 0, or their state."""
        return True

    def build(self, parameters: Iterable[torch.Tensor], **how: bool) -> torch.optim.Optimizer:
        """Returns PyTorch's optimizer of these parameters.

        Every field is passed on, so PyTorch either honours it or raises. `how` holds options that do not
        change the mathematics, such as `fused`.
        """
        options = {each.name: getattr(self, each.name) for each in self._fields()}
        rate = options.pop("learning_rate")
        return self._torch_class()(parameters, lr=rate, **options, **how)

    def with_rate(self, learning_rate: float) -> Self:
        """Returns a copy with another learning rate."""
        return cast(Self, replace(cast(Any, self), learning_rate=learning_rate))

    def to_dict(self) -> dict[str, Any]:
        """Returns a form for JSON: class, learning rate, and settings that are not at their defaults."""
        return {"class": type(self).__name__, "learning_rate": self.learning_rate, **self._settings()}

    def _settings(self) -> dict[str, Any]:
        """Returns the settings that differ from their defaults, without the learning rate."""
        values = {each.name: getattr(self, each.name) for each in self._fields() if differs(self, each)}
        del values["learning_rate"]
        return {name: [*each] if isinstance(each, tuple) else each for name, each in values.items()}

    def _fields(self) -> tuple[Field[Any], ...]:
        return fields(cast(Any, self))

    def _torch_class(self) -> Callable[..., torch.optim.Optimizer]:
        return look_up(f"torch.optim.{type(self).__name__}", "optimizer class")


def differs(value: object, of: Field[Any]) -> bool:
    """Returns whether a dataclass's field differs from its default; true if it has no default."""
    default = of.default if of.default_factory is MISSING else of.default_factory()
    return bool(getattr(value, of.name) != default)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, `torch.optim.SGD`."""

    learning_rate: float = _number(above=0)
    _: KW_ONLY
    momentum: float = _number(0.0, least=0)
    dampening: float = _number(0.0)
    nesterov: bool = _checked(flag, False)
    weight_decay: float = _number(0.0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov is True with momentum {self.momentum:g} and dampening {self.dampening:g}; "
                "expected a momentum above 0 and no dampening"
            )

    @property
    def proof_rate(self) -> float:
        """Smaller with momentum, which makes steps up to 1 / (1 - momentum) times as long."""
        return 0.03 * max(1 - self.momentum, 0.01)

    @property
    def tolerance(self) -> Mapping[float, float]:
        """On MNIST, 200 steps at batch size 100 give 1e-7, or 6e-6 if one unit's input is near 0."""
        return {0.95: 1e-5, 1.0: 1e-3}

    @property
    def state_per_parameter(self) -> int:
        return int(self.momentum > 0)

    @property
    def operations_per_parameter(self) -> int:
        return 2 * (1 + (self.momentum > 0) + self.nesterov + (self.weight_decay > 0))

    @property
    def moves_all(self) -> bool:
        return self.momentum > 0 or self.weight_decay > 0


@dataclass(frozen=True)
class Adam(Optimizer):
    """`torch.optim.Adam`, whose weight decay is added to the gradient."""

    learning_rate: float = _number(above=0)
    _: KW_ONLY
    betas: tuple[float, float] = _checked(_pair, (0.9, 0.999))
    eps: float = _number(1e-8, least=0)
    weight_decay: float = _number(0.0, least=0)

    @property
    def state_per_parameter(self) -> int:
        return 2

    @property
    def operations_per_parameter(self) -> int:
        return 12 + 2 * (self.weight_decay > 0)


@dataclass(frozen=True)
class AdamW(Adam):
    """`torch.optim.AdamW`: Adam whose weight decay shrinks the weights themselves."""

    _: KW_ONLY
    weight_decay: float = _number(0.01, least=0)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """`torch.optim.RMSprop`."""

    learning_rate: float = _number(above=0)
    _: KW_ONLY
    alpha: float = _number(0.99, least=0)
    eps: float = _number(1e-8, least=0)
    momentum: float = _number(0.0, least=0)
    centered: bool = _checked(flag, False)
    weight_decay: float = _number(0.0, least=0)

    @property
    def state_per_parameter(self) -> int:
        return 1 + (self.momentum > 0) + self.centered

    @property
    def operations_per_parameter(self) -> int:
        return 8 + 2 * (self.momentum > 0) + 4 * self.centered + 2 * (self.weight_decay > 0)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """`torch.optim.Adagrad`."""

    learning_rate: float = _number(above=0)
    _: KW_ONLY
    lr_decay: float = _number(0.0, least=0)
    weight_decay: float = _number(0.0, least=0)
    initial_accumulator_value: float = _number(0.0, least=0)
    eps: float = _number(1e-10, least=0)

    @property
    def state_per_parameter(self) -> int:
        return 1

    @property
    def operations_per_parameter(self) -> int:
        return 7 + 2 * (self.weight_decay > 0)

    @property
    def moves_all(self) -> bool:
        return self.weight_decay > 0


@dataclass(frozen=True)
class Torch(Optimizer):
    """Any other class of `torch.optim`, or a subclass of `torch.optim.Optimizer`, with its options.

    `Torch(torch.optim.NAdam, 0.002, {"momentum_decay": 0.01})`. The class is kept by its module and
    qualified name, and the options as pairs sorted by name, so that the value can be hashed, compared
    and written. It is tried when it is made: a ValueError quotes the error that PyTorch raises. The
    class may also be given by its name, as in files; then only `build` looks it up.
    """

    optimizer_class: str | type
    learning_rate: float = _number(above=0)
    options: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.optimizer_class
        object.__setattr__(self, "options", plain_options(self.options, without=("lr", "params")))
        if not isinstance(given, type):
            check_name("optimizer_class", given, "a subclass of torch.optim.Optimizer")
            return
        import torch

        name = name_of("optimizer_class", given, torch.optim.Optimizer, "torch.optim")
        object.__setattr__(self, "optimizer_class", name)
        self._try()

    @property
    def name(self) -> str:
        return str(self.optimizer_class).rpartition(".")[2]

    def build(self, parameters: Iterable[torch.Tensor], **how: bool) -> torch.optim.Optimizer:
        """Returns PyTorch's optimizer of the parameters; raises ValueError if the class is not found."""
        found = look_up(str(self.optimizer_class), "optimizer class")
        return cast(
            "torch.optim.Optimizer",
            found(parameters, lr=self.learning_rate, **called_with(self.options), **how),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the same form as for other optimizers, with the options by name."""
        known = {"class": "Torch", "optimizer_class": self.optimizer_class}
        content = {**known, "learning_rate": self.learning_rate}
        return {**content, "options": written(self.options)} if self.options else content

    def _settings(self) -> dict[str, Any]:
        return dict(self.options)

    def _try(self) -> None:
        """Takes a step on a small weight matrix and a bias; raises ValueError if that fails."""
        import torch

        parameters = [torch.zeros(2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)]
        for each in parameters:
            each.grad = torch.ones_like(each)
        try:
            self.build(parameters).step()
        except Exception as error:  # a class may raise anything
            reason = one_line(error)
            raise ValueError(f"{self} cannot train a layer of weights and biases: {reason}") from None


OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    each.__name__: each for each in (SGD, Adam, AdamW, RMSprop, Adagrad, Torch)
}


def from_dict(content: object) -> Optimizer:
    """Returns the optimizer that `to_dict` wrote; raises ValueError if the content is invalid."""
    if not isinstance(content, Mapping) or not isinstance(content.get("class"), str):
        raise ValueError(f"optimizer is {shown(content)}; expected a class and its settings")
    settings = dict(content)
    kind = OPTIMIZERS.get(name := settings.pop("class"))
    if kind is None:
        raise ValueError(
            f"no optimizer is called {shown(name)}; expected one of {', '.join(OPTIMIZERS)}"
        )
    known = [each.name for each in fields(cast(Any, kind))]
    for setting in settings:
        if setting not in known:
            raise ValueError(
                f"{name} has no setting {shown(setting)}; expected one of {', '.join(known)}"
            )
    if "learning_rate" not in settings:
        raise ValueError(f"{name} has no learning_rate; expected one")
    return kind(**settings)
