"""Training windows from a store that is larger than the memory that there is."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from imitate.datasets.array_files import append_rows
from imitate.datasets.episode_store import canonical_json
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec({"front": ArraySpec((224, 224, 3), "uint8")}, ArraySpec((2,)), 10.0)
CHUNKS, LIMIT_MIB = 600, 256

READER = """
import resource, sys
import torch
from imitate.datasets.loader import DataConfig, prepare
from imitate.policy import Horizons
torch.set_num_threads(1)
data = prepare(DataConfig(sys.argv[1], obs=("front",), memory_gib=0.05), Horizons(2, 8, 4), None, 64, 0)
data.train.batch(0)  # threads and libraries take what they take once
now = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
limit = now + int(sys.argv[2]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
stream = data.train.stream(1)
total = sum(int(next(stream).obs["front"].max() > 0) for _ in range(4))
stream.close()
print(total, len(data.train))
"""


def enlarged(path: Path) -> int:
    """A store of one chunk of images, then the same chunk many times over by hard links; gives its bytes."""
    rng = np.random.default_rng(0)
    steps = 8 * 2**20 // SPEC.obs["front"].size
    frames = rng.integers(0, 255, (steps, 224, 224, 1), np.uint8).repeat(3, axis=-1)
    with DemoStore.create(path, SPEC, storage="jpeg") as store:
        store.append(Episode("demo_0", {"front": frames}, np.zeros((steps, 2), np.float32)))
    chunk = path / "data/front/0.0.0.0"
    for number in range(1, CHUNKS):
        os.link(chunk, chunk.with_name(f"{number}.0.0.0"))
    header = json.loads((path / "data/front/.zarray").read_text())
    header["shape"][0] = steps * CHUNKS
    (path / "data/front/.zarray").write_text(json.dumps(header))
    append_rows(path / "data/action", steps, np.zeros((steps * (CHUNKS - 1), 2), np.float32))
    append_rows(path / "meta/episode_ends", 1, np.arange(2, CHUNKS + 1) * steps)
    record = asdict(store.record(0))
    lines = [canonical_json(record | {"id": f"demo_{number}"}) for number in range(CHUNKS)]
    (path / "meta/episodes.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return chunk.stat().st_size * CHUNKS


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_windows_of_a_store_larger_than_the_memory(tmp_path: Path) -> None:
    size = enlarged(tmp_path / "large.zarr")
    assert size > 2 * LIMIT_MIB * 2**20
    command = [sys.executable, "-c", READER, str(tmp_path / "large.zarr"), str(LIMIT_MIB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    batches, windows = map(int, done.stdout.split())
    assert batches == 4
    assert windows > 0.9 * CHUNKS * 55
