"""The 784-300-100-10 network of the assignment's Figure 1, and its initialisations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIZES = (784, 300, 100, 10)
PARAMETERS = ("weight1", "bias1", "weight2", "bias2", "weight3", "bias3")


def build_network(init: str | float, seed: int) -> nn.Sequential:
    """The network on the CPU, float32, with PyTorch's default initialisation or a common value.

    The default draws from PyTorch's CPU generator, seeded with `seed`, whichever device the
    network is trained on later; the generator's global state is restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(SIZES[0], SIZES[1]),
            nn.ReLU(),
            nn.Linear(SIZES[1], SIZES[2]),
            nn.Sigmoid(),
            nn.Linear(SIZES[2], SIZES[3]),
        )
    if init != "default":
        for parameter in network.parameters():
            nn.init.constant_(parameter, float(init))
    return network


def stack_parameters(networks: list[nn.Sequential]) -> list[Tensor]:
    """Copies of the networks' parameters, stacked by replicate, in the order of PARAMETERS.

    Weights are (replicates, in, out), biases (replicates, out).
    """
    parameters = zip(*(network.parameters() for network in networks), strict=True)
    return [torch.stack([each.detach().t() for each in replicates]) for replicates in parameters]


def forward(parameters: list[Tensor], images: Tensor) -> Tensor:
    """Logits (batch, 10) of `images` (batch, 784), given one replicate's six parameters."""
    weight1, bias1, weight2, bias2, weight3, bias3 = parameters
    hidden = torch.relu(torch.addmm(bias1, images, weight1))
    hidden = torch.sigmoid(torch.addmm(bias2, hidden, weight2))
    return torch.addmm(bias3, hidden, weight3)
