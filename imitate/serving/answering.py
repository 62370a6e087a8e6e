"""Answers to questions of several clients at once, by whatever policy there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from imitate.deploy.predictor import CheckpointPredictor, Loaded, load_predictor
from imitate.errors import ImitateError, ServerError
from imitate.history import PLAN, ahead
from imitate.instruction import repeated
from imitate.serving.wire import array
from imitate.spec import ArraySpec, DataSpec

WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Question:
    """Observations {name: (To, …)} in the types of the spec, and the seed of the noise for the answer."""

    obs: Mapping[str, np.ndarray]
    seed: int


class Answerer(Protocol):
    """A policy that answers several questions in one go."""

    spec: DataSpec
    obs_steps: int
    action_steps: int
    plan_steps: int
    origin: Mapping[str, Any]

    def answer(self, questions: Sequence[Question]) -> np.ndarray:
        """Chunks (B, Ta, Da) in physical units; each depends on its own question, but for rounding."""


class OneByOne:
    """A bundle's policy: its graph takes one observation at a time."""

    def __init__(self, loaded: Loaded) -> None:
        self._predictor, self.origin = loaded.predictor, loaded.origin
        self.spec, self.obs_steps = loaded.predictor.spec, loaded.predictor.obs_steps
        self.action_steps, self.plan_steps = loaded.predictor.action_steps, loaded.predictor.plan_steps

    def answer(self, questions: Sequence[Question]) -> np.ndarray:
        """See Answerer."""
        return np.stack([self._predictor.predict(q.obs, np.random.default_rng(q.seed)) for q in questions])


class Together:
    """A checkpoint's policy: one pass of the network for all questions."""

    def __init__(self, policy: Any, origin: Mapping[str, Any]) -> None:
        self._policy, self.origin = policy, origin
        self._device = next(policy.parameters()).device
        self.spec: DataSpec = policy.spec
        self.obs_steps: int = policy.horizons.obs_steps
        self.action_steps: int = policy.horizons.action_steps
        self.plan_steps: int = policy.plan_steps

    def answer(self, questions: Sequence[Question]) -> np.ndarray:
        """See Answerer."""
        import torch

        batch = {
            key: torch.from_numpy(np.stack([q.obs[key] for q in questions])).to(self._device)
            for key in questions[0].obs
        }
        noise = [torch.Generator().manual_seed(question.seed) for question in questions]
        with torch.inference_mode():
            chunk: np.ndarray = self._policy.predict(batch, noise).values.float().cpu().numpy()
        return chunk


def load_answerer(
    path: str, device: str, public_key: str | None, threads: int, compiled: bool = False
) -> Answerer:
    """The policy of a bundle, checkpoint or run folder, warmed up; raises what loading it raises."""
    loaded = load_predictor(path, public_key, threads, compiled)
    answerer: Answerer = OneByOne(loaded)
    if isinstance(loaded.predictor, CheckpointPredictor):
        import torch

        from imitate.device import chosen_device

        torch.set_num_threads(threads)
        answerer = Together(loaded.predictor.policy.to(chosen_device(device, "device")), loaded.origin)
    blank = Question(
        {key: np.zeros((answerer.obs_steps, *s.shape), s.dtype) for key, s in answerer.spec.obs.items()}, 0
    )
    for _ in range(WARM_UP_RUNS):
        answerer.answer([blank])
    return answerer


def question_of(message: Mapping[str, Any], answerer: Answerer, seed: int) -> Question:
    """What a client asks; `seed` is that of the noise where the client names none.

    Raises ServerError naming what is missing, of a wrong shape or kind, or not finite.
    """
    obs = message.get("obs")
    if not isinstance(obs, dict):
        raise ServerError("obs is missing, expected a map of arrays")
    seed = message.get("seed", seed)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ServerError(f"seed is {seed!r:.40}, expected a whole number from 0 to below 2**63")
    spec, steps = answerer.spec.obs, answerer.obs_steps
    missing = [key for key in spec if key not in obs]
    if missing:
        raise ServerError(f"observation {missing[0]!r} is missing; found {sorted(map(str, obs))[:20]}")
    seen = {key: _checked(key, obs[key], spec[key], steps) for key in spec}
    if answerer.plan_steps:
        seen[PLAN] = _plan(obs.get(PLAN), answerer.plan_steps, answerer.spec.action.size)
    return Question(seen, seed)


def _plan(value: Any, steps: int, size: int) -> np.ndarray:
    """What a client says is planned; without it nothing is."""
    if value is None:
        return ahead((), steps, size)
    found = array(value, PLAN)
    if found.shape != (steps, size) or found.dtype.kind != "f":
        raise ServerError(f"{PLAN} is {found.dtype} {found.shape}, expected floats of {(steps, size)}")
    return found.astype(np.float32)


def _heard(text: str, spec: ArraySpec, steps: int, where: str) -> np.ndarray:
    try:
        return repeated(text, spec, steps)
    except ImitateError as error:
        raise ServerError(f"{where}: {error}") from error


def _checked(key: str, value: Any, spec: ArraySpec, steps: int) -> np.ndarray:
    where = f"observation {key!r}"
    if isinstance(value, str) and spec.encoder:
        return _heard(value, spec, steps, where)
    found, expected = array(value, where), (steps, *spec.shape)
    if found.shape != expected:
        raise ServerError(f"{where} has shape {found.shape}, expected (To, …) = {expected}")
    if spec.is_image and found.dtype != np.uint8:
        raise ServerError(f"{where} is {found.dtype}, expected an RGB image of uint8")
    with np.errstate(over="ignore"):  # too large for the type is not finite
        typed = found.astype(spec.dtype)
    if typed.dtype.kind == "f" and not np.isfinite(typed).all():
        raise ServerError(f"{where} is not finite")
    return typed
