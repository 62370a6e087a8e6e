"""Whether an export acts as its policy does, on many observations with the same noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imitate.errors import BundleError
from imitate.export.tracing import Acting
from imitate.progress import Progress
from imitate.runtime.policy import ACTION, NOISE, OBS_PREFIX, BundlePolicy
from imitate.types import DataSpec

SHARE_OF_RANGE = 1e-4
"""Largest error allowed, as a share of the range of each action element."""

UNDECIDED_SHARE = 0.01
NUDGE = 1e-5
"""A change of noise that turns a choice between two modes only where it hangs by a thread."""

FEWEST_PAIRS, GOLDEN_PAIRS = 8, 16
STEADY = 1e-4, 0.01
"""Golden chunks change by less than this share of the range when noise changes by the first number."""


@dataclass
class Parity:
    """What was compared.

    worst: largest error (Da,) as a share of the range. undecided: how many observations were left out since
    noise that differs in the fifth decimal chooses another mode there: rounding decides, in either program.
    golden: inputs and outputs for golden.npz.
    """

    observations: int
    worst: np.ndarray
    undecided: int = 0
    golden: dict[str, np.ndarray] = field(default_factory=dict)


def compare(
    acting: Acting,
    exported: BundlePolicy,
    batches: Iterator[Mapping[str, Tensor]],
    count: int,
    scale: np.ndarray,
    progress: Progress,
) -> Parity:
    """Compare `count` chunks; `scale` (Da,) is the range of each action element, in physical units.

    Raises BundleError, naming the action element and its error, for the first chunk that differs by more than
    SHARE_OF_RANGE, where that is not for an undecided choice.
    """
    found = Parity(0, np.zeros(len(scale)))
    generator = torch.Generator().manual_seed(0)
    pairs: list[dict[str, np.ndarray]] = []
    with progress.task("comparing", count, "observations") as task:
        for batch in batches:
            rows = min(len(next(iter(batch.values()))), count - found.observations)
            obs = {key: value[:rows] for key, value in batch.items()}
            noise = torch.randn(rows, acting.noise_size, generator=generator)
            expected = reference(acting, obs, noise)
            for row in range(rows):
                _compare_row(acting, exported, found, scale, _row(obs, row), noise[row], expected[row])
                task.advance()
            if len(pairs) < GOLDEN_PAIRS:
                share = GOLDEN_PAIRS if rows == count else GOLDEN_PAIRS // 4
                pairs += _steady(acting, obs, noise, expected, scale)[:share]
            if found.observations >= count:
                break
    if len(pairs) < FEWEST_PAIRS:
        raise BundleError(
            f"only {len(pairs)} of the observations compared give actions that do not hang on the fourth "
            f"decimal of the noise, expected at least {FEWEST_PAIRS} to record; is the policy trained?"
        )
    found.golden = _stacked(pairs[:GOLDEN_PAIRS])
    return found


def reference(acting: Acting, obs: Mapping[str, Tensor], noise: Tensor) -> np.ndarray:
    """The chunks (B, Ta, Da) of the policy itself."""
    with torch.no_grad():
        chunk: np.ndarray = acting(*acting.inputs(obs, noise)).numpy()
    return chunk


def _compare_row(
    acting: Acting,
    exported: BundlePolicy,
    found: Parity,
    scale: np.ndarray,
    obs: Mapping[str, Tensor],
    noise: Tensor,
    expected: np.ndarray,
) -> None:
    chunk = exported.predict_with({key: value[0].numpy() for key, value in obs.items()}, noise.numpy())
    error = np.abs(chunk - expected).max(axis=0) / scale
    found.observations += 1
    if (error <= SHARE_OF_RANGE).all():
        found.worst = np.maximum(found.worst, error)
    elif _is_undecided(acting, obs, noise, chunk, scale):
        found.undecided += 1
    else:
        raise _failure(acting.policy.spec, found, error)
    if found.undecided > max(1, UNDECIDED_SHARE * found.observations):
        raise _failure(acting.policy.spec, found, error)


def _is_undecided(
    acting: Acting, obs: Mapping[str, Tensor], noise: Tensor, chunk: np.ndarray, scale: np.ndarray
) -> bool:
    """Whether the policy would give `chunk`, too, were the noise a hair different."""
    nudged = torch.stack([noise - NUDGE, noise + NUDGE])
    others = reference(
        acting, {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in obs.items()}, nudged
    )
    errors = np.abs(others - chunk).max(axis=1) / scale
    # The nudge itself moves a chunk a little.
    return bool((errors <= SHARE_OF_RANGE + 100 * NUDGE).all(axis=1).any())


def _failure(spec: DataSpec, found: Parity, error: np.ndarray) -> BundleError:
    worst = int(error.argmax())
    name = spec.action.names[worst] if spec.action.names else worst
    return BundleError(
        f"the exported graph does not act as the policy: action {name!r} is off by {error[worst]:.2g} of its "
        f"range at observation {found.observations}, expected at most {SHARE_OF_RANGE:g}; nothing was "
        "written. Something in this policy cannot be exported: train another one, or report its settings"
    )


def _steady(
    acting: Acting, obs: Mapping[str, Tensor], noise: Tensor, expected: np.ndarray, scale: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """Inputs and outputs that do not hang on a choice which another processor might take otherwise."""
    nudge, change = STEADY
    moved = [np.abs(reference(acting, obs, noise + by) - expected) for by in (-nudge, nudge)]
    steady = (np.maximum(*moved).max(axis=1) / scale <= change).all(axis=1)
    return [
        {
            **{OBS_PREFIX + key: value[row].numpy() for key, value in obs.items()},
            NOISE: noise[row].numpy(),
            ACTION: expected[row],
        }
        for row in np.flatnonzero(steady)
    ]


def _stacked(pairs: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]} if pairs else {}


def _row(obs: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    return {key: value[row : row + 1] for key, value in obs.items()}
