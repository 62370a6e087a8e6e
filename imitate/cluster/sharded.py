"""Weights in shards: each worker keeps its part of every weight, of its average and of what AdamW remembers.

By torch's fully_shard (FSDP2). The weights of a block, such as a layer of a transformer, are brought together
when it is its turn and let go after it; those outside of blocks stay from the first to the last use in a
step. Gradients are summed into shards with every shard of the batch. Checkpoints are those of one machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from imitate.checkpoint import load_weights
from imitate.cluster.learner import ClusterLearner
from imitate.cluster.sharding import dealt
from imitate.errors import ConfigError
from imitate.policy import Policy
from imitate.training.config import TrainConfig
from imitate.training.ema import Ema
from imitate.training.optimizer import AdamWConfig, restore, state_tensors, trainable
from imitate.types import Batch

EMA, WEIGHTS, ALL = range(3)
"""What `ShardedLearner.gather` brings together: the average; the weights, too; what AdamW remembers, too."""


class ShardedLearner(ClusterLearner):
    """A ClusterLearner that keeps 1 / N of everything that grows with the weights, on each of N workers.

    ask: called with what the first worker is about to `gather`; every other has to `gather` the same then.
    """

    ema: "ShardedEma"

    def __init__(
        self,
        policy: Policy,
        optim: AdamWConfig,
        config: TrainConfig,
        shards: int,
        mine: Sequence[int],
        ask: Callable[[int], None],
    ) -> None:
        if config.compile:
            raise ConfigError("train.compile=true does not go with cluster.sharded=true: leave one away")
        if not policy.shardable:
            raise ConfigError(
                f"cluster.sharded is true, but {type(policy).__name__} needs whole weights: set it to false"
            )
        super().__init__(policy, optim, config, shards, mine)
        self._ask = ask

    def _share(self, losses: nn.Module) -> None:
        self._shared = losses
        shard(losses, init_device_mesh(self.device.type, (dist.get_world_size(),)))
        self.ema = ShardedEma(self.ema, lambda: self._asked(EMA))
        self.optimizers = [self.optim.build(self.policy, self.learning_rate)]
        self.optimizer = self.optimizers[0]
        self._parameters = list(trainable(self.policy).values())

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Tensor]:
        """See ClusterLearner."""
        self.ema.let_go()
        for buffer in self.policy.buffers():  # as DistributedDataParallel does
            dist.broadcast(buffer, 0)
        return super().step(batch, step, progress)

    def _travelling(self, is_last: bool) -> AbstractContextManager[None]:
        return nullcontext()

    def _with_all(self, loss: Tensor) -> Tensor:
        return loss

    def _gradients(self, shards: Sequence[Batch], shares: Tensor) -> list[dict[str, Tensor]]:
        """See ClusterLearner; all bring the weights together equally often, also who has a shard less."""
        rows = super()._gradients(shards, shares)
        for _ in range(len(dealt(len(self._sizes), 0, dist.get_world_size())) - len(shards)):
            self._backward(shards[-1], torch.zeros_like(shares[-1]), self._mine[-1])
        return rows

    def _clip(self) -> Tensor:
        norm = super()._clip()
        assert isinstance(norm, DTensor)
        return norm.full_tensor()

    def tensors(self, with_optimizer: bool) -> dict[str, Tensor]:
        """See Learner; for the first worker."""
        return self._asked(ALL if with_optimizer else WEIGHTS)

    def _asked(self, what: int) -> dict[str, Tensor]:
        self._ask(what)
        return self.gather(what)

    @torch.no_grad()
    def gather(self, what: int) -> dict[str, Tensor]:
        """The whole tensors of `what`, in the memory of the CPU, for the first worker; all take part."""
        self.is_stepping, found = True, {}
        for name, value in self._state(what):
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            if dist.get_rank() == 0:
                found[name] = whole.cpu()
        self.is_stepping = False
        return found

    def _state(self, what: int) -> Iterator[tuple[str, Tensor]]:
        """What there is, by the names that a checkpoint uses."""
        weights = self.policy.state_dict()
        if what >= WEIGHTS:
            yield from ((f"live/{name}", value) for name, value in weights.items())
        averages = weights | self.ema.shards
        yield from ((f"ema/{name}", value) for name, value in averages.items())
        if what == ALL:
            remembered = state_tensors(self.optimizers, self.policy)
            yield from ((f"optim/{name}", value) for name, value in remembered.items())

    @torch.no_grad()
    def restore(self, file: Path, tensors: Mapping[str, Tensor]) -> None:
        """See Learner; every worker takes its shards."""
        own = dict(self.policy.state_dict())

        def shards(part: str, owner: Callable[[str], str]) -> dict[str, Tensor]:
            names = [name.removeprefix(part) for name in tensors if name.startswith(part)]
            return {name: _shard_like(own.get(owner(name)), tensors[part + name]) for name in names}

        # The averages by way of the weights, which are as many and as large.
        load_weights(file, self.policy, shards("ema/", str))
        self.ema.begin()
        load_weights(file, self.policy, shards("live/", str))
        remembered = shards("optim/", lambda name: name.rpartition("/")[0])
        restore(file, self.optimizers, self.policy, remembered)


class ShardedEma(Ema):
    """An Ema in shards; `policy` has weights only from `averaged` on, on the first worker, to `let_go`.

    shards: of each weight, by its name. ask: gives the averages, whole, by their names in a checkpoint.
    """

    def __init__(self, whole: Ema, ask: Callable[[], Mapping[str, Tensor]]) -> None:
        self.trained, self.policy, self._ask = whole.trained, whole.policy, ask
        self.power, self.max_decay = whole.power, whole.max_decay
        self._weights = [_local(weight.detach()) for weight in self.trained.parameters()]
        copies = {id(weight): weight.detach().clone() for weight in self.trained.parameters()}
        self._averages = [_local(copied) for copied in copies.values()]
        named = self.trained.named_parameters(remove_duplicate=False)  # as a checkpoint names tied ones
        self.shards = {name: copies[id(weight)] for name, weight in named}
        self._devices = [weight.device for weight in self.policy.parameters()]
        self.let_go()

    @torch.no_grad()
    def begin(self) -> None:
        """Take the trained weights for the average."""
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.copy_(weight)

    @torch.no_grad()
    def averaged(self) -> Policy:
        """See Ema; for the first worker."""
        whole = self._ask()
        for (name, weight), device in zip(self.policy.named_parameters(), self._devices, strict=True):
            weight.data = whole[f"ema/{name}"].to(device)
        return super().averaged()

    def let_go(self) -> None:
        """Forget the whole weights, where there are any."""
        for weight in self.policy.parameters():
            weight.data = weight.data.new_empty(0)


def shard(losses: nn.Module, mesh: DeviceMesh) -> None:
    """Leave of all weights this worker's part in memory; raises ConfigError where torch cannot do this."""
    for block in blocks(losses):
        fully_shard(block, mesh=mesh)
    root = fully_shard(losses, mesh=mesh)
    if not isinstance(root, FSDPModule) or not hasattr(root, "set_reduce_scatter_unused_params"):
        raise ConfigError(
            f"cluster.sharded=true needs a newer torch than {torch.__version__}, such as 2.13: "
            "pip install --upgrade torch"
        )
    # A weight that no window here needs, such as an expert's, has a gradient all the same.
    root.set_reduce_scatter_unused_params(True)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The parts that work as a whole, one after the other: what is made of parts itself, in a list of them.

    Single layers are none: policies take their weights, without calling them.
    """
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (part for part in child if any(part.children()) and any(_numbers(part)))
        else:
            yield from blocks(child)


def _numbers(module: nn.Module) -> Iterator[bool]:
    return (weight.numel() > 0 for weight in module.parameters())


def _local(weight: Tensor) -> Tensor:
    assert isinstance(weight, DTensor)
    return weight.to_local()


def _shard_like(own: Tensor | None, value: Tensor) -> Tensor:
    """This worker's part of `value`, where `own` is in shards and as large; otherwise `value`."""
    if not isinstance(own, DTensor) or own.shape != value.shape:
        return value
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
