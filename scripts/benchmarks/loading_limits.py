"""What this machine can do at most: copying memory, and decoding images on one thread and on all."""

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from loading_episodes import video_or_drawn

from imitate.datasets.image_chunks import ImageCodec, decode_into

RUNS = 5


def timed(action: Callable[[], object]) -> float:
    """Seconds, the median of five runs after one to warm up."""
    taken = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def copy_rate() -> float:
    """Bytes per second of copying 256 MiB."""
    source = np.ones(2**28, np.uint8)
    target = np.empty_like(source)
    return source.nbytes / timed(lambda: np.copyto(target, source))


def decode_rate(side: int, storage: str, threads: int, video: object = None, count: int = 64) -> float:
    """Images per second of decoding from memory into memory, and nothing else."""
    frames = video_or_drawn(video, side)
    codec = ImageCodec((1, side, side, 3), storage)
    files = [codec.encode_image(next(frames)) for _ in range(count)]
    images = np.empty((count, side, side, 3), np.uint8)
    if threads == 1:
        return count / timed(lambda: [decode_into(*pair) for pair in zip(files, images, strict=True)])
    with ThreadPoolExecutor(threads) as pool:
        return count / timed(lambda: list(pool.map(decode_into, files, images, chunksize=8)))


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
