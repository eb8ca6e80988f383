"""torchvision's data sets, also beside a PyTorch without CUDA."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch


def mnist_module() -> ModuleType:
    """`torchvision.datasets.mnist`, imported when it is first needed.

    PyPI's Linux wheel of torchvision is built for CUDA. Beside a CPU-only PyTorch its
    operators do not load, and the import dies while it registers their meta kernels:
    "operator torchvision::nms does not exist" (pytorch/vision issue 9085). The data sets
    use no operator, so declaring the schemas that are missing is enough; a call of one of
    them would still fail, and say that it has no kernel.
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
