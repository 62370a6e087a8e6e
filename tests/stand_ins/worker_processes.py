"""The workers of a training run as plain processes: what Ray Train starts, without Ray."""

import multiprocessing
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from imitate.cluster.reports import FILE
from imitate.cluster.worker import take_part
from imitate.training.run import Run

JOIN_S = 240.0


def in_processes(
    count: int, run: Run, out: Path, shards: int = 4, sharded: bool = False
) -> list[BaseException | None]:
    """What each of `count` workers returns, the leader's first."""
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imitate.cluster.worker"])
    settings = {"run": run, "out": out, "shards": shards, "sharded": sharded, "folder": Path.cwd()}
    returned = context.SimpleQueue()
    group = out.with_name(f".{out.name}.{count}.group")
    workers = [
        context.Process(target=_work, args=(rank, count, group, settings, returned), daemon=True)
        for rank in range(count)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(JOIN_S)
        assert worker.exitcode == 0
    group.unlink(missing_ok=True)
    (out / FILE).unlink()
    found = dict(returned.get() for _ in workers)
    return [found[rank] for rank in range(count)]


def _work(rank: int, count: int, group: Path, settings: dict[str, Any], returned: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{group}", rank=rank, world_size=count)
    returned.put((rank, take_part(settings)))
    dist.destroy_process_group()
