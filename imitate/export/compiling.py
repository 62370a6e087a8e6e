"""A policy as machine code for the kind of processor that it was compiled on, by PyTorch's AOTInductor."""

import logging
import tempfile
import warnings
from pathlib import Path

import torch
from torch._inductor import aoti_compile_and_package
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from imitate.errors import BundleError, ConfigError
from imitate.export.tracing import Acting, blank, record


def require_compiler() -> None:
    """Raise ConfigError where no compiler is at hand."""
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ConfigError(
            "compiled=true needs a C++ compiler, and none was found: install g++ (or name one in the "
            "environment variable CXX), or leave compiled=true out"
        ) from error


def compiled(acting: Acting) -> bytes:
    """A package (.pt2) that does what `acting` does, at batch 1, in float32; see imitate.runtime.compiled.

    Raises ConfigError without a compiler, and BundleError for a policy that it cannot compile.
    """
    require_compiler()
    logging.getLogger("torch._inductor").setLevel(logging.ERROR)
    example = acting.inputs(blank(acting.policy), torch.zeros(1, acting.noise_size))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(record(acting), example)
            file = aoti_compile_and_package(program, package_path=str(Path(folder) / "policy.pt2"))
        except Exception as error:  # what a compiler and its wrapper raise has no common base
            what = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
            raise BundleError(
                f"policy {type(acting.policy).__name__} cannot be compiled: {what[:200]}; nothing was "
                "written. Leave compiled=true out"
            ) from error
        return Path(str(file)).read_bytes()
