"""Who is chosen at which noise level, counted in training: what tells a collapsed router from a healthy one.

A router that ignores the noise level minimises the balance loss as well as a specialised one, so usage over
all levels says little: it is counted per level, and summed up by the mutual information of level and expert.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from imitate.policies.nets.moe import MoeConfig, Routing

USED_SHARE = 0.1
"""An expert with less than this part of an even share of the choices counts as unused."""

DEPENDENT_NATS = 0.01
"""Mutual information of noise level and expert below which routing does not depend on the level."""


class ExpertUsage:
    """Sums since `clear` over the choices of each layer; a noise level counts as the nearest of `sigmas`."""

    def __init__(self, config: MoeConfig, sigmas: Sequence[float], layers: int) -> None:
        self.config, self.sigmas, self.layers = config, list(sigmas), layers
        self._logs = torch.tensor(self.sigmas).log()
        self.clear()

    def clear(self) -> None:
        """Forget."""
        choices = self.config.count + self.config.null_experts
        self._chosen = torch.zeros(self.layers, choices)
        self._probability = torch.zeros(self.layers, len(self.sigmas), choices)

    @torch.no_grad()
    def add(self, sigma: Tensor, routings: Sequence[Routing]) -> None:
        """Count what the layers chose for rows with noise levels `sigma` (B,)."""
        self._logs, self._chosen, self._probability = (
            sums.to(sigma.device) for sums in (self._logs, self._chosen, self._probability)
        )
        nearest = (sigma.log()[:, None] - self._logs).abs().argmin(dim=1)
        for layer, routing in enumerate(routings):
            rows = nearest.repeat_interleave(len(routing.logits) // len(nearest))
            self._chosen[layer] += routing.chosen.sum(dim=0)
            self._probability[layer].index_add_(0, rows, routing.probabilities.float())

    def figures(self) -> dict[str, float]:
        """For each layer the mean probability of each expert at each level, and what sums it up."""
        named = [f"expert{i}" for i in range(self.config.count)] + [
            f"null{i}" for i in range(self.config.null_experts)
        ]
        found: dict[str, float] = {}
        for layer, table in enumerate(self._probability.cpu()):
            for sigma, row in zip(self.sigmas, table, strict=True):
                if row.sum() > 0:
                    shares = (row / row.sum()).tolist()
                    found |= {
                        f"experts/layer{layer}/sigma{sigma:.3g}/{name}": share
                        for name, share in zip(named, shares, strict=True)
                    }
            found[f"experts/layer{layer}/used"] = self.used()[layer]
            found[f"experts/layer{layer}/mutual_information"] = self.mutual_information()[layer]
        return found

    def used(self) -> list[int]:
        """How many true experts each layer uses."""
        true = self._chosen[:, : self.config.count]
        even = self._chosen.sum(dim=1, keepdim=True) / self._chosen.shape[1]
        return (true > USED_SHARE * even).sum(dim=1).tolist()

    def mutual_information(self) -> list[float]:
        """Of noise level and expert, in nats, by layer: 0 where routing does not depend on the level."""
        joint = self._probability / self._probability.sum(dim=(1, 2), keepdim=True).clamp_min(1e-8)
        entropies = [torch.special.entr(part).sum(dim=-1) for part in (joint.sum(1), joint.sum(2))]
        information = entropies[0] + entropies[1] - torch.special.entr(joint).sum(dim=(1, 2))
        return information.clamp_min(0.0).tolist()

    def warnings(self) -> list[str]:
        """A line where layers have collapsed, and one where they ignore the noise level."""
        if not self._chosen.sum() or self.config.routing == "dense":
            return []
        needed = 2 if self.config.selection == "top_p" else self.config.chosen + 1
        needed = min(needed, self.config.count)
        lines = []
        collapsed = [f"layer {i}: {n}" for i, n in enumerate(self.used()) if n < needed]
        if collapsed:
            lines.append(
                f"routing has collapsed to few of {self.config.count} experts ({', '.join(collapsed)}): "
                "raise policy.denoiser.moe.balance_weight, or keep policy.denoiser.moe.sampled=true"
            )
        blind = [str(i) for i, nats in enumerate(self.mutual_information()) if nats < DEPENDENT_NATS]
        if blind and self.config.routing == "noise" and len(self.sigmas) > 1:
            lines.append(
                f"routing hardly depends on the noise level in layers {', '.join(blind)}, so experts do "
                "not specialise: train longer, or raise policy.denoiser.moe.router_std"
            )
        return lines
