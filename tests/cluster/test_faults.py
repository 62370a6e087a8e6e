"""A cluster whose head is lost: the command ends with a clear line and its checkpoint, and never hangs."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from line_demos import line_demos

from imitate.checkpoint import LAST, read

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="the extra `cluster` is not installed"
    ),
]
ENDS_WITHIN_S = 120.0


def child_of(parent: int, name: str) -> int:
    """The child process of `parent` whose program has this name."""
    for folder in Path("/proc").iterdir():
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) != parent:
                continue
            if (folder / "cmdline").read_bytes().split(b"\0")[0].endswith(name.encode()):
                return int(folder.name)
        except (OSError, IndexError, ValueError):
            continue
    raise AssertionError(f"{parent} has no child {name}")


def test_a_lost_head_ends_training_with_its_checkpoint(tmp_path: Path) -> None:
    demos, out = line_demos(tmp_path / "line.zarr"), tmp_path / "run"
    command = (
        f"imitate train policy=bc env=null data.path={demos} out={out} train.device=cpu train.batch_size=32 "
    )
    command += "train.max_steps=1000000 train.max_minutes=null train.save_minutes=0 train.validations=0 "
    command += "cluster=ray cluster.workers=1 cluster.shards=1 cluster.timeout_s=400"
    process = subprocess.Popen(
        [sys.executable, "-m", *command.split()], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        until = time.monotonic() + 300
        while not (out / LAST).exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.2)
        os.kill(child_of(process.pid, "gcs_server"), signal.SIGKILL)
        _, said = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
    assert process.returncode == 2, said
    last = said.strip().splitlines()[-1]
    assert "Ray" in last and f"kept: {out / LAST} of step" in last
    assert read(out / LAST, "none/")[0].step > 0
