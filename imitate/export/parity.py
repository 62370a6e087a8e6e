"""Whether an export acts as its policy does, on many observations with the same noise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imitate.errors import BundleError
from imitate.export.tracing import Acting
from imitate.history import PLAN
from imitate.progress import Progress, Task
from imitate.runtime.policy import ACTION, NOISE, OBS_PREFIX, BundlePolicy

SHARE_OF_RANGE = 1e-4
"""Largest error allowed, as a share of the range of each action element."""

UNDECIDED_SHARE = 0.01
JUMP = 1e-3
NUDGES = -1e-5, -1e-6, 1e-6, 1e-5
"""Where an error is a JUMP, as a share of the range, and noise changed by one of NUDGES makes the policy
jump, too, rounding decided between two modes: at most so large a share of observations may be so."""

FARTHEST_SHARE = 0.05
USUAL_SHARE = 0.9
"""A graph of lower precision is refused where more than 1 - USUAL_SHARE of its chunks are farther from the
policy's than FARTHEST_SHARE of the range; a few may be, where a hair more or less chooses another mode."""

GOLDEN_PAIRS = 8
"""Few, since loading a policy tries them all."""

STEADY = 1e-4, 0.01
"""Golden chunks change by less than this share of the range when noise changes by the first number."""


@dataclass
class Parity:
    """What was compared.

    worst: largest error (Da,) as a share of the range. undecided: how many observations were left out since
    noise that differs in the fifth decimal chooses another mode there: rounding decides, in either program.
    golden: inputs and outputs for golden.npz. deviations: of a graph of lower precision, where one was
    compared too: the largest error (n,) of each chunk, as a share of the range, undecided ones included.
    """

    observations: int
    worst: np.ndarray
    undecided: int = 0
    golden: dict[str, np.ndarray] = field(default_factory=dict)
    deviations: np.ndarray | None = None


def compare(
    acting: Acting,
    exported: Sequence[BundlePolicy],
    lowered: BundlePolicy | None,
    batches: Iterator[Mapping[str, Tensor]],
    count: int,
    scale: np.ndarray,
    progress: Progress,
) -> Parity:
    """Compare `count` chunks; `scale` (Da,) is the range of each action element, in physical units.

    Each of `exported` must act as the policy does. `lowered` is the same graph in lower precision: how far it
    is from the policy is measured besides, and the golden chunks are its own. Raises BundleError, naming the
    action element and its error, for the first chunk that differs by more than SHARE_OF_RANGE, where that is
    not for an undecided choice, and where `lowered` is farther from the policy than rounding can make it.
    """
    comparison = _Comparison(acting, exported, lowered, scale, count)
    with progress.task("comparing", count, "observations") as task:
        for batch in batches:
            comparison.add(batch, task)
            if comparison.found.observations >= count:
                break
    return comparison.finished()


def reference(acting: Acting, obs: Mapping[str, Tensor], noise: Tensor) -> np.ndarray:
    """The chunks (B, Ta, Da) of the policy itself."""
    with torch.no_grad():
        chunk: np.ndarray = acting(*acting.inputs(obs, noise)).numpy()
    return chunk


def _plans(acting: Acting, obs: Mapping[str, Tensor], noise: Tensor, steps: int) -> Tensor:
    """What is planned in each row: none in every third, in the others the rest of a chunk half executed."""
    nothing = torch.full((len(noise), steps, acting.policy.spec.action.size), torch.nan)
    plans = nothing.clone()
    done = max(1, steps // 2)
    plans[:, : steps - done] = torch.from_numpy(reference(acting, {**obs, PLAN: nothing}, noise))[:, done:]
    plans[::3] = torch.nan
    return plans


def _recorded(policy: BundlePolicy, pair: Mapping[str, np.ndarray]) -> np.ndarray:
    """The chunk of `policy` for recorded inputs."""
    obs = {key: pair[OBS_PREFIX + key] for key in policy.observed}
    return policy.predict_with(obs, pair[NOISE])


class _Comparison:
    """A comparison under way."""

    def __init__(
        self,
        acting: Acting,
        exported: Sequence[BundlePolicy],
        lowered: BundlePolicy | None,
        scale: np.ndarray,
        count: int,
    ) -> None:
        self.acting, self.exported, self.lowered = acting, exported, lowered
        self.scale, self.count = scale, count
        self._deviations: list[float] = []
        self.found = Parity(0, np.zeros(len(scale)))
        self._pairs: list[dict[str, np.ndarray]] = []
        self._generator = torch.Generator().manual_seed(0)

    def add(self, batch: Mapping[str, Tensor], task: Task) -> None:
        """Compare as many rows of `batch` as are still asked for."""
        rows = min(len(next(iter(batch.values()))), self.count - self.found.observations)
        obs = {key: value[:rows] for key, value in batch.items()}
        noise = torch.randn(rows, self.acting.noise_size, generator=self._generator)
        if steps := self.acting.policy.plan_steps:
            obs[PLAN] = _plans(self.acting, obs, noise, steps)
        expected = reference(self.acting, obs, noise)
        for row in range(rows):
            alone = {key: value[row : row + 1] for key, value in obs.items()}
            self._compare(alone, noise[row], expected[row])
            if self.lowered is not None:
                self._deviate(self.lowered, alone, noise[row], expected[row])
            task.advance()
        if len(self._pairs) < GOLDEN_PAIRS:
            # From several batches where there are many.
            share = GOLDEN_PAIRS // 4 if self.count > 8 * rows else GOLDEN_PAIRS
            self._pairs += self._steady(obs, noise, expected)[:share]

    def finished(self) -> Parity:
        """What was found; raises BundleError where too few rows can be recorded."""
        if len(self._pairs) < GOLDEN_PAIRS:
            raise BundleError(
                f"only {len(self._pairs)} of the observations compared give actions that do not hang on the "
                f"fourth decimal of the noise, expected at least {GOLDEN_PAIRS}; is the policy trained?"
            )
        pairs = self._pairs[:GOLDEN_PAIRS]
        self.found.golden = {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}
        if self.lowered is not None:
            self._judge(np.array(self._deviations))
            self.found.golden[ACTION] = np.stack([_recorded(self.lowered, pair) for pair in pairs])
        return self.found

    def _deviate(
        self, lowered: BundlePolicy, obs: Mapping[str, Tensor], noise: Tensor, expected: np.ndarray
    ) -> None:
        chunk = lowered.predict_with({key: value[0].numpy() for key, value in obs.items()}, noise.numpy())
        self._deviations.append(float((np.abs(chunk - expected).max(axis=0) / self.scale).max()))

    def _judge(self, deviations: np.ndarray) -> None:
        """Keep how far the graph of lower precision is; raises BundleError where that is too far."""
        self.found.deviations = deviations
        if (usual := np.quantile(deviations, USUAL_SHARE)) > FARTHEST_SHARE:
            raise BundleError(
                f"in lower precision one chunk in ten is off by {usual:.2g} of an action's range or more, "
                f"expected at most {FARTHEST_SHARE:g}; nothing was written. Export it with  precision=float32"
            )

    def _compare(self, obs: Mapping[str, Tensor], noise: Tensor, expected: np.ndarray) -> None:
        seen = {key: value[0].numpy() for key, value in obs.items()}
        self.found.observations += 1
        left_out = False
        for each in self.exported:
            chunk = each.predict_with(seen, noise.numpy())
            left_out |= self._is_left_out(obs, noise, chunk, expected)
        self.found.undecided += left_out

    def _is_left_out(
        self, obs: Mapping[str, Tensor], noise: Tensor, chunk: np.ndarray, expected: np.ndarray
    ) -> bool:
        """Whether rounding decides here; where it does not, the error counts, or is too large."""
        error = np.abs(chunk - expected).max(axis=0) / self.scale
        if (error <= SHARE_OF_RANGE).all():
            self.found.worst = np.maximum(self.found.worst, error)
            return False
        many = self.found.undecided >= max(1, UNDECIDED_SHARE * self.count)
        if many or not error.max() > JUMP or not self._is_undecided(obs, noise, chunk):
            raise self._failure(error)
        return True

    def _is_undecided(self, obs: Mapping[str, Tensor], noise: Tensor, chunk: np.ndarray) -> bool:
        """Whether the policy would give `chunk`, too, were the noise a hair different."""
        nudged = torch.stack([noise + by for by in NUDGES])
        repeated = {key: value.repeat(len(NUDGES), *[1] * (value.ndim - 1)) for key, value in obs.items()}
        errors = np.abs(reference(self.acting, repeated, nudged) - chunk).max(axis=1) / self.scale
        return bool((errors <= SHARE_OF_RANGE).all(axis=1).any())

    def _failure(self, error: np.ndarray) -> BundleError:
        action, worst = self.acting.policy.spec.action, int(error.argmax())
        name = action.names[worst] if action.names else worst
        return BundleError(
            f"the exported graph does not act as the policy: action {name!r} is off by {error[worst]:.2g} of "
            f"its range at observation {self.found.observations}, expected at most {SHARE_OF_RANGE:g}; "
            "nothing was written. Something in this policy cannot be exported: report its settings"
        )

    def _steady(
        self, obs: Mapping[str, Tensor], noise: Tensor, expected: np.ndarray
    ) -> list[dict[str, np.ndarray]]:
        """Inputs and outputs that do not hang on a choice which another processor might take otherwise."""
        nudge, change = STEADY
        moved = [np.abs(reference(self.acting, obs, noise + by) - expected) for by in (-nudge, nudge)]
        steady = (np.maximum(*moved).max(axis=1) / self.scale <= change).all(axis=1)
        return [
            {
                **{OBS_PREFIX + key: value[row].numpy() for key, value in obs.items()},
                NOISE: noise[row].numpy(),
                ACTION: expected[row],
            }
            for row in np.flatnonzero(steady)
        ]
