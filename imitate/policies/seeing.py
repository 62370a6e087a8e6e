"""Seeing: a trained policy over states acts on camera images, by a network that says what the states are.

Where demonstrations hold what cannot be measured when acting, such as the pose of an object that a simulator
or a motion capture system knew, a policy over states is learnt first, by any method and with all that states
allow (mirror images, moved demonstrations). This one then learns by regression what those states are, from
images and from whatever else can be measured, and hands its estimates to the policy, which stays as it was
(compare "Learning by Cheating", Chen et al., arXiv 1912.12294, where a policy that sees states teaches one
that sees images). The states are labels: they are needed in training and not when acting, and a result with
them is not one from images alone.

The policy over states should know that its states will not be exact: train it with policy.observation.noise
of about the error that is found here.

Notation: B batch, To observation steps, S size of the normalised states that are estimated.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, SpecError, nearest
from imitate.history import PLAN
from imitate.normalize import Mode, StateEncoder
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, Policy, PolicyConfig, TaughtPolicy
from imitate.types import ActionChunk, ArraySpec, Batch, DataSpec, require_match

HUBER = 0.02
"""Below this error, in normalised units, the loss is a square and above it a length."""


@dataclass(frozen=True)
class SeeingConfig:
    """Settings of a policy that acts on estimated states.

    teacher: a run or checkpoint of a policy over states; training needs it, acting does not.
    estimate: what of the teacher's observations is not there when acting, and is estimated from all others
        that are used.
    given: those of the others that hold elements of what is estimated, under the same names: these elements
        are taken from there.
    observation: how those others enter.
    width, layers: hidden layers between what is seen and the estimates.
    acting, acting_spec: the teacher's own settings and spec; training fills them in.
    """

    teacher: str | None = None
    estimate: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(image=ImageConfig("small", crop=1.0))
    )
    width: int = 256
    layers: int = 2
    acting: PolicyConfig | None = None
    acting_spec: DataSpec | None = None

    def __post_init__(self) -> None:
        for name in ("width", "layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy.{name} is {getattr(self, name)}, expected at least 1")

    def completed(self, teacher: PolicyConfig, spec: DataSpec) -> "SeeingConfig":
        """These settings with those of the teacher, and what it sees; raises what `hidden` raises."""
        whole = dataclasses.replace(self, acting=teacher, acting_spec=spec)
        whole.hidden()  # before data are read for long
        return whole

    @property
    def horizons(self) -> Horizons:
        """The teacher's."""
        return self.known()[0].horizons

    @property
    def action_normalization(self) -> Mode:
        """The teacher's; of one that has none, min-max."""
        mode: Mode = getattr(self.known()[0], "action_normalization", "minmax")
        return mode

    def known(self) -> tuple[PolicyConfig, DataSpec]:
        """The teacher's settings and spec; raises ConfigError where they are not filled in."""
        if self.acting is None or self.acting_spec is None:
            raise ConfigError(
                "policy.acting is null: it is filled in by training, from  policy.teacher=RUN, the folder of "
                "a run of a policy over states"
            )
        return self.acting, self.acting_spec

    def hidden(self) -> dict[str, ArraySpec]:
        """What is estimated; raises ConfigError or SpecError for what is no state that the teacher sees."""
        _, spec = self.known()
        if not self.estimate:
            raise ConfigError(
                "policy.estimate names no observation: say which of the teacher's are not there when acting, "
                f"of {', '.join(spec.obs)}"
            )
        for key in self.estimate:
            if key not in spec.obs:
                raise ConfigError(f"policy.estimate names {key!r}{nearest(key, list(spec.obs))}")
            if spec.obs[key].is_image:
                raise SpecError(f"policy.estimate names {key!r}, a camera: only states can be estimated")
        return {key: array for key, array in spec.obs.items() if key in self.estimate}

    def build(self, spec: DataSpec) -> "Seeing":
        """The policy with fresh weights, over what `spec` has besides what is estimated.

        Raises ConfigError or SpecError where the teacher sees what neither is there nor estimated, and what
        ObservationConfig.build raises.
        """
        return Seeing(self, spec)


class Seeing(ObservingPolicy, TaughtPolicy):
    """An estimator of states before a policy that acts on them and does not learn any more."""

    learning_rate = 2e-3
    learnt: Tensor

    def __init__(self, config: SeeingConfig, spec: DataSpec) -> None:
        hidden, (acting, acting_spec) = config.hidden(), config.known()
        seen = {key: array for key, array in spec.obs.items() if key not in hidden}
        for key in acting_spec.obs:
            if key not in hidden and key not in seen:
                raise SpecError(
                    f"policy.teacher sees {key!r}, which is not used here: add it to data.obs, or to "
                    "policy.estimate where it is not there when acting"
                )
        super().__init__(config, dataclasses.replace(spec, obs=seen))
        self.config, self._trained_on = config, spec
        self.acting = acting.build(acting_spec).requires_grad_(False)
        self.plan_steps = self.acting.plan_steps
        self.estimated = StateEncoder(hidden)
        self._same = _found_again(hidden, seen, config.given)
        self.register_buffer("learnt", self._is_learnt(), persistent=False)
        if not self.learnt.any():
            raise ConfigError(
                f"policy.estimate names {', '.join(hidden)}, every element of which is in policy.given: "
                "nothing is left to estimate"
            )
        sizes = [self.observation.size, *[config.width] * config.layers]
        layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
        self.head = nn.Sequential(*layers, nn.Linear(config.width, self.estimated.size))

    @property
    def teacher(self) -> str | None:
        """See TaughtPolicy."""
        return self.config.teacher

    def learn_from(self, teacher: Policy) -> None:
        """Take over `teacher`, which acts; see TaughtPolicy."""
        where = f"policy.teacher={self.config.teacher}"
        require_match(teacher.spec, self.config.known()[1], where)
        require_match(self._trained_on, teacher.spec, f"the data for {where}")
        self.acting.load_state_dict(teacher.state_dict())
        theirs = teacher.normalizer.state.normalizers
        for name, normalizer in self.estimated.normalizers.items():
            if name not in theirs:
                raise SpecError(f"policy.estimate names {name!r}, which {where} sees as a set of points")
            normalizer.load_state_dict(theirs[name].state_dict())

    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Check that what is given is what is estimated, and load weights; see Policy. Raises SpecError."""
        obs = next(iter(windows)).obs
        for key, found in self._same.items():
            for index, (other, place) in found.items():
                here, there = (
                    value.flatten(2)[..., i] for value, i in ((obs[key], index), (obs[other], place))
                )
                if not torch.allclose(here, there, rtol=1e-5, atol=1e-6):
                    name = self.estimated.states[key].names[index]
                    raise SpecError(
                        f"policy.given names {other!r}, but its {name!r} is not that of {key!r}: in the "
                        f"data they differ by up to {float((here - there).abs().max()):.3g}"
                    )
        return super().prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Huber loss of the newest step's normalised estimates, and each element's mean absolute error."""
        newest = {key: value[:, -1:] for key, value in batch.obs.items()}
        says, truth = self._says(newest), self.estimated(newest)
        error = F.smooth_l1_loss(says.float(), truth, beta=HUBER, reduction="none")[:, 0]
        weight = batch.weight / batch.weight.sum().clamp_min(1e-8)
        loss = (error[:, self.learnt].mean(dim=1) * weight).sum()
        return {"loss": loss, **self._errors(says.detach(), newest)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """What the teacher would do where the states are as estimated; see Policy."""
        plan = {PLAN: obs[PLAN]} if self.plan_steps and PLAN in obs else {}
        return self.acting.predict({**self.states(obs), **plan}, generator)

    def states(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{name: (B, To, …)} of all that the teacher sees: estimated, or as observed."""
        estimates = self.estimated.inverse(self._says(obs))
        told = {key: self._with_what_is_known(key, value, obs) for key, value in estimates.items()}
        return {key: told[key] if key in told else obs[key] for key in self.acting.spec.obs}

    def _says(self, obs: Mapping[str, Tensor]) -> Tensor:
        """(B, To, S), normalised."""
        said: Tensor = self.head(self.observe(obs))
        return said

    def _with_what_is_known(self, key: str, value: Tensor, obs: Mapping[str, Tensor]) -> Tensor:
        columns = list(value.flatten(2).unbind(-1))
        for index, (other, place) in self._same[key].items():
            columns[index] = obs[other].flatten(2)[..., place].float()
        return torch.stack(columns, dim=-1).view_as(value)

    def _is_learnt(self) -> Tensor:
        """Which of the S columns (S,) are not known from elsewhere."""
        learnt = torch.ones(self.estimated.size, dtype=torch.bool)
        for key, columns in self.estimated.columns().items():
            circular = self.estimated.states[key].circular
            size = self.estimated.states[key].size
            order = [i for i in range(size) if i not in circular] + [*circular, *circular]
            for column, element in zip(columns, order, strict=True):
                learnt[column] = element not in self._same[key]
        return learnt

    @torch.no_grad()
    def _errors(self, says: Tensor, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{"error/observation.element [unit]": mean} in physical units, of angles the shorter way round."""
        found = {}
        for key, value in self.estimated.inverse(says).items():
            array = self.estimated.states[key]
            error = (value - obs[key]).flatten(2).abs()
            for index in range(array.size):
                if index in self._same[key]:
                    continue
                one = error[..., index]
                one = torch.minimum(one, 2 * torch.pi - one) if index in array.circular else one
                name = array.names[index] if array.names else str(index)
                unit = f" [{array.units[index]}]" if array.units else ""
                found[f"error/{key}.{name}{unit}"] = one.mean()
        return found


def _found_again(
    hidden: Mapping[str, ArraySpec], seen: Mapping[str, ArraySpec], given: Sequence[str]
) -> dict[str, dict[int, tuple[str, int]]]:
    """Of each hidden observation, the elements that `given` ones hold under the same name, and where."""
    places: dict[str, tuple[str, int]] = {}
    for key in given:
        if key not in seen:
            raise ConfigError(f"policy.given names {key!r}{nearest(key, list(seen))}")
        names = set(seen[key].names)
        if not names & {name for array in hidden.values() for name in array.names}:
            raise ConfigError(
                f"policy.given names {key!r} of elements {sorted(names)}, none of which "
                f"{', '.join(map(repr, hidden))} has"
            )
        places |= {name: (key, index) for index, name in enumerate(seen[key].names)}
    return {
        key: {index: places[name] for index, name in enumerate(array.names) if name in places}
        for key, array in hidden.items()
    }
