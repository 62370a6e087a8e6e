"""The compiled loss: torch.compile with static shapes, on a GPU recorded as CUDA graphs.

A recorded graph writes its results and gradients where it wrote those of the step before (torch's notes on
"CUDAGraph Trees"). So it serves where a step is one forward and one backward pass, and where nothing that the
loss computed is kept from one step to the next. Written by that documentation; no GPU was at hand to run it.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from imitate.errors import TrainingError
from imitate.policy import Policy
from imitate.types import Batch

Loss = Callable[[Batch], dict[str, Tensor]]
Mode = Literal["default", "reduce-overhead"]


def compile_mode(policy: Policy, device: torch.device) -> Mode:
    """torch.compile's mode for the loss of `policy`: the one that records CUDA graphs where it can be."""
    return "reduce-overhead" if device.type == "cuda" and policy.recordable else "default"


def compiled(loss: Loss, mode: Mode = "default") -> Loss:
    """The same, compiled when it is first called; raises TrainingError where that cannot be done here.

    Batches are all of one size, so shapes are static. Where torch finds that a part cannot be recorded, it
    says so and runs that part without.
    """
    fast = torch.compile(loss, mode=mode, dynamic=False)

    def call(batch: Batch) -> dict[str, Tensor]:
        if mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        try:
            scalars = fast(batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            cause = str(error).strip().splitlines()[0]
            raise TrainingError(f"train.compile=true does not work here, set it to false: {cause}") from error
        # The next step overwrites what was recorded, and the log reads these later.
        return {name: x.clone() for name, x in scalars.items()} if mode == "reduce-overhead" else scalars

    return call
