"""Small policies for the line environment: a noisy network, and a script that solves it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from imitate.normalize import Normalizer
from imitate.policy import Generator, Horizons, Policy, draw_noise
from imitate.types import ActionChunk, Batch, DataSpec


class LinePolicy(Policy):
    """Steers towards 0 with gain `gain`, plus what a network of odd sizes makes of noise and history."""

    def __init__(self, spec: DataSpec, gain: float = 3.0, noise: float = 0.5) -> None:
        super().__init__(spec, Horizons(obs_steps=3, pred_steps=8, action_steps=4), Normalizer(spec))
        self.gain, self.noise = gain, noise
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(9 + 7, 257), nn.Tanh(), nn.Linear(257, 4))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        assert not self.training
        x = obs["position"]
        noise = draw_noise((len(x), 7), generator, x.device)
        history = torch.cat([x.flatten(1), obs["velocity"].flatten(1), noise], dim=1)
        values = -self.gain * x[:, -1:, 0] + self.noise * self.net(history)
        return ActionChunk(values[..., None])
