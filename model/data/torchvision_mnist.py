"""torchvision's data sets, importable with a CPU-only PyTorch too."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch


def mnist_module() -> ModuleType:
    """Returns `torchvision.datasets.mnist`, imported when it is first needed.

    PyPI's Linux wheel of torchvision is built for CUDA. With a CPU-only PyTorch its
    operators do not load, and the import fails while registering their meta kernels:
    "operator torchvision::nms does not exist" (pytorch/vision issue 9085). The data sets
    use no operators, so declaring the missing schemas is enough; calling one would still
    fail, with an error that it has no kernel.
    """
    try:
        return importlib.import_module("torchvision.datasets.mnist")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        torch.library.define(f"torchvision::{schema.partition('(')[0]}", schema[schema.index("(") :])
    return importlib.import_module("torchvision.datasets.mnist")
