"""An environment in which something goes wrong: any environment, and one perturbation of one size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imitate.env import PERTURBATIONS, Env, EnvConfig, Expert, Obs
from imitate.errors import EnvError
from imitate.evaluation.stress.distortion import distortion
from imitate.evaluation.stress.kinds import kind_of, require_size


@dataclass(frozen=True)
class StressedEnvConfig:
    """`env` with the perturbation `kind` (see imitate.evaluation.stress.kinds) of `size`; 0 changes nothing.

    spread: for noise, the standard deviation of size 1 {observation: of each element of a state in its
    physical unit, or one value in grey levels for an image}.
    """

    env: EnvConfig
    kind: str
    size: float
    spread: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind_of(self.kind, "kind")
        require_size(self.kind, self.size, f"size of {self.kind}")

    def build(self) -> "StressedEnv":
        """Make it; raises EnvError where the environment cannot be changed so."""
        return StressedEnv(self)


class StressedEnv(Env):
    """The environment of a StressedEnvConfig; only what passes in and out differs from its own.

    The seed of an episode fixes what is drawn, apart from the draws of the environment itself, so that
    an episode starts as it does without the perturbation.
    """

    def __init__(self, config: StressedEnvConfig) -> None:
        self._env = config.env.build()
        try:
            if config.kind in PERTURBATIONS:
                self._env.perturb(config.kind, config.size)
            for key in config.spread:
                _require_fit(self._env, key, len(config.spread[key]))
            self._distortion = distortion(config.kind, config.size, config.spread, self._env.data_spec)
        except BaseException:
            self._env.close()
            raise
        self._is_watched, inner = False, self._env
        self.data_spec, self.max_steps = inner.data_spec, inner.max_steps
        self.observation_space, self.action_space = inner.observation_space, inner.action_space
        self.metadata, self.render_mode = inner.metadata, inner.render_mode
        for name in ("success_definition", "score_name", "expert_styles", "mirror", "instructions"):
            setattr(self, name, getattr(inner, name))

    @property
    def shows_images(self) -> bool:
        """Whether somebody looks at the images of the next step, or may see them later."""
        return self._env.shows_images

    @shows_images.setter
    def shows_images(self, value: bool) -> None:
        # An episode begins with a look, if anybody looks at all.
        self._is_watched = self._is_watched or value
        self._env.shows_images = value or (self._distortion.remembers and self._is_watched)

    @property
    def unwrapped(self) -> Env:
        """The environment itself."""
        return self._env

    @property
    def instruction(self) -> str:
        """That of the environment."""
        return self._env.instruction

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._distortion.begin(self.np_random.spawn(1)[0])
        obs, info = self._env.reset(seed=seed, options=options)
        return self._distortion.see(obs), info

    def step(self, action: np.ndarray) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """One control step."""
        obs, reward, terminated, truncated, info = self._env.step(self._distortion.act(action))
        return self._distortion.see(obs), float(reward), terminated, truncated, info

    def expert(self, style: str | None = None) -> Expert:
        """That of the environment, which sees its true state."""
        return self._env.expert(style)

    def render(self) -> Any:
        """The environment as it is."""
        return self._env.render()

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _require_fit(env: Env, key: str, values: int) -> None:
    spec = env.data_spec.obs.get(key)
    if spec is None or values != (1 if spec.is_image else spec.size):
        raise EnvError(f"spread of {key!r} has {values} values, which fits no observation here")
