"""One demonstration: the expert acts, noise disturbs what it chooses and what is executed."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.collection.wandering import Wandering
from imitate.env import Env, EnvConfig, Expert, clipped
from imitate.errors import ConfigError, EnvError
from imitate.parts import to_json
from imitate.types import ArraySpec, Episode

SOURCE = "scripted expert"
# One random stream per purpose: turning one knob leaves what the others draw as it was.
STYLE_STREAM, EXPERT_STREAM, SYSTEM_STREAM, WANDER_STREAM = range(4)


@dataclass(frozen=True)
class Recipe:
    """How demonstrations are made.

    styles: each episode draws one of these by its seed, repeat a name to weigh it; empty: the environment's
    own choice. expert_noise, system_noise: standard deviation of Gaussian noise as a fraction of half the
    action range. Expert noise is part of the recorded action. System noise is added afterwards: the recorded
    action is what the expert chose, and the environment executes something else. wander_steps: length of an
    excursion that has nothing to do with the task, 0 for none.
    """

    env: EnvConfig
    styles: tuple[str, ...] = ()
    expert_noise: float = 0.0
    system_noise: float = 0.0
    wander_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("expert_noise", "system_noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(
                    f"{name} is {value:g}, expected a fraction of half the action range, 0 or more"
                )

        if self.wander_steps < 0:
            raise ConfigError(f"wander_steps is {self.wander_steps}, expected 0 or more")

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON, as every episode's metadata holds it."""
        return {
            "env": to_json(self.env),
            "styles": list(self.styles),
            "expert_noise": self.expert_noise,
            "system_noise": self.system_noise,
            # Left out where there is none, so that stores from before it was known can be added to.
            **({"wander_steps": self.wander_steps} if self.wander_steps else {}),
        }

    def require_possible(self, env: Env) -> None:
        """Raise EnvError where `env` has no expert, not all the styles, or no range to scale noise by."""
        env.reset(seed=0)
        for style in self.styles or (None,):
            env.expert(style)
        disturbed = self.expert_noise or self.system_noise or self.wander_steps
        if disturbed and not env.data_spec.action.low:
            raise EnvError(f"{type(env).__name__} gives no range of its action, so noise has no scale")

    def expert(self, env: Env, seed: int) -> Expert:
        """Who demonstrates the episode of `seed`, to which `env` was just reset."""
        expert = env.expert(_style(seed, self.styles))
        if not self.wander_steps:
            return expert
        rng = np.random.default_rng((seed, WANDER_STREAM))
        return Wandering(expert, env.data_spec.action, self.wander_steps, rng)


def demonstrate(env: Env, recipe: Recipe, seed: int) -> Episode:
    """The expert's episode of `seed`, successful or not; obs[t] is seen before action[t] is chosen."""
    spec = env.data_spec.action
    expert_noise = _noise(seed, EXPERT_STREAM, recipe.expert_noise, spec)
    system_noise = _noise(seed, SYSTEM_STREAM, recipe.system_noise, spec)
    style = _style(seed, recipe.styles)
    seen, info = env.reset(seed=seed)
    expert = recipe.expert(env, seed)
    task = {"task": env.instruction} if env.instruction else {}
    observations, actions, is_over = [], [], False
    while not is_over:
        # Rounded as it is stored, so that replaying the stored action repeats the episode bitwise.
        action = clipped(expert.act() + next(expert_noise), spec).astype(spec.dtype)
        observations.append(seen)
        actions.append(action)
        seen, _, terminated, truncated, info = env.step(action + next(system_noise))
        is_over = terminated or truncated
    return Episode(
        id=f"seed{seed}-{_digest(recipe)}",
        obs={key: np.stack([obs[key] for obs in observations]) for key in env.data_spec.obs},
        action=np.stack(actions),
        success=bool(info["success"]),
        source=SOURCE,
        operator=style or "",
        rate_hz=env.data_spec.rate_hz,
        metadata={"seed": seed, "style": style, **task, **recipe.to_json()},
    )


def _noise(seed: int, stream: int, level: float, spec: ArraySpec) -> Iterator[np.ndarray]:
    """Disturbances (Da,) in physical units, one per step."""
    if level == 0.0:
        yield from itertools.repeat(np.zeros(spec.shape))
    rng = np.random.default_rng((seed, stream))
    half_range = (np.array(spec.high) - np.array(spec.low)) / 2
    while True:
        yield level * half_range * rng.standard_normal(spec.shape)


def _style(seed: int, styles: tuple[str, ...]) -> str | None:
    if not styles:
        return None
    return styles[np.random.default_rng((seed, STYLE_STREAM)).integers(len(styles))]


def _digest(recipe: Recipe) -> str:
    return hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()[:6]
