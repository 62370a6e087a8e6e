"""Inference beside the control loop: in a thread of its own, or in a simulation that counts its own time."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imitate.errors import ImitateError
from imitate.spec import DataSpec

Obs = Mapping[str, np.ndarray]


class Predictor(Protocol):
    """A policy that is ready to act, from a bundle or a checkpoint."""

    @property
    def spec(self) -> DataSpec:
        """What it observes and how it acts."""

    @property
    def obs_steps(self) -> int:
        """To."""

    @property
    def action_steps(self) -> int:
        """Ta."""

    @property
    def plan_steps(self) -> int:
        """P of imitate.policy.Policy: of how many steps obs["plan"] (P, Da) says what is planned; or 0."""

    def predict(self, obs: Obs, rng: np.random.Generator) -> np.ndarray:
        """The chunk (Ta, Da) for {name: (To, …)}, in physical units."""


@dataclass(frozen=True)
class Chunk:
    """An answer: the chunk (Ta, Da) from the observation of step `made_at`, and how long it took."""

    made_at: int
    values: np.ndarray
    latency_s: float


class Inference(Protocol):
    """Takes one question at a time."""

    def is_idle(self) -> bool:
        """Whether a question may be asked."""

    def ask(self, step: int, obs: Obs, now_s: float) -> None:
        """Infer from the observation of `step`."""

    def answer(self, now_s: float) -> Chunk | None:
        """The chunk, once, when it is there; raises what went wrong in inference as ImitateError."""

    def discard(self) -> None:
        """Forget what was asked."""

    def close(self) -> None:
        """Stop; safe to call twice."""


class InferenceThread:
    """Infers in a thread, so that a slow answer never keeps a command waiting."""

    def __init__(self, predictor: Predictor, seed: int, added_delay_s: float = 0.0) -> None:
        self._predictor, self._added_delay_s = predictor, added_delay_s
        self._rng = np.random.default_rng(seed)
        self._wake = threading.Condition()
        self._question: tuple[int, Obs] | None = None
        self._answer: Chunk | Exception | None = None
        self._is_busy = self._is_closed = self._is_unwanted = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def is_idle(self) -> bool:
        """See Inference."""
        with self._wake:
            return not self._is_busy and self._answer is None

    def ask(self, step: int, obs: Obs, now_s: float) -> None:
        """See Inference."""
        with self._wake:
            self._question, self._is_busy = (step, obs), True
            self._wake.notify()

    def answer(self, now_s: float) -> Chunk | None:
        """See Inference."""
        with self._wake:
            found, self._answer = self._answer, None
        if isinstance(found, Exception):
            raise ImitateError(f"inference failed: {found!r}") from found
        return found

    def discard(self) -> None:
        """See Inference."""
        with self._wake:
            self._answer, self._is_unwanted = None, self._is_busy

    def close(self) -> None:
        """See Inference."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._question is not None or self._is_closed)
                if self._is_closed:
                    return
                assert self._question is not None
                (step, obs), self._question = self._question, None
            found = self._infer(step, obs)
            with self._wake:
                self._answer = None if self._is_unwanted else found
                self._is_busy = self._is_unwanted = False

    def _infer(self, step: int, obs: Obs) -> Chunk | Exception:
        begun = time.monotonic()
        try:
            values = self._predictor.predict(obs, self._rng)
            if self._added_delay_s:
                time.sleep(self._added_delay_s)
            return Chunk(step, values, time.monotonic() - begun)
        except Exception as error:
            # Whatever it is, the loop must hear of it and hold; a thread that dies silently cannot say so.
            return error


class VirtualInference:
    """Answers after `delay_s` of the simulation's own time, however long inference really takes."""

    def __init__(self, predictor: Predictor, seed: int, delay_s: float) -> None:
        self._predictor, self._delay_s = predictor, delay_s
        self._rng = np.random.default_rng(seed)
        self._due: tuple[float, Chunk] | None = None

    def is_idle(self) -> bool:
        """See Inference."""
        return self._due is None

    def ask(self, step: int, obs: Obs, now_s: float) -> None:
        """See Inference."""
        chunk = Chunk(step, self._predictor.predict(obs, self._rng), self._delay_s)
        self._due = now_s + self._delay_s, chunk

    def answer(self, now_s: float) -> Chunk | None:
        """See Inference."""
        if self._due is None or now_s < self._due[0] - 1e-9:
            return None
        chunk, self._due = self._due[1], None
        return chunk

    def discard(self) -> None:
        """See Inference."""
        self._due = None

    def close(self) -> None:
        """See Inference."""
