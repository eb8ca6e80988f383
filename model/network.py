"""Networks as values: the multilayer perceptron, by default the assignment's, and its initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .values import shown, whole

if TYPE_CHECKING:  # a report is rendered without PyTorch
    from torch import Tensor, nn

# PyTorch's modules by their names in a network; "gelu" is the exact one.
ACTIVATIONS = {
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "gelu": "GELU",
    "identity": "Identity",
}


@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: linear layers, each but the last followed by an activation.

    `sizes` are the numbers of inputs, of units in each hidden layer, and of classes; `activations` name
    one of ACTIVATIONS for each hidden layer. Without arguments it is the network of the assignment's
    Figure 1. Raises ValueError, naming the field, for an invalid value.
    """

    sizes: tuple[int, ...] = (784, 300, 100, 10)
    activations: tuple[str, ...] = ("relu", "sigmoid")

    def __post_init__(self) -> None:
        given = self.sizes
        if not isinstance(given, tuple | list) or len(given) < 2:
            raise ValueError(
                f"sizes is {shown(given)}; expected inputs, hidden units, classes, like (784, 300, 10)"
            )
        sizes = tuple(whole(f"sizes[{at}]", size) for at, size in enumerate(given))
        object.__setattr__(self, "sizes", sizes)
        named = self.activations
        if not isinstance(named, tuple | list) or len(named) != len(sizes) - 2:
            raise ValueError(
                f"activations is {shown(named)}; expected one for each hidden layer ({len(sizes) - 2})"
            )
        for activation in named:
            if not (isinstance(activation, str) and activation in ACTIVATIONS):
                raise ValueError(
                    f"activations has {shown(activation)}; expected one of {', '.join(ACTIVATIONS)}"
                )
        object.__setattr__(self, "activations", tuple(named))

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        return f"{sizes} with {', '.join(self.activations)}" if self.activations else sizes

    @property
    def inputs(self) -> int:
        return self.sizes[0]

    @property
    def hidden(self) -> tuple[int, ...]:
        """The numbers of units of the hidden layers."""
        return self.sizes[1:-1]

    @property
    def classes(self) -> int:
        return self.sizes[-1]

    @property
    def parameter_names(self) -> list[str]:
        """The names weight1, bias1, weight2, ..., in the order of the layers."""
        layers = range(1, len(self.sizes))
        return [f"{kind}{layer}" for layer in layers for kind in ("weight", "bias")]

    @property
    def parameter_count(self) -> int:
        return sum((inputs + 1) * outputs for inputs, outputs in pairwise(self.sizes))

    def between(self, inputs: int, classes: int) -> MLP:
        """Returns a network with the same hidden layers and these numbers of inputs and classes."""
        return MLP((inputs, *self.hidden, classes), self.activations)

    def build(self, init: str | float, seed: int) -> nn.Sequential:
        """Returns the network on the CPU, float32, with PyTorch's initialisation or a common value.

        The default draws from PyTorch's CPU generator, seeded with `seed`, whichever device the
        network is trained on later; the generator's global state is restored.
        """
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for size, activation in zip(pairwise(self.sizes), [*self.activations, None], strict=True):
                layers.append(nn.Linear(*size))
                if activation is not None:
                    layers.append(_module(activation))
        network = nn.Sequential(*layers)
        if init != "default":
            for parameter in network.parameters():
                nn.init.constant_(parameter, float(init))
        return network

    def forward(self, parameters: list[Tensor], examples: Tensor) -> Tensor:
        """Returns one replicate's logits (batch, classes) of `examples` (batch, inputs)."""
        import torch

        outputs = examples
        layers = zip(parameters[::2], parameters[1::2], [*self.activations, None], strict=True)
        for weight, bias, activation in layers:
            outputs = torch.addmm(bias, outputs, weight)
            if activation is not None:
                outputs = _module(activation)(outputs)
        return outputs

    def to_dict(self) -> dict[str, Any]:
        """Returns the value in a form for JSON."""
        return {each.name: [*getattr(self, each.name)] for each in fields(self)}

    @classmethod
    def from_dict(cls, content: object) -> MLP:
        """Returns the network that `to_dict` wrote; raises ValueError if the content is invalid."""
        known = {each.name for each in fields(cls)}
        if not isinstance(content, Mapping) or {*content} != known:
            raise ValueError(f"network is {shown(content)}; expected {' and '.join(sorted(known))}")
        return cls(**content)


def _module(activation: str) -> nn.Module:
    from torch import nn

    made: nn.Module = getattr(nn, ACTIVATIONS[activation])()
    return made


def stack_parameters(networks: list[nn.Sequential]) -> list[Tensor]:
    """Returns copies of the networks' parameters, stacked by replicate, ordered as `parameter_names`.

    Weights are (replicates, in, out), biases (replicates, out).
    """
    import torch

    parameters = zip(*(network.parameters() for network in networks), strict=True)
    return [torch.stack([each.detach().t() for each in replicates]) for replicates in parameters]
