"""Truncated diffusion: a few lightly noised anchor chunks are scored and refined in one or two steps.

DiffusionDrive (Liao et al., arXiv 2411.15139), for action chunks. Anchors a_k are k-means centres of the
demonstrated chunks. Each is noised to √(1 - σ²) a_k + σ ε with σ up to `truncation_std`; a decoder gives
every one a score and a refined chunk. In training the anchor nearest to the demonstrated chunk is to score 1
and to be refined to it (L1), all others are to score 0. All of it happens in normalised actions and float32.
What differs from the paper and its code, and why:

- The truncation is a standard deviation, not a share of the noise schedule: 5 % of one schedule is another
  noise than 5 % of the next.
- The network says what a refined chunk is, not how far to move the noisy anchor: it would have to know the
  anchor under the noise exactly to take it out again.
- A second step starts from the refined chunk and the noise that was drawn. DDIM would count the way from
  the anchor to the refined chunk as noise, and go back half of it.
- Where an anchor never is the match, the paper's training says nothing about what becomes of it, and a
  robot that has left the demonstrated ways may follow it all the same. Here the others are refined to the
  demonstrated chunk, too, by a small weight (`relaxation`; Rupprecht et al., arXiv 1612.00197). The median,
  which L1 asks for, is then an anchor's own chunk where it is the match often enough, else the usual one.
- Scores are learnt by plain binary cross-entropy, as in the paper (the code: focal loss): they then are
  probabilities, which modes can be drawn by. And since no score depends on which other modes there are,
  `training_modes` of the K do for training.

Shapes: B batch, K anchors, Q modes in training, Tp predicted steps, Da action dimensions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, nearest
from imitate.normalize import Mode
from imitate.policies.diffusion import hold_edges
from imitate.policies.nets.anchor_set import AnchorSet
from imitate.policies.nets.chunk_decoder import ChunkDecoder, ChunkDecoderConfig, Refined
from imitate.policies.nets.chunk_heads import draw_category
from imitate.policies.nets.denoiser import Sizes, full_precision_linear
from imitate.policies.nets.moe import auxiliary_losses, weighted_sum
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec, Modes

Choice = Literal["sample", "best"]

NOISE_LEVELS = 50
"""Trained on σ = truncation_std · (i + 1) / NOISE_LEVELS."""

CLUSTERED_CHUNKS = 8192
"""Enough for k-means; they are the first of the shuffled training windows."""


@dataclass(frozen=True)
class TruncatedConfig:
    """Settings of truncated diffusion.

    anchors: K.
    truncation_std: σ of the noise on anchors, normalised units; 0 is regression from anchors, 1 starts from
        pure noise.
    inference_steps: decoder calls per chunk.
    refine: false executes the chosen anchor as it is (a baseline).
    choice: "sample" draws a mode by its probability, "best" takes the most likely one.
    direct: names (numbers, where the data has no names) of action elements that are neither clustered by nor
        noised, such as an open-or-closed gripper, whose moment of switching would dominate the rest.
    training_modes: Q.
    score_weight: of the loss of scores against the loss of chunks.
    relaxation: weight of refining an anchor that is not matched to the demonstrated chunk as well; 0 in the
        paper.
    alternatives: how many of the most likely modes a chunk carries along (ActionChunk.modes).
    """

    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    denoiser: ChunkDecoderConfig = field(default_factory=ChunkDecoderConfig)
    anchors: int = 8
    truncation_std: float = 0.4
    inference_steps: int = 2
    refine: bool = True
    choice: Choice = "sample"
    direct: tuple[str, ...] = ()
    training_modes: int = 4
    score_weight: float = 0.01
    relaxation: float = 1.0
    alternatives: int = 5
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        if self.choice not in get_args(Choice):
            raise ConfigError(f"policy.choice is {self.choice!r}{nearest(self.choice, get_args(Choice))}")
        _require_between("anchors", self.anchors, 2, math.inf)
        _require_between("inference_steps", self.inference_steps, 1, NOISE_LEVELS)
        _require_between("training_modes", self.training_modes, 2, self.anchors)
        _require_between("alternatives", self.alternatives, 1, self.anchors)
        _require_between("truncation_std", self.truncation_std, 0.0, 1.0)
        _require_between("score_weight", self.score_weight, 0.0, math.inf)
        _require_between("relaxation", self.relaxation, 0.0, 1.0)
        if self.truncation_std == 0 and self.inference_steps > 1:
            raise ConfigError(
                f"policy.inference_steps is {self.inference_steps}, but with policy.truncation_std=0 there "
                "is no noise to lower from step to step: set it to 1"
            )

    def build(self, spec: DataSpec) -> "Truncated":
        """The policy with fresh weights.

        Raises ConfigError where `direct` names no element of the action; see also ObservationConfig.build.
        """
        return Truncated(self, spec)


class Truncated(ObservingPolicy):
    """Anchors, a decoder that refines them, and a head per layer that scores them."""

    def __init__(self, config: TruncatedConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        horizons, action_size = config.horizons, spec.action.size
        self.anchors = AnchorSet(config.anchors, config.direct, horizons.pred_steps, spec.action)
        self.denoiser = ChunkDecoder(
            config.denoiser,
            Sizes(horizons.obs_steps, self.observation.size, horizons.pred_steps, action_size, NOISE_LEVELS),
        )
        self.learning_rate = self.denoiser.learning_rate
        heads = [nn.Linear(config.denoiser.width, 1) for _ in range(config.denoiser.layers)]
        for head in heads:
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, -math.log(config.anchors - 1))  # one of K matches
        self.scores = nn.ModuleList(heads)

    @torch.no_grad()
    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Fit the anchors; see Policy."""
        said = super().prepare(windows)
        chunks: list[Tensor] = []
        for batch in windows:
            chunks += self._clean(batch)
            if len(chunks) >= CLUSTERED_CHUNKS:
                break
        return said + self.anchors.fit(torch.stack(chunks[:CLUSTERED_CHUNKS]))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L1 of the matched mode and cross-entropy of the scores, summed over the layers of the decoder."""
        clean = self._clean(batch)
        chosen = self._modes_to_train(self.anchors.match(clean, batch.is_pad))
        condition = self.denoiser.encode(self.observe(batch.obs))
        anchors = self.anchors.chunks[chosen]
        start = anchors if self.config.inference_steps == 1 else self._half_refined(anchors, condition)
        step = torch.randint(NOISE_LEVELS, (len(clean),), device=clean.device)
        layers = self.denoiser.refine(self._noisy(start, torch.randn_like(start), step), step, condition)
        refined = _refined(layers)
        errors = torch.stack([(chunks - clean[:, None]).abs().mean(dim=-1) for chunks in refined]).sum(dim=0)
        errors = errors[:, 0] + self.config.relaxation * errors[:, 1:].mean(dim=1)
        losses = {
            "action": masked_mean(errors, batch.is_pad, batch.weight),
            "score": _weighted_mean(self._score_errors(self._logits(layers)), batch.weight),
        }
        total = losses["action"] + self.config.score_weight * losses["score"]
        if self.config.denoiser.moe is not None:
            routings = [layer.routing for layer in layers if layer.routing is not None]
            auxiliary = auxiliary_losses(self.config.denoiser.moe, routings, batch.weight)
            losses |= auxiliary
            total = total + weighted_sum(self.config.denoiser.moe, auxiliary)
        return {"loss": total, **losses}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """A mode drawn by its probability, or the most likely one; see Policy."""
        modes = self.modes(obs, generator)
        chosen = torch.zeros(len(modes.score), dtype=torch.long, device=modes.score.device)
        if self.config.choice == "sample":
            uniform = torch.special.ndtr(draw_noise((len(chosen), 1), generator, chosen.device))
            chosen = draw_category(modes.score, uniform[:, 0])
        row = torch.arange(len(chosen), device=chosen.device)
        return ActionChunk(
            modes.values[row, chosen, : self.horizons.action_steps],
            score=modes.score[row, chosen],
            modes=modes.first(self.config.alternatives),
        )

    @torch.no_grad()
    def modes(self, obs: Mapping[str, Tensor], generator: Generator) -> Modes:
        """All K refined chunks for each row of {name: (B, To, …)}, most likely first; see Modes."""
        condition = self.denoiser.encode(self.observe(obs))
        anchors = self.anchors.chunks.expand(len(condition), -1, -1, -1)
        noise = draw_noise(anchors.shape, generator, anchors.device)
        chunks, logits = anchors, noise.new_empty(0)
        for level in self._levels():
            step = torch.full((1,), level, device=noise.device)
            layers = self.denoiser.refine(self._noisy(chunks, noise, step), step, condition)
            chunks = self._bounded(_refined(layers)[-1])
            logits = self._logits(layers)[-1]
        if not self.config.refine:
            chunks = self._bounded(anchors)
        score, order = F.logsigmoid(logits).log_softmax(dim=1).sort(dim=1, descending=True)
        chunks = chunks[torch.arange(len(order), device=order.device)[:, None], order]
        values = self.normalizer.action.inverse(chunks[:, :, self.horizons.obs_steps - 1 :])
        return Modes(values, score, self.normalizer.action.spread)

    def _clean(self, batch: Batch) -> Tensor:
        return self.normalizer.action(hold_edges(batch.action, batch.is_pad))

    def _modes_to_train(self, match: Tensor) -> Tensor:
        """The matched anchor (B,), then others at random: (B, Q)."""
        chance = torch.rand(len(match), len(self.anchors), device=match.device)
        return chance.scatter(1, match[:, None], 2.0).topk(self.config.training_modes, dim=1).indices

    @torch.no_grad()
    def _half_refined(self, anchors: Tensor, condition: Tensor) -> Tensor:
        """Anchors (B, Q, Tp, Da), the first half of the rows after one step, as the next one finds them."""
        half, rest = anchors.tensor_split(2)
        step = torch.full((1,), self._levels()[0], device=anchors.device)
        noisy = self._noisy(half, torch.randn_like(half), step)
        layers = self.denoiser.refine(noisy, step, condition[: len(half)])
        return torch.cat([self._bounded(_refined(layers)[-1]), rest])

    def _levels(self) -> list[int]:
        """The noise levels to act with, highest first: each ends its share of all."""
        steps = self.config.inference_steps
        return [round(NOISE_LEVELS * share / steps) - 1 for share in range(steps, 0, -1)]

    def _noisy(self, chunks: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """√(1 - σ²) · chunks + σ · noise, (B, K, Tp, Da), in the dimensions that are noised."""
        std = (self.config.truncation_std * (step + 1) / NOISE_LEVELS)[:, None, None, None]
        return torch.where(self.anchors.clustered, (1 - std.square()).sqrt() * chunks + std * noise, chunks)

    def _logits(self, layers: Sequence[Refined]) -> list[Tensor]:
        """The score (B, K) that each layer gives."""
        features = [layer.features for layer in layers]
        return [full_precision_linear(h, x)[..., 0] for h, x in zip(self.scores, features, strict=True)]  # type: ignore[arg-type]

    def _score_errors(self, logits: Sequence[Tensor]) -> Tensor:
        """Cross-entropy (B,) summed over layers and all K modes; all but the first, the match, were drawn."""
        share = (self.config.training_modes - 1) / (len(self.anchors) - 1)
        errors = [-F.logsigmoid(x[:, 0]) - F.logsigmoid(-x[:, 1:]).sum(dim=1) / share for x in logits]
        return torch.stack(errors).sum(dim=0)

    def _bounded(self, chunks: Tensor) -> Tensor:
        # Stay inside the demonstrated range, as Diffusion Policy's clip_sample does.
        return chunks.clamp(-1.0, 1.0) if self.config.action_normalization == "minmax" else chunks


def _refined(layers: Sequence[Refined]) -> list[Tensor]:
    """The chunk after each layer, which adds its offset to what those before it made and does not train."""
    chunks = [layers[0].offset]
    for layer in layers[1:]:
        chunks.append(chunks[-1].detach() + layer.offset)
    return chunks


def _weighted_mean(per_row: Tensor, weight: Tensor) -> Tensor:
    return (per_row * weight).sum() / weight.sum().clamp_min(1e-8)


def _require_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        expected = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise ConfigError(f"policy.{name} is {value}, expected {expected}")
