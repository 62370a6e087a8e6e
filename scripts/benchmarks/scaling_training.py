"""The step of imitate.cluster taken by several processes, and what it costs each: run by `scaling`.

    python scaling_training.py '{"workers": 2, "rank": 0, …}'

Rank 0 starts the others, reads numbers of steps line by line from standard input and answers each with one
line of JSON. In a network namespace of their own the bytes on loopback are theirs alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

HERE = Path(__file__).resolve()
OBS, ACTION = 39, 4
APART = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']


@dataclass(frozen=True)
class Case:
    """Who takes which step: `shards` parts of `batch_size` windows, for `workers` processes."""

    workers: int
    width: int
    blocks: int
    batch_size: int
    shards: int
    rank: int = 0
    group: str = ""


class Team:
    """The processes of one case, started and warm; `counts_bytes` where they have a network of their own."""

    def __init__(self, case: Case, counts_bytes: bool) -> None:
        self.case, self.counts_bytes = case, counts_bytes
        words = [sys.executable, str(HERE), json.dumps(asdict(case))]
        self._process = subprocess.Popen(
            [*APART, *words] if counts_bytes else words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        )

    def measure(self, steps: int) -> dict[str, float]:
        """Per step, after `steps` of them: see `work`; raises RuntimeError where they are gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the workers of {self.case} ended: exit code {self._process.wait()}")
        found: dict[str, float] = json.loads(answer)
        return found

    def close(self) -> None:
        """End the processes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def has_own_networks() -> bool:
    """Whether a network namespace can be made here."""
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def work(case: Case) -> Any:
    """One process of a team, until there are no more steps; returns what has to be kept until it ends."""
    import torch
    import torch.distributed as dist

    from imitate.cluster.learner import ClusterLearner
    from imitate.cluster.sharding import dealt, parts
    from imitate.training.config import TrainConfig
    from imitate.training.optimizer import AdamWConfig

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{case.group}", rank=case.rank, world_size=case.workers
    )
    config = TrainConfig(max_steps=1, device="cpu", precision="fp32", batch_size=case.batch_size)
    mine = dealt(case.shards, case.rank, case.workers)
    learner = ClusterLearner(policy(case), AdamWConfig(), config, case.shards, mine)
    rows = parts(case.batch_size, case.shards)
    share = batch(sum(rows[shard].stop - rows[shard].start for shard in mine))
    weights = sum(weight.numel() for weight in learner.policy.parameters())
    while steps := asked(case):
        times = []
        dist.barrier()
        before, began, busy = loopback(), time.perf_counter(), time.process_time()
        for step in range(steps):
            at = time.process_time()
            learner.step(share, step, 0.5)
            times.append(time.process_time() - at)
        dist.barrier()
        wall, sent = time.perf_counter() - began, loopback() - before
        busy = time.process_time() - busy
        table = [torch.zeros(2, dtype=torch.float64) for _ in range(case.workers)]
        dist.all_gather(table, torch.tensor([median(times), busy / steps], dtype=torch.float64))
        if case.rank == 0:
            found = torch.stack(table)
            answer(
                {
                    "cpu_s": float(found[:, 0].max()),
                    "cpu_all_s": float(found[:, 1].sum()),
                    "wall_s": wall / steps,
                    "bytes": sent / steps,
                    "weights": weights,
                }
            )
    return learner


def asked(case: Case) -> int:
    """How many steps rank 0 is asked for; 0: no more."""
    import torch
    import torch.distributed as dist

    line = sys.stdin.readline() if case.rank == 0 else ""
    steps = torch.tensor([int(line or 0)])
    dist.broadcast(steps, 0)
    return int(steps)


def answer(found: dict[str, float]) -> None:
    """One line for whoever asks."""
    print(json.dumps(found), flush=True)


def loopback() -> int:
    """Bytes that loopback of this network namespace has carried."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def policy(case: Case) -> Any:
    """A diffusion policy of the case's size, the same in every process."""
    import numpy as np
    import torch

    from imitate.normalize import ArrayStatistics
    from imitate.policies.diffusion import DiffusionConfig
    from imitate.policies.nets.film_mlp import FilmMlpConfig
    from imitate.types import ArraySpec, DataSpec

    torch.manual_seed(0)
    built = DiffusionConfig(denoiser=FilmMlpConfig(width=case.width, blocks=case.blocks)).build(
        DataSpec({"state": ArraySpec((OBS,))}, ArraySpec((ACTION,)))
    )
    ones = {name: np.ones(size) for name, size in (("state", OBS), ("action", ACTION))}
    built.normalizer.fit(
        {name: ArrayStatistics(0 * one, one, 0.5 * one, 0.29 * one) for name, one in ones.items()}
    )
    return built


def batch(size: int) -> Any:
    """`size` windows in memory."""
    import torch

    from imitate.types import Batch

    return Batch(
        {"state": torch.rand(size, 2, OBS)},
        torch.rand(size, 16, ACTION),
        torch.zeros(size, 16, dtype=torch.bool),
        torch.ones(size),
    )


def main() -> None:
    case = Case(**json.loads(sys.argv[1]))
    if case.group:
        leave(work(case))
    with tempfile.TemporaryDirectory() as folder:
        whole = asdict(case) | {"group": f"{folder}/group"}
        others = [
            subprocess.Popen(
                [sys.executable, str(HERE), json.dumps(whole | {"rank": rank})], stdin=subprocess.DEVNULL
            )
            for rank in range(1, case.workers)
        ]
        kept = work(Case(**whole))
        for other in others:
            other.wait()
    leave(kept)


def leave(_: Any) -> NoReturn:
    """End this process while the learner is still there.

    torch 2.13 waits for ever where a group is let go while its thread gives back a tensor of the last
    broadcast: the one holds the interpreter's lock and wants the group's, the other the other way round.
    """
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
