"""robomimic's own algorithms, trained and rolled out on our stores: the real package behind one adapter.

"What Matters in Learning from Offline Human Demonstrations for Robot Manipulation", Mandlekar et al., arXiv
2108.03298, and the package ARISE-Initiative/robomimic. Networks, losses, optimisers and their constant
learning rates are robomimic's. Ours are the data, normalisation to [-1, 1], the running average of the
weights (which acts, where robomimic acts with the newest), checkpoints and rollouts.

What differs from robomimic's own training, and why:

- A policy here holds no state of an episode. The recurrent and the transformer policy are given the last
  `horizon` observations at every step, the first one repeated at the start of an episode, and act once; in
  robomimic a recurrent state is carried for `horizon` steps, then dropped. HBC and IRIS plan a new subgoal at
  every step, in place of every tenth, and act as on the first step of their interval.
- Reward is 1 at the last action of a successful episode, else 0, and every episode ends there: what a store
  says of an episode is whether it succeeded (see imitate.types.Outcome).
- robomimic's losses know no weights of windows: where weights differ, a batch is drawn anew by them. Steps
  past the end of an episode repeat its last action, which is as robomimic pads.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from imitate.errors import ConfigError, SpecError, nearest
from imitate.normalize import Mode, Normalizer
from imitate.policies.diffusion import hold_edges
from imitate.policies.nets.drawn_elsewhere import drawing_from
from imitate.policies.nets.robomimic_package import STATE, Kind, build_algorithm
from imitate.policy import Generator, Horizons, NoiseSource, SelfTrainedPolicy
from imitate.types import ActionChunk, Batch, DataSpec

Algorithm = Literal["bc", "bc_rnn", "bc_transformer", "hbc", "bcq", "cql", "iris", "iql", "td3_bc"]

KINDS: dict[str, Kind] = {
    "bc": Kind("bc"),
    "bc_rnn": Kind("bc", ("rnn",), ("rnn.horizon",)),
    "bc_transformer": Kind("bc", ("transformer",), ("transformer.context_length",)),
    "hbc": Kind("hbc", (), ("planner.subgoal_horizon", "actor.rnn.horizon")),
    "bcq": Kind("bcq", (), ("n_step",)),
    "cql": Kind("cql", (), ("n_step",)),
    "iris": Kind("iris", (), ("value_planner.planner.subgoal_horizon", "actor.rnn.horizon")),
    "iql": Kind("iql"),
    "td3_bc": Kind("td3_bc", (), ("n_step",)),
}
SEE_HISTORY = ("bc_rnn", "bc_transformer")
LEARN_FROM_OUTCOMES = ("hbc", "bcq", "cql", "iris", "iql", "td3_bc")
# robomimic schedules by epochs, which it counts by this many steps (experiment.epoch_every_n_steps).
EPOCH_STEPS = 100


@dataclass(frozen=True)
class RobomimicConfig:
    """Settings of one of robomimic's algorithms.

    horizon: steps that one training window spans. bc_rnn and bc_transformer see so many observations, hbc
        and iris plan a subgoal so many steps ahead, bcq, cql and td3_bc sum so many rewards (n-step returns);
        1 for bc and iql.
    settings: what to change in the `algo` section of robomimic's own config of the algorithm, nested as
        there, e.g. {"gmm": {"enabled": True}}.
    normalization: of states, per dimension; actions are always scaled to [-1, 1], as robomimic expects.
    """

    algorithm: Algorithm = "bc"
    horizon: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(Algorithm):
            raise ConfigError(
                f"policy.algorithm is {self.algorithm!r}{nearest(self.algorithm, get_args(Algorithm))}"
            )
        spans_one_step = not KINDS[self.algorithm].horizon
        if self.horizon < 1 or (spans_one_step and self.horizon != 1):
            expected = f"1 for {self.algorithm}" if spans_one_step else "at least 1"
            raise ConfigError(f"policy.horizon is {self.horizon}, expected {expected}")

    @property
    def horizons(self) -> Horizons:
        """One action at a time, from the history of observations where the algorithm has one."""
        seen = self.horizon if self.algorithm in SEE_HISTORY else 1
        return Horizons(obs_steps=seen, pred_steps=self.horizon, action_steps=1)

    def build(self, spec: DataSpec) -> "RobomimicPolicy":
        """The policy with fresh weights.

        Raises MissingExtraError without the package, SpecError where `spec` has images, ConfigError for
        settings that robomimic does not have.
        """
        return RobomimicPolicy(self, spec)


class RobomimicPolicy(SelfTrainedPolicy):
    """One of robomimic's algorithm objects as a policy; `networks` are the algorithm's own modules."""

    def __init__(self, config: RobomimicConfig, spec: DataSpec) -> None:
        images = [key for key, array in spec.obs.items() if array.is_image]
        if images or not spec.obs:
            found = f"found images: {images}" if images else "found none"
            raise SpecError(
                f"policy robomimic_{config.algorithm} needs at least one state and no other, {found}"
            )
        super().__init__(spec, config.horizons, Normalizer(spec, config.normalization, "minmax"))
        self.sees_history = config.algorithm in SEE_HISTORY
        self.needs_outcome = config.algorithm in LEARN_FROM_OUTCOMES
        sizes = (self.normalizer.state.size, spec.action.size)
        self._algorithm = build_algorithm(KINDS[config.algorithm], config.settings, config.horizon, sizes)
        self._parts = dict(_parts(self._algorithm))
        self.networks = nn.ModuleDict({name: part.nets for name, part in self._parts.items()})
        for part in self._parts.values():
            _require_constant_rates(part)

    def train(self, mode: bool = True) -> "RobomimicPolicy":
        """As ever, but target networks stay in evaluation mode, as robomimic has them."""
        super().train(mode)
        if mode:
            self._algorithm.set_train()
        return self

    def optimizers(self) -> list[Optimizer]:
        """robomimic's: one per network, and one per critic."""
        kept = [each for part in self._parts.values() for each in part.optimizers.values()]
        return [one for each in kept for one in (each if isinstance(each, list) else [each])]

    def learn(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """robomimic's step on `batch`: each network in its turn, then the targets."""
        self._follow_device()
        for part in self._parts.values():
            # What TD3-BC and CQL count by is the number of steps so far; a resumed run counts on.
            part.actor_update_counter = part._num_batch_steps = step
        info = self._algorithm.train_on_batch(self._processed(batch), epoch=step // EPOCH_STEPS)
        return self._scalars(info)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """What robomimic logs of `batch`, without learning from it and without gradients.

        "loss" is the sum of the losses of all networks; those of critics move with their own targets, so it
        need not fall while a policy gets better.
        """
        with self._evaluating(), torch.autocast(batch.action.device.type, enabled=False):
            with self._training_noise():
                info = self._algorithm.train_on_batch(self._processed(batch), epoch=0, validate=True)
            return self._scalars(info)

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """One action (B, 1, Da); see Policy. Rows with generators of their own are asked one by one."""
        state = self.normalizer.state(obs)
        rows: list[tuple[Tensor, torch.Generator | NoiseSource]]
        if isinstance(generator, torch.Generator):
            rows = [(state, generator)]
        elif isinstance(generator, NoiseSource):
            rows = list(zip(state.split(1), generator.rows(len(state)), strict=True))
        elif len(generator) == len(state):
            rows = list(zip(state.split(1), generator, strict=True))
        else:
            raise ConfigError(f"{len(generator)} generators for a batch of {len(state)}")
        with self._evaluating():
            action = torch.cat([self._act(part, source) for part, source in rows])
        return ActionChunk(self.normalizer.action.inverse(action.clamp(-1.0, 1.0)[:, None]))

    def _act(self, state: Tensor, generator: torch.Generator | NoiseSource) -> Tensor:
        """The normalised action (B, Da) after the last of `state` (B, To, Ds)."""
        with _drawing(generator, state.device):
            if self.sees_history:
                return self._algorithm.nets["policy"]({STATE: state})[:, -1]
            self._algorithm.reset()
            return self._algorithm.get_action({STATE: state[:, -1]})

    def _processed(self, batch: Batch) -> Any:
        """`batch` as robomimic's own loader and `process_batch_for_training` would give it."""
        batch = _drawn_by_weight(batch)
        state = self.normalizer.state(batch.obs)
        shown: dict[str, Any] = {"actions": self.normalizer.action(hold_edges(batch.action, batch.is_pad))}
        if self.needs_outcome and (outcome := batch.outcome):
            after = self.normalizer.state(outcome.obs)
            state = torch.cat([state, after[:, :-1]], dim=1)
            ended = outcome.is_last & ~batch.is_pad  # the reward is there once, not in its repetitions
            shown |= {"next_obs": {STATE: after.cpu()}, "dones": outcome.is_last.float().cpu()}
            shown["rewards"] = (ended * outcome.success[:, None]).cpu()
        # robomimic expects what a loader gives, on the CPU, and moves it itself.
        shown |= {"obs": {STATE: state.cpu()}, "actions": shown["actions"].cpu()}
        return self._algorithm.process_batch_for_training(shown)

    def _scalars(self, info: Mapping[str, Any]) -> dict[str, Tensor]:
        """The numbers that robomimic logs, with their sum as "loss"."""
        logged = dict(self._algorithm.log_info(info))
        if "Loss" not in logged:  # IQL
            logged["Loss"] = sum(logged[name] for name in ("actor/loss", "critic/critic1_loss", "vf/v_loss"))
        device = next(self.parameters()).device
        return {
            name.lower(): torch.as_tensor(value, dtype=torch.float32, device=device)
            for name, value in logged.items()
            if "Optimizer/" not in name and not name.endswith("Grad_Norms")
        }

    def _follow_device(self) -> None:
        """Tell all of robomimic's objects, which remember a device, where the weights are now."""
        device = next(self.parameters()).device
        planner = getattr(self._algorithm, "planner", None)
        for each in (self._algorithm, planner, *self._parts.values(), *self.networks.modules()):
            if hasattr(each, "device"):
                each.device = device

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode, in which robomimic acts and validates."""
        was_training = self.training
        self._follow_device()
        self.eval()
        try:
            yield
        finally:
            self.train(was_training)

    @contextmanager
    def _training_noise(self) -> Iterator[None]:
        """Likelihoods under the deviations that were learned.

        In evaluation mode robomimic's mixtures act with almost none, under which demonstrations are all but
        impossible.
        """
        acting = [m for m in self.networks.modules() if getattr(m, "low_noise_eval", False)]
        for module in acting:
            module.low_noise_eval = False  # type: ignore[assignment]
        try:
            yield
        finally:
            for module in acting:
                module.low_noise_eval = True  # type: ignore[assignment]


def _parts(algorithm: Any, name: str = "policy") -> Iterator[tuple[str, Any]]:
    """The algorithms with networks that `algorithm` is made of, itself or several, by name."""
    if hasattr(algorithm, "nets"):
        yield name, algorithm
        return
    for child in ("planner", "value_net", "actor"):
        if hasattr(algorithm, child):
            yield from _parts(getattr(algorithm, child), child)


def _require_constant_rates(part: Any) -> None:
    """Raise ConfigError where settings ask for a schedule: its state would be lost when a run is resumed."""
    for name, scheduler in part.lr_schedulers.items():
        if any(each is not None for each in (scheduler if isinstance(scheduler, list) else [scheduler])):
            raise ConfigError(
                f"policy.settings sets learning_rate.epoch_schedule of {name}: rates stay as they begin here"
            )


def _drawn_by_weight(batch: Batch) -> Batch:
    """`batch` where all weights are equal; else its rows drawn by weight, with repetitions."""
    if bool((batch.weight == batch.weight[0]).all()):
        return batch
    rows = torch.multinomial(batch.weight, len(batch), replacement=True)
    return batch.map(lambda tensor: tensor[rows])


def _drawing(generator: torch.Generator | NoiseSource, device: torch.device) -> AbstractContextManager[None]:
    """Where robomimic's randomness comes from meanwhile."""
    if isinstance(generator, NoiseSource):
        return drawing_from(generator)
    return _seeded(generator, device)


@contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """robomimic draws from torch's own generators: seed these for a while from the one that it is given."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
