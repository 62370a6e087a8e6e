"""torchvision, also where its compiled part does not fit the installed torch."""

import importlib
from types import ModuleType

import torch

from imitate.errors import import_extra

# The operators that torchvision's Python part describes to torch while it is imported, whether or not the
# compiled part that brings them could be loaded.
DESCRIBED = ("nms", "qnms")
_declared: list[torch.library.Library] = []  # torch forgets declarations whose library is gone


def import_torchvision(extra: str) -> ModuleType:
    """The torchvision package; raises MissingExtraError naming `extra` where it is not installed.

    Builds of torch for CPUs come from another index than torchvision, whose own build may then be for CUDA:
    its compiled part is left out and its import ends with "operator torchvision::nms does not exist". Its
    Python part (networks, transforms of tensors) needs none of it, and works once the operators are declared.
    """
    try:
        return import_extra("torchvision", extra)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    library = torch.library.Library("torchvision", "DEF")
    for name in DESCRIBED:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
    return importlib.import_module("torchvision")
