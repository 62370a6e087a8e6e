"""What policies see of an observation: one vector per step, the part that all policies share.

States enter normalised; every camera and every set of points through a network of its own.

Notation: B batch, To observation steps, Ds size of the normalised states, F size of a step's vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, SpecError, nearest
from imitate.normalize import Mode, Normalizer, StateEncoder
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.points import PointsConfig
from imitate.types import DataSpec


@dataclass(frozen=True)
class ObservationConfig:
    """How observations enter a policy.

    normalization: of states, per dimension (see imitate.normalize).
    noise: standard deviation of noise on normalised states in training: the last decimals of a state tell
        which demonstration it comes from, and the policy is to learn what to do instead.
    goal: the observations that say what to do (a task's one-hot code, an embedded instruction, an image of
        how it is to look in the end). In training they are all set to zero, together, for a share
        goal_dropout of the windows, so that the policy does not rest on them where what it sees is enough
        (Reuss et al., arXiv 2412.12953, drop single elements).
    image: how camera images become features; points: which observations are sets of points, and how.
    """

    normalization: Mode = "minmax"
    noise: float = 0.0
    goal: tuple[str, ...] = ()
    goal_dropout: float = 0.1
    image: ImageConfig = field(default_factory=ImageConfig)
    points: PointsConfig = field(default_factory=PointsConfig)

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise ConfigError(f"policy.observation.noise is {self.noise}, expected 0 or more")
        if not 0 <= self.goal_dropout < 1:
            raise ConfigError(
                f"policy.observation.goal_dropout is {self.goal_dropout}, expected at least 0 and below 1"
            )
        if self.image.film and not self.goal:
            raise ConfigError(
                "policy.observation.image.film is true, but policy.observation.goal names no observation to "
                "scale and shift by"
            )

    def normalizer(self, spec: DataSpec, action: Mode) -> Normalizer:
        """The normaliser of `spec`; raises ConfigError or SpecError where `points` names what is no set."""
        for key in self.points.keys:
            if key not in spec.obs:
                raise ConfigError(
                    f"policy.observation.points.keys names {key!r}{nearest(key, list(spec.obs))}"
                )
            array = spec.obs[key]
            if array.is_image or len(array.shape) != 2 or array.shape[1] < 2:
                raise SpecError(
                    f"policy.observation.points.keys names {key!r} of shape {array.shape}, expected (points, "
                    "channels) with 2 channels or more"
                )
        return Normalizer(spec, self.normalization, action, self.points.keys)

    def build(self, spec: DataSpec, states: StateEncoder) -> "ObservationEncoder":
        """The encoder of `spec`.

        Raises SpecError where `spec` observes nothing or images are too small, ConfigError for an unknown
        goal or camera, MissingExtraError for images without torchvision.
        """
        if not spec.obs:
            raise SpecError("a policy needs at least one observation, found none")
        for key in self.goal:
            if key not in spec.obs:
                raise ConfigError(f"policy.observation.goal names {key!r}{nearest(key, list(spec.obs))}")
        cameras = [key for key, array in spec.obs.items() if array.is_image]
        for key in self.image.masked:
            if key not in cameras:
                raise ConfigError(f"policy.observation.image.masked names {key!r}{nearest(key, cameras)}")
        return ObservationEncoder(self, spec, states)


class ObservationEncoder(nn.Module):
    """From observations to what the policy sees (B, To, F); `size` is F."""

    is_goal: Tensor

    def __init__(self, config: ObservationConfig, spec: DataSpec, states: StateEncoder) -> None:
        super().__init__()
        self.config = config
        columns = states.columns()
        is_goal = torch.zeros(states.size, dtype=torch.bool)
        for key in set(config.goal) & columns.keys():
            is_goal[columns[key]] = True
        self.register_buffer("is_goal", is_goal, persistent=False)
        images = [key for key, array in spec.obs.items() if array.is_image]
        self._goal_images = [key for key in images if key in config.goal]
        self._cameras = [key for key in images if key not in config.goal]
        goal_size = int(is_goal.sum()) + len(self._goal_images) * config.image.features
        # An image of the goal is not looked at in the light of a goal.
        sizes = {**dict.fromkeys(self._goal_images, 0), **dict.fromkeys(self._cameras, goal_size)}
        self.images = nn.ModuleDict(
            {_module(key): config.image.build(key, spec.obs[key], size) for key, size in sizes.items()}
        )
        self.points = nn.ModuleDict(
            {_module(key): config.points.build(spec.obs[key].shape[1]) for key in config.points.keys}
        )
        self.size = (
            states.size + len(images) * config.image.features + len(self.points) * config.points.features
        )

    def load_weights(self) -> None:
        """Take over the weights of images' networks that the settings name; see ImageConfig."""
        for encoder in self.images.values():
            encoder.load_weights()  # type: ignore[operator]

    def forward(self, state: Tensor, points: Mapping[str, Tensor], obs: Mapping[str, Tensor]) -> Tensor:
        """What the policy sees of (B, To, Ds), of normalised points and of the images in `obs`.

        In training states get noise, images a random crop and other light, and goals are dropped.
        """
        keep = self._kept_goals(state)
        if self.training and self.config.noise:
            state = state + self.config.noise * torch.randn_like(state)
        state = torch.where(self.is_goal & ~keep, 0.0, state)
        nothing = state.new_zeros((*state.shape[:2], 0))
        wanted = [self._image(key, obs, nothing) * keep for key in self._goal_images]
        goal = torch.cat([state[..., self.is_goal], *wanted], dim=-1)
        seen = [self._image(key, obs, goal) for key in self._cameras]
        sets = [self.points[_module(key)](value) for key, value in points.items()]
        return torch.cat([state, *wanted, *seen, *sets], dim=-1)

    def _kept_goals(self, state: Tensor) -> Tensor:
        """Whether the goal of each window is seen, (B, 1, 1) bool."""
        if not (self.training and self.config.goal and self.config.goal_dropout):
            return torch.ones(1, 1, 1, dtype=torch.bool, device=state.device)
        return torch.rand(len(state), 1, 1, device=state.device) >= self.config.goal_dropout

    def _image(self, key: str, obs: Mapping[str, Tensor], goal: Tensor) -> Tensor:
        """Features (B, To, features) of one camera."""
        rows = obs[key].shape[:2]
        images = obs[key].flatten(0, 1)
        return self.images[_module(key)](images, goal.flatten(0, 1), rows[1]).unflatten(0, rows)


def _module(key: str) -> str:
    # A dot separates modules in a state dict, so it cannot stand in a module's name.
    return key.replace(".", "/")
