"""A feed-forward layer made of experts, of which a router chooses a few.

"Efficient Diffusion Transformer Policies with Mixture of Expert Denoisers for Multitask Learning" (MoDE,
Reuss et al., arXiv 2412.12953): the router sees the noise level only, so that which experts run is known
before the first observation. Also here: routing by token; shared and fine-grained experts (DeepSeekMoE,
arXiv 2401.06066); null experts (AdaMoE, arXiv 2406.13233); as many experts as the router needs to be sure
(top-p, arXiv 2403.07652).

Shapes: B batch, T tokens, D width, E experts, S = E + null experts: what the router chooses from; R rows
that are routed: B, 1 where all rows have one noise level, or B·T where each token is routed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, nearest
from imitate.policies.nets.dropout import Dropout

RoutedBy = Literal["noise", "token", "dense"]
Selection = Literal["top_k", "top_p"]
Gates = Literal["normalized", "probability"]
RouterInit = Literal["normal", "truncated_normal"]


@dataclass(frozen=True)
class MoeConfig:
    """Settings of MoeFeedForward.

    routing: by "noise" level, by "token", or "dense": all experts always, without a router; that is one
        feed-forward net of their total size.
    experts, active: E and k; k counts null experts, too. expansion: hidden features of an expert / D.
    selection: "top_k", or "top_p": the fewest experts whose probabilities exceed `top_p` together.
    sampled: draw the k in training by their probabilities, without replacement; acting takes the top k.
    gates: what multiplies an expert's output: its probability, or that divided by the sum over the chosen
        ones. top_p (as published) and one active expert, whose normalised gate would always be 1 and so
        teach the router nothing, need "probability".
    fine_grained: split each expert into so many smaller ones, and activate so many more.
    shared_experts: run always, beside the k. null_experts: that do nothing and cost nothing.
    temperature of the router's softmax; router_init, router_std: distribution of its first weights, cut off
        at two standard deviations where truncated. With the published 0.02 all experts are equally likely at
        every noise level for longer than a small policy is trained; 0.3 makes them differ from the start.
    balance_weight, z_weight, entropy_weight: of the auxiliary losses, the last one for top_p only. With
        router_std 0.3 and the published balance_weight 0.01, one layer of four called 2 experts of 4 after
        200 steps on tabletop/reach; with 0.1 all were called equally often, and differently by noise level.
    """

    routing: RoutedBy = "noise"
    experts: int = 4
    active: int = 2
    expansion: int = 4
    selection: Selection = "top_k"
    top_p: float = 0.4
    sampled: bool = True
    gates: Gates = "normalized"
    fine_grained: int = 1
    shared_experts: int = 0
    null_experts: int = 0
    temperature: float = 1.0
    router_init: RouterInit = "normal"
    router_std: float = 0.3
    balance_weight: float = 0.1
    z_weight: float = 0.0
    entropy_weight: float = 1e-4

    def __post_init__(self) -> None:
        for name, choices in (
            ("routing", get_args(RoutedBy)),
            ("selection", get_args(Selection)),
            ("gates", get_args(Gates)),
            ("router_init", get_args(RouterInit)),
        ):
            value = getattr(self, name)
            self._require(value in choices, name, nearest(value, choices))
        for name in ("experts", "active", "expansion", "fine_grained"):
            self._require(getattr(self, name) >= 1, name, ", expected at least 1")
        for name in ("shared_experts", "null_experts", "balance_weight", "z_weight", "entropy_weight"):
            self._require(getattr(self, name) >= 0, name, ", expected 0 or more")
        for name in ("temperature", "router_std"):
            self._require(getattr(self, name) > 0, name, ", expected more than 0")
        self._require(0 < self.top_p < 1, "top_p", ", expected more than 0 and less than 1")
        there = self.count + self.null_experts
        self._require(self.chosen <= there, "active", f", more than the {there} experts to choose from")
        if self.routing != "dense" and (self.selection == "top_p" or self.chosen == 1):
            self._require(
                self.gates == "probability",
                "gates",
                f", expected 'probability' with selection={self.selection} and active={self.active}",
            )

    def _require(self, fine: bool, name: str, expected: str) -> None:
        if not fine:
            raise ConfigError(f"policy.denoiser.moe.{name} is {getattr(self, name)!r}{expected}")

    @property
    def count(self) -> int:
        """E, after splitting into fine-grained experts."""
        return self.experts * self.fine_grained

    @property
    def chosen(self) -> int:
        """k, after splitting into fine-grained experts."""
        return self.active * self.fine_grained

    def build(self, width: int, dropout: float = 0.0) -> "MoeFeedForward":
        """The layer with fresh weights; raises ConfigError where hidden features cannot be split."""
        return MoeFeedForward(self, width, dropout)


@dataclass(frozen=True)
class Routing:
    """What a router said: logits and probabilities (R, S), who was chosen (R, S), and gates (R, E)."""

    logits: Tensor
    probabilities: Tensor
    chosen: Tensor
    gates: Tensor


class MoeFeedForward(nn.Module):
    """(B, T, D) -> (B, T, D), to be added to the residual stream by whoever uses it."""

    def __init__(self, config: MoeConfig, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        hidden = config.expansion * width
        if hidden % config.fine_grained:
            raise ConfigError(
                f"policy.denoiser.moe.fine_grained is {config.fine_grained}, "
                f"which does not divide the {hidden} hidden features of an expert"
            )
        size = hidden // config.fine_grained
        if config.routing == "dense":
            self.router, self.experts = None, Experts(1, width, config.experts * hidden, dropout)
        else:
            self.router = Router(config, width)
            self.experts = Experts(config.count, width, size, dropout)
        self.shared_hidden = config.shared_experts * size
        self.shared = Experts(1, width, self.shared_hidden, dropout) if config.shared_experts else None

    def forward(self, x: Tensor, level: Tensor, routings: list[Routing] | None = None) -> Tensor:
        """Transform tokens `x` at noise levels embedded as `level` (B, D), or (1, D): one for all rows.

        What the router says is appended to `routings`, for `auxiliary_losses`.
        """
        always = self.shared.expert(0, x) if self.shared is not None else None
        routed = self.experts.expert(0, x) if self.router is None else self._routed(x, level, routings)
        return routed if always is None else routed + always

    def _routed(self, x: Tensor, level: Tensor, routings: list[Routing] | None) -> Tensor:
        assert self.router is not None
        by_token = self.config.routing == "token"
        routing: Routing = self.router(x.flatten(0, 1) if by_token else level)
        if routings is not None:
            routings.append(routing)
        rows = x.flatten(0, 1)[:, None] if by_token else x
        return self.experts(rows, routing.gates).view(x.shape)

    @torch.no_grad()
    def idle_weights(self, levels: Tensor) -> int:
        """How many weights of experts do not run, on average over noise levels embedded as (S, D)."""
        if self.router is None:
            return 0
        if self.config.routing == "noise":
            running = float((self.router(levels).gates > 0).sum(dim=1).float().mean())
        elif self.config.selection == "top_p" or self.config.null_experts:
            return 0  # It depends on the tokens; nobody can say beforehand.
        else:
            running = self.config.chosen
        each = sum(weights[0].numel() for weights in self.experts.parameters())
        return round(each * (self.config.count - running))


class Router(nn.Module):
    """A small net from features (R, D) to a choice among S experts, in float32 also under autocast."""

    def __init__(self, config: MoeConfig, width: int) -> None:
        super().__init__()
        self.config = config
        layers = nn.Linear(width, 2 * width), nn.Linear(2 * width, config.count + config.null_experts)
        for layer in layers:
            std = config.router_std
            if config.router_init == "normal":
                nn.init.normal_(layer.weight, std=std)
            else:
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(layer.bias)
        self.net = nn.Sequential(layers[0], nn.GELU(), layers[1])

    def forward(self, features: Tensor) -> Routing:
        """Route each row."""
        with torch.autocast(features.device.type, enabled=False):
            logits = self.net(features.float()) / self.config.temperature
        probabilities = logits.softmax(dim=-1)
        chosen = self._choose(logits, probabilities)
        gates = (probabilities * chosen)[:, : self.config.count]
        if self.config.gates == "normalized":
            # Over true experts only: choosing a null one must not shrink what the others say (AdaMoE).
            gates = gates / gates.sum(dim=-1, keepdim=True).clamp_min(1e-9)
        return Routing(logits, probabilities, chosen, gates)

    def _choose(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        if self.config.selection == "top_p":
            ranked, order = probabilities.sort(dim=-1, descending=True)
            needed = ranked.cumsum(dim=-1) - ranked <= self.config.top_p
            return torch.zeros_like(needed).scatter(-1, order, needed)
        if self.training and self.config.sampled:
            # The k largest of logits + Gumbel noise: multinomial draws without replacement.
            logits = logits - torch.empty_like(logits).exponential_().log()
        best = logits.topk(self.config.chosen, dim=-1).indices
        return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, best, True)


class Experts(nn.Module):
    """SwiGLU experts (arXiv 2002.05202): leave · (value ⊙ silu(gate)), [value; gate] = enter x + bias."""

    def __init__(self, count: int, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.enter = nn.Parameter(_uniform(width, count, 2 * hidden, width))
        self.enter_bias = nn.Parameter(torch.zeros(count, 2 * hidden))
        self.leave = nn.Parameter(_uniform(hidden, count, width, hidden))
        self.dropout = Dropout(dropout)

    def expert(self, index: int, x: Tensor) -> Tensor:
        """What one expert makes of (…, D)."""
        return self._swiglu(x, self._each()[index])

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        """The weighted sum of experts for x (R, T, D); `gates` (R, E), or (1, E): one for all rows.

        Only experts with a gate above 0 run; a row without any gets 0.
        """
        each = self._each()
        if len(gates) == 1:
            terms = [index for index, gate in enumerate(gates[0].tolist()) if gate > 0]
            made = [self._swiglu(x, each[index]) * gates[0, index] for index in terms]
            return torch.stack(made).sum(dim=0) if made else torch.zeros_like(x)
        out = torch.zeros_like(x)
        for weights, gate in zip(each, gates.unbind(dim=1), strict=True):
            rows = gate.nonzero()[:, 0]
            result = self._swiglu(x.index_select(0, rows), weights)
            weighted = result * gate.index_select(0, rows)[:, None, None]
            out.index_add_(0, rows, weighted.to(out.dtype))
        return out

    def _each(self) -> list[tuple[Tensor, ...]]:
        # All at once: the gradient of indexing a single one is as large as all of them.
        weights = (self.enter, self.enter_bias, self.leave)
        return list(zip(*(part.unbind() for part in weights), strict=True))

    def _swiglu(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        enter, bias, leave = weights
        value, gate = F.linear(x, enter, bias).chunk(2, dim=-1)
        return F.linear(self.dropout(value * F.silu(gate)), leave)


def auxiliary_losses(config: MoeConfig, routings: Sequence[Routing], weight: Tensor) -> dict[str, Tensor]:
    """Mean over layers of the losses that keep routers healthy; `weight` (B,) is that of the batch's rows.

    balance: S Σ f_i P_i (Switch, arXiv 2101.03961), f the share of choices and P the mean probability of
    expert i over the batch, which must hold many noise levels; 1 where perfectly balanced. Null experts need
    not be balanced with each other: each counts as their mean (AdaMoE). MoDE's code takes P after the choice,
    its paper (as here) before. z: mean squared log-sum of exponentiated logits (ST-MoE, arXiv 2202.08906).
    entropy: of the probabilities; without it, top-p would learn to be unsure and so run all experts.
    """
    losses: dict[str, list[Tensor]] = {"balance": [], "z": [], "entropy": []}
    for routing in routings:
        rows = weight.repeat_interleave(len(routing.logits) // len(weight))
        rows = rows / rows.sum().clamp_min(1e-8)
        losses["balance"].append(_balance(config, routing, rows))
        losses["z"].append(rows @ routing.logits.logsumexp(dim=-1).square())
        losses["entropy"].append(rows @ torch.special.entr(routing.probabilities).sum(dim=-1))
    return {name: torch.stack(values).mean() for name, values in losses.items() if values}


def weighted_sum(config: MoeConfig, losses: dict[str, Tensor]) -> Tensor | float:
    """What `auxiliary_losses` add to the loss to minimise; 0 without a router."""
    weights = {
        "balance": config.balance_weight,
        "z": config.z_weight,
        "entropy": config.entropy_weight if config.selection == "top_p" else 0.0,
    }
    return sum((weights[name] * value for name, value in losses.items() if weights[name]), 0.0)


def _balance(config: MoeConfig, routing: Routing, rows: Tensor) -> Tensor:
    share = rows @ routing.chosen.to(rows.dtype)
    share = share / share.sum().clamp_min(1e-8)
    if config.null_experts:
        true, null = share.split([config.count, config.null_experts])
        share = torch.cat([true, null.mean().expand(config.null_experts)])
    return len(share) * (share * (rows @ routing.probabilities)).sum()


def _uniform(fan_in: int, *shape: int) -> Tensor:
    """The start of nn.Linear's weights, for several of them at once."""
    return torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5)
