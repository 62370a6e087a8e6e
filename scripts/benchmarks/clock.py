"""Time, speed and memory of a device, for the benchmarks that take  --device."""

import argparse
import time

import torch
from policy_cost import device as processor

from imitate.device import chosen_device
from imitate.errors import ConfigError

CPU = torch.device("cpu")
SQUARE = {"cpu": 1024, "cuda": 8192}
"""Side of the matrices whose product tells a device's speed: a GPU is not busy with less."""


def named_device(name: str) -> torch.device:
    """For argparse: cpu, cuda or cuda:N, where there is one."""
    try:
        return chosen_device(name, "--device")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(device: torch.device) -> float:
    """Processor time, which a busy machine disturbs less; of a GPU the clock, once its work is done."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of a large product of matrices, the best of five after a first."""
    side = SQUARE[device.type]
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(6):
        began = seconds(device)
        torch.mm(a, b)
        times.append(seconds(device) - began)
    return 2 * side**3 / min(times[1:])


def peak_memory_mb(device: torch.device) -> float | None:
    """Most of a GPU's memory that tensors took since the last call; None on a CPU."""
    if device.type != "cuda":
        return None
    most = torch.cuda.max_memory_allocated(device) / 1e6
    torch.cuda.reset_peak_memory_stats(device)
    return most


def in_words(device: torch.device) -> str:
    """The device, for a row."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
