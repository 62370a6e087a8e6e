"""What every way of scripts/benchmarks/rollouts plays: Push-T, and a linear policy with chunks of 8 actions.

Read by Pythons of other projects too, so nothing but torch, numpy and the environment is used.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imitate.envs.pusht import PushTConfig

CHUNK = 8
ANSWER = "answer: "
"""How a line for scripts/benchmarks/rollouts begins; the libraries that are measured print lines, too."""

FIRST_SEED = 100_000


@dataclass(frozen=True)
class Case:
    """`episodes` of `steps` steps each, with or without the 96×96 image; the policy sleeps in each call."""

    name: str
    image: bool
    sleep_s: float
    steps: int
    episodes: int
    batch: int

    @property
    def env(self) -> PushTConfig:
        return PushTConfig(image=self.image, max_steps=self.steps)

    @property
    def seeds(self) -> range:
        return range(FIRST_SEED, FIRST_SEED + self.episodes)


def targets(state: Tensor, image: Tensor | None = None, sleep_s: float = 0.0) -> Tensor:
    """Actions (B, 8, 2) from states (B, 5): on from the fingertip through the block, and out again.

    An image is averaged, so that it is read, and counts for nothing. `sleep_s` stands for a network on an
    accelerator, which takes its time whatever the rows and leaves the processor alone.
    """
    time.sleep(sleep_s)
    share = torch.linspace(0.0, 1.4, CHUNK)[:, None]
    actions = state[:, None, :2] + share * (state[:, 2:4] - state[:, :2])[:, None]
    return actions if image is None else actions + 0.0 * image.float().mean()


def serve(measure: Callable[[Case, dict[str, Any]], Sequence[float]]) -> None:
    """Answer each line {case, settings} on standard input with [steps, seconds], until it closes."""
    answers, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    print(f"{ANSWER}[]", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        found = measure(Case(**asked["case"]), asked["settings"])
        print(f"{ANSWER}{json.dumps(list(found))}", file=answers, flush=True)
