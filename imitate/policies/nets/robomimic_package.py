"""The robomimic package: imported when asked for, without its messages, and configured by plain settings.

Written against robomimic 0.3 (ARISE-Initiative/robomimic), which is configured by an object of its own,
knows what kind each observation is from a table of the whole process, and prints while it works.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from imitate.errors import ConfigError, import_extra, nearest
from imitate.policies.nets.torchvision_import import import_torchvision

EXTRA = "robomimic"
# The one observation that robomimic is shown: all states as one normalised vector.
STATE = "state"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """How one of our names is said to robomimic, in dotted keys of its `algo` settings.

    name: robomimic's own. switched_on: what is enabled. horizon: what is set to policy.horizon.
    """

    name: str
    switched_on: tuple[str, ...] = ()
    horizon: tuple[str, ...] = ()


def build_algorithm(kind: Kind, settings: Mapping[str, Any], horizon: int, sizes: tuple[int, int]) -> Any:
    """robomimic's algorithm object for observations and actions of `sizes`, on the CPU.

    Raises MissingExtraError where robomimic is not installed, ConfigError for settings that it does not have.
    """
    with _quiet():
        import_torchvision(EXTRA)
        algorithms = import_extra("robomimic.algo", EXTRA)
        configs = import_extra("robomimic.config", EXTRA)
        kinds_of_observations = import_extra("robomimic.utils.obs_utils", EXTRA)
        config = configs.config_factory(kind.name)
        with config.unlocked():
            _merge(config.algo, settings, "policy.settings")
            _merge(config.algo, _nested(kind, horizon), "policy.settings")
            _observe_state(config.observation)
        kinds_of_observations.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": [STATE]}})
        state_size, action_size = sizes
        shapes = {STATE: [state_size]}
        return algorithms.algo_factory(kind.name, config, shapes, action_size, torch.device("cpu"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what is printed to the log; silence a warning of later that says nothing to a user."""
    warnings.filterwarnings("ignore", message=".*TanhWrappedDistribution.*arg_constraints")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        LOG.debug("%s", printed.getvalue())


def _nested(kind: Kind, horizon: int) -> dict[str, Any]:
    """What `kind` fixes, in the form of `settings`."""
    nested: dict[str, Any] = {}
    for dotted, value in [(f"{key}.enabled", True) for key in kind.switched_on] + [
        (key, horizon) for key in kind.horizon
    ]:
        *sections, last = dotted.split(".")
        section = nested
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    return nested


def _merge(config: Any, settings: Mapping[str, Any], where: str) -> None:
    """Change what `settings` name in robomimic's `config`; raises ConfigError with the full key."""
    for name, value in settings.items():
        key = f"{where}.{name}"
        if name not in config:
            raise ConfigError(f"robomimic does not know {key}{nearest(name, config)}")
        default = config[name]
        if isinstance(default, Mapping):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{key} is {value!r}, expected some of {', '.join(default)}")
            _merge(default, value, key)
        elif default is not None and not _is_like(value, default):
            raise ConfigError(f"{key} is {value!r}, expected something like {default!r}")
        else:
            config[name] = tuple(value) if isinstance(value, list) else value


def _is_like(value: Any, default: Any) -> bool:
    """Whether `value` may stand where `default` stands: of its type, or null."""
    if value is None or isinstance(value, bool) or isinstance(default, bool):
        return value is None or isinstance(value, bool) == isinstance(default, bool)
    for types in ((int, float), (list, tuple), (str,)):
        if isinstance(default, types):
            return isinstance(value, types)
    return True


def _observe_state(config: Any, part: str = "") -> None:
    """Show the state vector to each part of an algorithm, where it plans subgoals also as such.

    robomimic 0.3 hands the planner's subgoals on to the actor under a key that nobody reads: the actor of
    HBC and IRIS would never see them. Named here as its goal, they arrive.
    """
    for name, section in config.items():
        if name == "modalities":
            section.obs.low_dim = [STATE]
            if "subgoal" in section:
                section.subgoal.low_dim = [STATE]
            if part == "actor":
                section.goal.low_dim = [STATE]
        elif isinstance(section, Mapping):
            _observe_state(section, name)
