"""A training step that several processes take together: each its shards of the batch, one gradient.

The gradient is that of the mean over the whole batch, in which padded steps and weights count as they do in
the losses of policies. It is summed over shards (gradient accumulation) and over processes by torch's
DistributedDataParallel. Each shard draws its noise from (seed, step, shard), so a step is the same for every
number of workers, up to the rounding of sums.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from imitate.cluster.sharding import parts
from imitate.errors import ConfigError
from imitate.policy import Policy, SelfTrainedPolicy
from imitate.training.compiling import Loss, Mode
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner, seed_noise
from imitate.training.optimizer import AdamWConfig
from imitate.types import Batch


class _Losses(nn.Module):
    """The loss of a policy as a `forward`, which is where gradients are made ready to be shared."""

    def __init__(self, policy: Policy, loss: Loss) -> None:
        super().__init__()
        self.policy, self._loss = policy, loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self._loss(batch)


class ClusterLearner(Learner):
    """Learns from the shards `mine` of each batch; the other processes of the default group from the others.

    is_stepping: whether the others count on this one to take part in a step.
    """

    def __init__(
        self, policy: Policy, optim: AdamWConfig, config: TrainConfig, shards: int, mine: Sequence[int]
    ) -> None:
        if isinstance(policy, SelfTrainedPolicy):
            raise ConfigError(
                f"cluster is set, but {type(policy).__name__} trains itself, by optimisers of its own, in "
                "one process: leave cluster=… away"
            )
        super().__init__(policy, optim, config)
        self._sizes = [rows.stop - rows.start for rows in parts(config.batch_size, shards)]
        self._mine = list(mine)
        self._step = 0
        self.is_stepping = False
        self._share(_Losses(self.policy, self._loss))

    def _compile_mode(self) -> Mode:
        return "default"  # recorded graphs would write the gradient of a shard over that of the one before

    def _share(self, losses: nn.Module) -> None:
        self._shared: nn.Module = DistributedDataParallel(losses)

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Tensor]:
        """Learn from this worker's share of the batch of `step`, together with the others."""
        self._step, self.is_stepping = step, True
        scalars = super().step(batch, step, progress)
        self.is_stepping = False
        return scalars

    def _descend(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.curve(progress)
        self.optimizer.zero_grad(set_to_none=True)
        shards = list(self._each(batch))
        counts = torch.stack([weight_of(shard) for shard in shards])
        total = self._everybodys(counts.sum()).clamp_min(1e-8)
        rows = self._gradients(shards, counts / total)
        names = list(rows[0])
        table = torch.stack([torch.stack([row[name].float() for name in names]) for row in rows])
        summed = self._everybodys(table.sum(dim=0))
        metrics = dict(zip(names, summed.unbind(), strict=True))
        grad_norm = self._clip()
        self.optimizer.step()
        return {**metrics, "grad_norm": grad_norm}

    def _each(self, batch: Batch) -> Iterator[Batch]:
        """The shards of this worker's share of a batch."""
        start = 0
        for shard in self._mine:
            stop = start + self._sizes[shard]
            yield batch.map(partial(_rows, start=start, stop=stop))
            start = stop

    def _gradients(self, shards: Sequence[Batch], shares: Tensor) -> list[dict[str, Tensor]]:
        """Add the gradients of this worker's shards; their scalars."""
        return [self._backward(*each) for each in zip(shards, shares, self._mine, strict=True)]

    def _backward(self, batch: Batch, share: Tensor, shard: int) -> dict[str, Tensor]:
        """Add the gradient of one shard; its scalars, by the share of the batch that they are of."""
        seed_noise(self.config.seed, self._step * len(self._sizes) + shard, self.device)
        with self._travelling(shard == self._mine[-1]):
            with self.autocast():
                metrics = self._shared(batch)
            loss = metrics["loss"] * share * dist.get_world_size()  # divided by the number of workers later
            if shard == self._mine[-1]:
                loss = self._with_all(loss)
            loss.backward()
        return {name: value.detach() * share for name, value in metrics.items()}

    def _travelling(self, is_last: bool) -> AbstractContextManager[None]:
        """Gradients travel once per step, with those of the last shard."""
        assert isinstance(self._shared, DistributedDataParallel)
        return nullcontext() if is_last else self._shared.no_sync()

    def _with_all(self, loss: Tensor) -> Tensor:
        """A weight that no window here needs, such as an expert's, has a gradient all the same."""
        return loss + sum(weight.sum() * 0.0 for weight in self._parameters)

    def _clip(self) -> Tensor:
        """Shorten the gradient; its length before."""
        return torch.nn.utils.clip_grad_norm_(self._parameters, self.optim.clip_norm)

    def _everybodys(self, value: Tensor) -> Tensor:
        """The sum over the workers, in place."""
        dist.all_reduce(value)
        return value


def weight_of(batch: Batch) -> Tensor:
    """How much there is to learn from in `batch`: its steps that are no padding, weighted."""
    return (batch.weight[:, None] * ~batch.is_pad).sum()


def _rows(tensor: Tensor, start: int, stop: int) -> Tensor:
    return tensor[start:stop]
