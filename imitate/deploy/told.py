"""A policy that was trained on sentences, told what to do: on a robot it observes what the robot senses."""

from dataclasses import replace

import numpy as np

from imitate.deploy.inference import Obs, Predictor
from imitate.deploy.predictor import Loaded
from imitate.errors import ConfigError
from imitate.instruction import known, listed, only, repeated, sentences


class ToldPredictor:
    """`predictor`, which is told `text` in every step and needs no observation for it."""

    def __init__(self, predictor: Predictor, text: str) -> None:
        heard = sentences(predictor.spec)
        steps = predictor.obs_steps
        self._predictor = predictor
        self._told = {key: repeated(text, array, steps) for key, array in heard.items()}
        sensed = {key: array for key, array in predictor.spec.obs.items() if key not in heard}
        self.spec = replace(predictor.spec, obs=sensed)
        self.obs_steps, self.action_steps, self.plan_steps = (
            steps,
            predictor.action_steps,
            predictor.plan_steps,
        )

    def predict(self, obs: Obs, rng: np.random.Generator) -> np.ndarray:
        """See Predictor."""
        return self._predictor.predict({**obs, **self._told}, rng)


def telling(loaded: Loaded, text: str | None) -> tuple[Loaded, str]:
    """`loaded` told `text`, without one the only sentence that it knows; and what it is told, "" for nothing.

    Raises ConfigError where a policy that listens is told nothing, and where it does not listen.
    """
    spec = loaded.predictor.spec
    heard = sentences(spec)
    if not heard and text is None:
        return loaded, ""
    if not heard:
        raise ConfigError(
            f"instruction is {text!r}, but the policy does not listen: it observes {', '.join(spec.obs)}"
        )
    text = only(spec) if text is None else text
    if not text:
        raise ConfigError(
            f"the policy acts by what it is told ({', '.join(heard)}): add  instruction='…'; in training it "
            f"was {listed(known(spec))}"
        )
    predictor = ToldPredictor(loaded.predictor, text)
    names = spec.states()
    sensed = [names.index(name) for name in predictor.spec.states()]
    return replace(
        loaded,
        predictor=predictor,
        training=None if loaded.training is None else loaded.training[:, sensed],
        held_out=None if loaded.held_out is None else loaded.held_out[:, sensed],
    ), text
