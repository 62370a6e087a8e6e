"""The graph of an exported policy as machine code, made by  imitate export compiled=true;  needs torch."""

import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import BundleError


def here() -> dict[str, str]:
    """What machine code must have been made for, to run here."""
    torch = _torch()
    return {
        "torch": torch.__version__.partition("+")[0],
        "processor": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


class CompiledGraph:
    """Takes and gives what a session of onnxruntime does."""

    def __init__(
        self, content: bytes, made_for: Mapping[str, Any], inputs: Sequence[str], threads: int
    ) -> None:
        """Load the package `content`; `inputs` are the names of what it takes, in its order.

        Running it runs whatever is in it: the caller must know who made it. Raises BundleError where it was
        made for another processor or torch, or is no such package.
        """
        for what, expected in here().items():
            if made_for.get(what) != expected:
                raise BundleError(
                    f"it was compiled for {what} {made_for.get(what)}, here is {expected}: export it here, "
                    "or leave compiled=true out"
                )
        torch = _torch()
        torch.set_num_threads(threads)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "policy.pt2"
            file.write_bytes(content)
            try:
                self._loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)
            except RuntimeError as error:
                what = " ".join(str(error).split())[:200]
                raise BundleError(f"the compiled policy cannot be loaded: {what}") from error
        self._inputs, self._torch = tuple(inputs), torch

    def run(self, _: None, fed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The chunks (1, Ta, Da), in a list."""
        given = [self._torch.from_numpy(np.ascontiguousarray(fed[name])) for name in self._inputs]
        with self._torch.inference_mode():
            return [chunk.numpy() for chunk in self._loader.boxed_run(given)]


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise BundleError(
            "compiled=true needs torch, which is not installed: leave it out, and onnxruntime acts"
        ) from error
    return torch
