"""How samplers step from one noise level to the next: a few numbers per step, computed once.

In the notation of imitate.policies.diffusion every sampler here makes x' = c_x x + c_D D + c_B B + c_ε ε of
the noisy chunk x, the estimate D of the clean chunk, the estimate B of the step before, and fresh noise ε.
Primes are at the lower level:

    DDIM (arXiv 2010.02502, equation 12)        x' = a' D + √(s'² - v) (x - a D) / s + √v ε, with v = 0
    DDPM (section 4.1 of it, a² + s² = 1)       the same with v = (s'/s)² (1 - (a/a')²)
    DPM-Solver++ 2M (arXiv 2211.01095)          x' = (s'/s) x - a' (e^-h - 1) (D + (D - B) h / (2 h_before)),
                                                h = ln(a'/s') - ln(a/s); first order where there is no B

The last step ends at a' = 1, s' = 0, and so at D, in all of them. These are diffusers'
schedulers of these names, as tests show, without their state between calls and their work per step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from imitate.policy import Generator, draw_noise

Scales = tuple[float, float]
"""a and s of a level."""


@dataclass(frozen=True)
class Step:
    """The coefficients of x, D, B and ε in the step from noise level number `level`."""

    level: int
    noisy: float
    clean: float
    before: float = 0.0
    added: float = 0.0


def ddim_steps(levels: Sequence[int], scales: Sequence[Scales], temperature: float | None) -> list[Step]:
    """DDIM's steps over the numbers `levels`, highest first, of `scales`.

    Those of DDPM where there is a `temperature`, by which their fresh noise is multiplied.
    """
    steps = []
    for level, (a, s), (a_next, s_next) in _transitions(levels, scales):
        variance = 0.0 if temperature is None else (s_next / s) ** 2 * (1 - (a / a_next) ** 2)
        noisy = math.sqrt(max(s_next**2 - variance, 0.0)) / s
        added = (temperature or 0.0) * math.sqrt(variance)
        steps.append(Step(level, noisy, a_next - noisy * a, added=added))
    return steps


def dpm_solver_steps(levels: Sequence[int], scales: Sequence[Scales]) -> list[Step]:
    """The steps of DPM-Solver++, of second order but for the first and the last; see `ddim_steps`."""
    steps, h_before = [], math.inf
    for level, (a, s), (a_next, s_next) in _transitions(levels, scales):
        if s_next == 0:
            steps.append(Step(level, 0.0, 1.0))
            break
        h = math.log(a_next / s_next) - math.log(a / s)
        first_order, correction = -a_next * math.expm1(-h), h / (2 * h_before)
        steps.append(
            Step(level, s_next / s, first_order * (1 + correction), before=-first_order * correction)
        )
        h_before = h
    return steps


def walk(
    steps: Sequence[Step], estimate: Callable[[Tensor, int], Tensor], x: Tensor, noise: Generator
) -> Tensor:
    """From noise x (B, …) to a clean chunk; estimate(x, i) is D at steps[i]. Only DDPM draws of `noise`."""
    before = x
    for index, step in enumerate(steps):
        clean = estimate(x, index)
        if index + 1 == len(steps):
            return clean
        x = step.noisy * x + step.clean * clean
        if step.before:
            x = x + step.before * before
        if step.added:
            x = x + step.added * draw_noise(x.shape, noise, x.device)
        before = clean
    return x


def _transitions(levels: Sequence[int], scales: Sequence[Scales]) -> list[tuple[int, Scales, Scales]]:
    """Each level with its scales and those of where its step leads, in the end to the clean chunk."""
    reached = [*(scales[level] for level in levels[1:]), (1.0, 0.0)]
    return [(level, scales[level], end) for level, end in zip(levels, reached, strict=True)]
