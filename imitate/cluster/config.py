"""The settings of `cluster=ray`: which Ray, how many workers, and how much may go wrong."""

from dataclasses import dataclass

from imitate.errors import ConfigError


@dataclass(frozen=True)
class ClusterConfig:
    """Where and how work is spread; none but `shards` has an influence on results.

    address: host:port of a running Ray; None starts one on this machine, on loopback, for this command alone.
    workers: processes that train, play or measure at the same time. cpus, gpus: what each of them takes.
    shards: parts of each training batch, dealt to the workers, each with noise of its own: a batch of
        batch_size windows is the same, and learned from in the same way, however many workers there are.
    sharded: each worker holds its part of the weights alone, of their average and of the optimiser (FSDP2).
    min_workers: training goes on with as few as these where workers are lost and not replaced.
    episodes_per_task: how many episodes of a rollout are lost, and played again, with a worker.
    restarts: how often a lost worker is replaced before the command gives up.
    timeout_s: seconds after which a worker that keeps others waiting is lost. A rollout gives up when no task
        ended for as long, a training run when it heard nothing for three times as long.
    object_store_mb: shared memory of a Ray that is started here, in MiB.
    """

    address: str | None = None
    workers: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    shards: int = 4
    sharded: bool = False
    min_workers: int = 1
    episodes_per_task: int = 8
    restarts: int = 3
    timeout_s: float = 600.0
    object_store_mb: int = 200

    def __post_init__(self) -> None:
        least = {
            "workers": 1,
            "shards": 1,
            "min_workers": 1,
            "episodes_per_task": 1,
            "restarts": 0,
            "gpus": 0,
        }
        for name, bound in (least | {"object_store_mb": 80}).items():
            if getattr(self, name) < bound:
                raise ConfigError(f"cluster.{name} is {getattr(self, name)}, expected at least {bound}")
        for name in ("cpus", "timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"cluster.{name} is {getattr(self, name)}, expected more than 0")
        if self.min_workers > self.workers:
            raise ConfigError(
                f"cluster.min_workers is {self.min_workers}, expected at most cluster.workers={self.workers}"
            )
        if self.address is not None:
            self.host_and_port()

    def host_and_port(self) -> tuple[str, int]:
        """The parts of `address`; raises ConfigError where it has others."""
        host, _, port = (self.address or "").rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(
                f"cluster.address is {self.address!r}, expected host:port of a running Ray, such as "
                "10.0.0.5:6379 (ray start --head says it), or null for one on this machine"
            )
        return host, int(port)
