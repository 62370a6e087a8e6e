"""The way from noise to a clean chunk, level by level, as a consistency model sees it.

x at level j is a_j clean + s_j ε, of the notation of imitate.policies.diffusion; level 0 is the clean chunk
itself (a = 1, s = 0), the highest one the highest of a noise schedule. Shapes: B batch, Tp steps, Da action
dimensions; levels are int64, (B,) or (1,).
"""

import torch
from torch import Tensor, nn

from imitate.policies.nets.noise_schedule import NoiseSchedule

SIGMA_DATA = 0.5
"""Standard deviation of normalised actions (EDM, Karras et al., arXiv 2206.00364)."""

SCALING = 100.0
"""How much faster than in Song et al. the consistency function turns from the noisy chunk to the network.

There the network completes what is kept of the noisy chunk; ours say where the clean chunk is, and what they
say must not be mixed with noise (Luo et al., arXiv 2310.04378, scale time by 10 of 1000 for the same reason).
"""


class Trajectory(nn.Module):
    """Levels 0 … `count`, spread evenly over those of `schedule`; `step` (count + 1,) are its numbers.

    Level 0 has none: step[0] is any number that a network accepts. Networks predict what those of `schedule`
    do, the clean chunk or v.
    """

    step: Tensor
    signal: Tensor
    sigma: Tensor

    def __init__(self, schedule: NoiseSchedule, count: int) -> None:
        super().__init__()
        self.count = count
        self.prediction = schedule.prediction
        steps = [-(-schedule.train_steps * j // count) - 1 for j in range(1, count + 1)]
        signal, sigma = torch.tensor([(1.0, 0.0), *(schedule.scales(step) for step in steps)]).unbind(1)
        self.register_buffer("step", torch.tensor([0, *steps]), persistent=False)
        self.register_buffer("signal", signal.contiguous(), persistent=False)
        self.register_buffer("sigma", sigma.contiguous(), persistent=False)

    def scales(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """a and s of `level`, to multiply chunks (B, Tp, Da) by."""
        return self.signal[level][:, None, None], self.sigma[level][:, None, None]

    def noised(self, clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """`clean` with `noise` of `level`."""
        signal, sigma = self.scales(level)
        return signal * clean + sigma * noise

    def clean(self, predicted: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """The estimate of the clean chunk, float32, that a prediction at `level` implies."""
        if self.prediction == "sample":
            return predicted.float()
        signal, sigma = self.scales(level)
        return signal * noisy - sigma * predicted.float()

    def next(self, noisy: Tensor, clean: Tensor, level: Tensor) -> Tensor:
        """One step of DDIM (arXiv 2010.02502, equation 12) from `level` to the one below, towards `clean`."""
        signal, sigma = self.scales(level)
        return self.noised(clean, (noisy - signal * clean) / sigma, level - 1)

    def skip(self, noisy: Tensor, clean: Tensor, level: Tensor) -> Tensor:
        """The consistency function: c `noisy` / a + (1 - c) `clean`, where `clean` is a network's estimate.

        c = σ_data² / ((SCALING σ)² + σ_data²) with σ = s / a is 1 at level 0, so that this is `noisy` itself
        there, exactly ("Consistency Models", Song et al., arXiv 2303.01469, equation 5).
        """
        signal, sigma = self.scales(level)
        kept, added = (SIGMA_DATA * signal).square(), (SCALING * sigma).square()
        return (kept / signal * noisy + added * clean) / (kept + added)

    def stops(self, count: int) -> list[int]:
        """The `count` levels that sampling in so many steps starts from, the highest one first."""
        return [-(-self.count * left // count) for left in range(count, 0, -1)]
