"""From measured shares to the time and cost of a run on many GPUs: arithmetic, and assumptions with names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BYTES_PER_WEIGHT = 4
STEP_BYTES_PER_WEIGHT = 44
"""What an update reads and writes: gradient, weight, two moments and the average: 4 bytes, most twice."""

FIXES = {
    "opening the data": "keep statistics in the store, or let the first worker take and send them",
    "reading frames": "more cores per GPU, smaller or fewer frames per window, or frames decoded on the GPU",
    "passes on the GPU": "nothing: this is the work itself; more GPUs shorten it until another comes first",
    "sending gradients": "larger batches per GPU, gradients in bfloat16, more overlap with the passes",
    "updating weights": "share optimiser and average among the workers (FSDP)",
    "saving and validating": "save less often (train.save_minutes), write in the background",
}


@dataclass(frozen=True)
class Assumptions:
    """What was not measured here. Sizes in numbers, bytes and seconds; each is an argument of the script.

    windows are cut at every frame, so a pass over the data has as many as frames. images_per_s is what one
    core decodes; images, how many one window needs. gpu_flops: what a GPU reaches in passes of this policy,
    not its peak. network: bytes per s and GPU between machines. memory: bytes per s inside a GPU.
    """

    gpus: int = 64
    episodes: float = 1e6
    frames: float = 1e9
    passes: float = 3.0
    batch_per_gpu: int = 256
    images: float = 4.0
    images_per_s: float = 2900.0
    cores_per_gpu: float = 12.0
    gpu_flops: float = 1e14
    network: float = 6.25e9
    memory: float = 2e12
    price: float = 3.0
    save_every_s: float = 600.0


@dataclass(frozen=True)
class Measured:
    """What was: of a policy its weights and the operations of both passes per window; of the rest, seconds.

    open_s, open_episode_s, open_frame_s: opening the data takes the first, and so much more for each.
    save_s: one checkpoint.
    """

    weights: int
    flops_per_window: float
    open_s: float
    open_episode_s: float
    open_frame_s: float
    save_s: float


@dataclass(frozen=True)
class Estimate:
    """Seconds of the whole run that each part takes, were it alone; `hours` and `cost` of all together."""

    parts: Mapping[str, float]
    steps: float
    hours: float
    cost: float

    @property
    def first(self) -> str:
        """What takes longest beside the passes themselves."""
        return max((name for name in self.parts if name != "passes on the GPU"), key=self.parts.__getitem__)


def estimate(measured: Measured, assumed: Assumptions) -> Estimate:
    """The run of `measured`'s policy under `assumed`.

    Reading happens beside the passes, so a step takes the longer of both; sending is added whole, though part
    of it overlaps with the backward pass.
    """
    steps = assumed.frames * assumed.passes / (assumed.gpus * assumed.batch_per_gpu)
    sent = 2 * (assumed.gpus - 1) / assumed.gpus * BYTES_PER_WEIGHT * measured.weights
    of_step = {
        "reading frames": assumed.batch_per_gpu
        * assumed.images
        / (assumed.cores_per_gpu * assumed.images_per_s),
        "passes on the GPU": assumed.batch_per_gpu * measured.flops_per_window / assumed.gpu_flops,
        "sending gradients": sent / assumed.network,
        "updating weights": STEP_BYTES_PER_WEIGHT * measured.weights / assumed.memory,
    }
    on_gpu = sum(seconds for name, seconds in of_step.items() if name != "reading frames")
    training = steps * max(on_gpu, of_step["reading frames"])
    opening = (
        measured.open_s + assumed.episodes * measured.open_episode_s + assumed.frames * measured.open_frame_s
    )
    saving = training / assumed.save_every_s * measured.save_s
    parts = {"opening the data": opening}
    parts |= {name: steps * seconds for name, seconds in of_step.items()}
    parts |= {"saving and validating": saving}
    hours = (opening + training + saving) / 3600
    return Estimate(parts, steps, hours, hours * assumed.gpus * assumed.price)


def amdahl(shares: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """(serial, parallel) seconds of a step that takes serial + share × parallel, least squares, none below 0.

    shares: the part of the batch of the worker that has most.
    """
    table = np.stack([np.ones(len(shares)), np.asarray(shares)], axis=1)
    serial, parallel = np.linalg.lstsq(table, np.asarray(seconds), rcond=None)[0]
    if serial < 0:
        return 0.0, float(np.mean(np.asarray(seconds) / np.asarray(shares)))
    return float(serial), float(max(parallel, 0.0))


def speedup(serial: float, parallel: float, workers: int) -> float:
    """How much faster so many workers are than one, by Amdahl's law."""
    return (serial + parallel) / (serial + parallel / workers)


def plane(points: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """(a, b, c), none below 0, of a + b x + c y through the points (x, y, value)."""
    table = np.asarray([(1.0, x, y) for x, y, _ in points])
    a, b, c = np.linalg.lstsq(table, np.asarray([value for *_, value in points]), rcond=None)[0]
    return max(float(a), 0.0), max(float(b), 0.0), max(float(c), 0.0)
