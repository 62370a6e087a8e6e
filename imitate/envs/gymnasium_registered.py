"""Any environment registered with gymnasium, by its id, with a DataSpec made from its spaces.

    imitate rollout checkpoint=runs/x env=gymnasium env.id=Ant-v5 env.success=2000 …

Spaces tell neither names nor units, so these stay empty; imitate.envs.gymnasium_spaces says which spaces are
carried, and how. The suites that have an adapter of their own say more.
"""

import functools
import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from imitate.envs.gymnasium_adapter import GymnasiumAdapter, Suite
from imitate.envs.gymnasium_spaces import Leaf, action_spec, observation_leaves
from imitate.envs.gymnasium_success import End, Flag, Rule, TotalReward
from imitate.errors import ConfigError, EnvError, MissingExtraError, nearest
from imitate.types import DataSpec

FLAGS = ("success", "is_success")
TERMINATED, SURVIVED = "terminated", "survived"
TRIAL_STEPS = 12


@dataclass(frozen=True)
class GymnasiumConfig:
    """An environment by its registered id.

    package: what to import so that it is registered. kwargs: what gymnasium.make is given.
    success: a key of info; or a number, the least sum of an episode's rewards; or "terminated" (the
    environment ended the episode), or "survived" (it did not). None: info's "success" or "is_success",
    else the reward threshold it is registered with. max_steps, rate_hz: None where the environment knows
    them. fresh: a new environment for every episode, for those that carry something over.
    """

    id: str = "CartPole-v1"
    package: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    success: str | float | None = None
    max_steps: int | None = None
    rate_hz: float | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.max_steps is not None and self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")
        if self.rate_hz is not None and not 0 < self.rate_hz < float("inf"):
            raise ConfigError(f"env.rate_hz is {self.rate_hz}, expected a rate above 0 Hz")

    def build(self) -> "Gymnasium":
        """Make the environment; raises MissingExtraError where a package is not installed."""
        return Gymnasium(self)


class Gymnasium(GymnasiumAdapter):
    """The registered environment of a GymnasiumConfig.

    Raises ConfigError where it does not say what is needed and the configuration does not either, and
    EnvError where an episode is not the same twice: that is tried once in every process.
    """

    def __init__(self, config: GymnasiumConfig) -> None:
        registered = _registered(config)
        make = _maker(config, registered)
        suite = make()
        leaves = observation_leaves(suite.observation_space, _where(config))
        action = action_spec(suite.action_space, f"env.id={config.id}: the action")
        rate_hz = config.rate_hz or _rate(suite.unwrapped, config.id)
        max_steps = config.max_steps or _max_steps(registered)
        spec = DataSpec({leaf.name: leaf.spec for leaf in leaves}, action, rate_hz)
        rule = _rule(config, _told(config), registered)
        super().__init__(suite, leaves, spec, rule, max_steps, make if config.fresh else None)


def _where(config: GymnasiumConfig) -> str:
    return f"env.id={config.id}: an observation"


def _registered(config: GymnasiumConfig) -> Any:
    """gymnasium's entry of the id."""
    _import(config.package)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.spec(config.id)
    except gymnasium.error.Error as error:
        unknown = isinstance(error, gymnasium.error.NameNotFound | gymnasium.error.NamespaceNotFound)
        hint = "; name the package that registers it with env.package=…" if unknown else ""
        known = nearest(config.id, gymnasium.registry) if unknown and "/" not in config.id else ""
        raise ConfigError(f"env.id is {config.id!r}: {_line(error)}{known}{hint}") from error


def _import(package: str | None) -> None:
    # Many suites draw with pygame, which otherwise greets on stdout and complains of a missing screen.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if "DISPLAY" not in os.environ and "WAYLAND_DISPLAY" not in os.environ:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if package is None:
        return
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        named = missing.replace("_", "-")
        raise MissingExtraError(
            f"env.package is {package!r}, but {missing} is not installed: run  pip install {named}"
        ) from error
    gymnasium.register_envs(module)


def _maker(config: GymnasiumConfig, registered: Any) -> Callable[[], Suite]:
    """A function that makes the environment, its errors turned into lines that say what to do."""

    def make() -> Suite:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wanted: dict[str, Any] = {"render_mode": "rgb_array"} if _draws(registered) else {}
                if config.max_steps:
                    wanted["max_episode_steps"] = config.max_steps
                return gymnasium.make(config.id, disable_env_checker=True, **wanted, **config.kwargs)
        except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
            raise MissingExtraError(f"env.id={config.id}: {_line(error)}") from error
        except Exception as error:  # whatever a suite may raise
            if config.kwargs and isinstance(error, TypeError):
                raise ConfigError(f"env.kwargs is {dict(config.kwargs)}: {_line(error)}") from error
            raise EnvError(f"env.id={config.id} cannot be made: {_line(error)}") from error

    return make


def _draws(registered: Any) -> bool:
    """Whether the environment can give its pictures as arrays."""
    entry = registered.entry_point
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    return "rgb_array" in getattr(creator, "metadata", {}).get("render_modes", ())


def _rate(base: Any, name: str) -> float:
    """Control steps per second: of the simulation's own period before that of its videos."""
    period = getattr(base, "dt", None)
    if isinstance(period, int | float) and period > 0:
        return 1.0 / float(period)
    frames = base.metadata.get("render_fps")
    if isinstance(frames, int | float) and frames > 0:
        return float(frames)
    raise ConfigError(f"{name} does not say how many control steps a second has: set env.rate_hz")


def _max_steps(registered: Any) -> int:
    if registered.max_episode_steps is None:
        raise ConfigError(f"{registered.id} is registered without a longest episode: set env.max_steps")
    return int(registered.max_episode_steps)


def _rule(config: GymnasiumConfig, told: frozenset[str], registered: Any) -> Rule:
    wanted = config.success
    if wanted is None:
        wanted = next((key for key in FLAGS if key in told), registered.reward_threshold)
    if isinstance(wanted, int | float):
        return TotalReward(float(wanted))
    if wanted in (TERMINATED, SURVIVED):
        return End(wanted == TERMINATED)
    if wanted is None:
        raise ConfigError(
            f"{config.id} does not say what success is: set env.success to a key of info "
            f"({', '.join(sorted(told)) or 'it has none'}), a sum of rewards, {TERMINATED} or {SURVIVED}"
        )
    if wanted not in told:
        raise ConfigError(f"env.success is {wanted!r}: info has no such key{nearest(wanted, told)}")
    return Flag(wanted)


@functools.cache
def _told(config: GymnasiumConfig) -> frozenset[str]:
    """The keys of info, found by trial; raises EnvError where episodes depend on what was played before."""
    make = _maker(config, _registered(config))
    env = make()
    leaves = observation_leaves(env.observation_space, _where(config))
    first, keys = _beginning(env, 0, leaves)
    _beginning(env, 1, leaves)
    if config.fresh:
        env.close()
        env = make()
    again, _ = _beginning(env, 0, leaves)
    env.close()
    if first != again:
        raise EnvError(
            f"{config.id} draws something that its seed does not fix, so its episodes cannot be repeated"
            if config.fresh
            else f"{config.id} carries something from one episode to the next: set env.fresh=true"
        )
    return keys


def _beginning(env: Suite, seed: int, leaves: tuple[Leaf, ...]) -> tuple[bytes, frozenset[str]]:
    """The bytes of what is seen in the first steps of an episode, and the keys of info."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen, keys = [observation], set(info)
    for _ in range(TRIAL_STEPS):
        observation, _, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(observation)
        keys |= set(info)
        if terminated or truncated:
            break
    arrays = [leaf.of(one) for one in seen for leaf in leaves]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays), frozenset(keys)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
