"""Policies that are told in words what to do: who says it, and how it reaches what they observe."""

import dataclasses
from contextlib import closing

import numpy as np

from imitate.env import Env, EnvConfig, Obs
from imitate.errors import ConfigError, EnvError
from imitate.instruction import known, listed, only, sentences, vector
from imitate.types import DataSpec


class Listener:
    """Adds to what `env` shows the sentences that a policy of `policy_spec` observes besides.

    spec: that of the environment with those. text: what this episode is about; the `given` one in every
    episode, without it what the environment says, and of a policy that knows a single sentence that one.
    """

    def __init__(self, env: Env, policy_spec: DataSpec, given: str = "") -> None:
        self._env, self._given = env, given
        known_here = env.data_spec.obs
        self._arrays = {key: array for key, array in sentences(policy_spec).items() if key not in known_here}
        self.spec = dataclasses.replace(env.data_spec, obs={**known_here, **self._arrays})
        self._only = only(policy_spec) if self._arrays else ""
        self._told: dict[str, np.ndarray] = {}
        self.text = ""

    def begin(self, obs: Obs) -> Obs:
        """The first observation of an episode; raises EnvError where nobody says what is to be done."""
        self.text = self._given or self._env.instruction or self._only
        if self._arrays and not self.text:
            raise EnvError("nobody says what is to be done: add  rollout.instruction='…'")
        self._told = {key: vector(self.text, array) for key, array in self._arrays.items()}
        return self.to(obs)

    def to(self, obs: Obs) -> Obs:
        """A later one."""
        return {**obs, **self._told} if self._told else obs


def instructions(spec: DataSpec, env: EnvConfig, given: str | None, remedy: str) -> tuple[str, ...]:
    """What a policy of `spec` will be told in `env`; nothing where it does not listen.

    Raises ConfigError with the `remedy` where nobody says it, and where it is `given` to a policy that does
    not listen.
    """
    told = sentences(spec)
    if not told:
        if given is not None:
            raise ConfigError(
                f"rollout.instruction is {given!r}, but the policy does not listen: it observes "
                f"{', '.join(spec.obs)}; train it on a view made by  imitate data instruct"
            )
        return ()
    if given is not None:
        return (given,)
    with closing(env.build()) as built:
        if built.instructions or told.keys() <= built.data_spec.obs.keys():
            return built.instructions
        name = type(built.unwrapped).__name__
    if only(spec):
        return (only(spec),)
    raise ConfigError(
        f"the policy acts by what it is told ({', '.join(told)}), and {name} does not say what to do: "
        f"{remedy}; in training it was {listed(known(spec))}"
    )
