"""What a trained policy costs: weights, operations and time of one chunk, and training speed."""

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from operations import operations
from torch import Tensor

from imitate.checkpoint import load_policy
from imitate.policies.nets.chunk_decoder import ChunkDecoder
from imitate.policy import Policy

REPEATS = 30


def measure(run: Path) -> dict[str, Any]:
    """The costs of the policy that was trained in the folder `run`; latency on one core at batch 1."""
    policy = load_policy(run, torch.device("cpu")).policy
    obs = {
        key: torch.zeros(1, policy.horizons.obs_steps, *array.shape, dtype=getattr(torch, array.dtype))
        for key, array in policy.spec.obs.items()
    }

    def chunk() -> None:
        policy.predict(obs, torch.Generator().manual_seed(0))

    weights = sum(parameter.numel() for parameter in policy.parameters())
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    speeds = [row["train/steps_per_s"] for row in log if "train/steps_per_s" in row] or [0.0]
    settings = json.loads((run / "config.json").read_text())
    return {
        "weights": weights,
        "active_weights": getattr(policy, "active_weights", weights),
        "macs_per_chunk": operations(chunk) // 2,
        "denoiser_calls": calls_of_denoiser(policy, chunk),
        "latency_ms": round(1000 * median_s(chunk), 2),
        "windows_per_s": round(statistics.median(speeds) * settings["train"]["batch_size"], 1),
    }


def calls_of_denoiser(policy: Policy, chunk: Callable[[], None]) -> int:
    """How often one chunk runs the network that is run more than once; 1 for a policy without one."""
    denoiser = getattr(policy, "denoiser", None)
    if denoiser is None:
        return 1
    calls = 0

    def count(*_: Tensor) -> None:
        nonlocal calls
        calls += 1

    # Truncated diffusion asks the decoder for several chunks at once, past its forward.
    called = denoiser.layers[0] if isinstance(denoiser, ChunkDecoder) else denoiser
    hook = called.register_forward_hook(count)
    chunk()
    hook.remove()
    return calls


def median_s(work: Callable[[], None]) -> float:
    """The median processor time of `work` on one core, in s: others who use that core do not count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    torch.set_num_threads(threads)
    return statistics.median(times[REPEATS // 5 :])


def device() -> str:
    """The processor, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if "model name" in line]
    return (
        f"{len(models) or 1} cores of {models[0] if models else platform.processor() or platform.machine()}"
    )
