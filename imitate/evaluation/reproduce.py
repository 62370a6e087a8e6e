"""Playing a result again from its provenance, and saying whether it agrees."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from imitate.checkpoint import commit, load_policy
from imitate.evaluation.compare import Comparison, compare
from imitate.evaluation.evaluate import Evaluation
from imitate.evaluation.provenance import code_hash, device_name, versions
from imitate.evaluation.recipe import Recipe
from imitate.evaluation.result import RolloutResult
from imitate.parts import TARGET
from imitate.progress import SILENT, Progress
from imitate.rollout import EpisodeResult

Verdict = Literal["bitwise", "within", "differs"]

NEW_FIELDS = ("smoothness", "violations", "collisions", "final_obs")
"""What results of earlier versions do not say; then it is not compared."""

TOLERANCE = 1e-9
"""Between a figure of a file and the same figure computed from its episodes, relative."""


@dataclass(frozen=True)
class Reproduction:
    """A result and the same seeds played again.

    changes: what is not as it was ("torch was 2.5.1, is 2.6.0"). false_figures: figures of the file that its
    own episodes contradict. pairs: each episode before and now.
    """

    before: RolloutResult
    now: RolloutResult
    changes: tuple[str, ...]
    false_figures: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[EpisodeResult, EpisodeResult]]:
        """Each episode of the result, and the same played again."""
        played = {episode.seed: episode for episode in self.now.episodes}
        return [(e, played[e.seed]) for e in self.before.episodes if e.seed in played]

    @property
    def different(self) -> list[tuple[EpisodeResult, EpisodeResult]]:
        """The pairs that are not equal in every figure."""
        return [(a, b) for a, b in self.pairs if differing(a, b)]

    @property
    def comparison(self) -> Comparison:
        """How far the two are apart, paired."""
        return compare(self.before, self.now)

    @property
    def verdict(self) -> Verdict:
        """ "bitwise": every episode went the same. "within": not all did, which `changes` may explain, and
        both paired 95 % intervals (success, score) hold no difference. "differs": anything else.
        """
        if self.false_figures:
            return "differs"
        if not self.different:
            return "bitwise"
        found = self.comparison
        (low, high), (score_low, score_high) = found.rates.interval(), found.score_interval
        holds_none = low <= 0 <= high and score_low <= 0 <= score_high
        return "within" if self.changes and holds_none else "differs"

    @property
    def agrees(self) -> bool:
        """Whether the result is confirmed."""
        return self.verdict != "differs"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "agrees": self.agrees,
            "verdict": self.verdict,
            "episodes": len(self.pairs),
            "of": len(self.before.episodes),
            "different": [
                {"seed": a.seed, "before": _shown(a, b), "now": _shown(b, a)} for a, b in self.different
            ],
            "changes": list(self.changes),
            "false_figures": list(self.false_figures),
            "success_rate_before": self.comparison.to_json()["success_rate_a"],
            "success_rate_now": self.now.success_rate,
            "interval": list(self.comparison.rates.interval()),
            "score_difference": self.comparison.score_difference,
            "score_interval": list(self.comparison.score_interval),
        }


def reproduce(
    recipe: Recipe,
    checkpoint: Path,
    device: torch.device,
    *,
    episodes: int | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Reproduction:
    """Play the first `episodes` (all) of a result again, with `checkpoint`, on `device`.

    Raises CheckpointError where the policy cannot be built, EnvError where the environment cannot.
    """
    before, origin = recipe.result, recipe.result.provenance
    changes = {key: value for key, value in origin["policy"].items() if key != TARGET}
    loaded = load_policy(checkpoint, device, changes)
    seeds = [episode.seed for episode in before.episodes][:episodes]
    config = recipe.config if workers is None else replace(recipe.config, workers=workers)
    done = Evaluation(loaded.policy, recipe.env, seeds, config, device).play(seeds, progress)
    now = RolloutResult.of(done, {}, {"env": origin["env"]})
    return Reproduction(before, now, what_changed(before, now, device), false_figures(recipe))


def differing(before: EpisodeResult, now: EpisodeResult) -> list[str]:
    """The names of the figures in which two episodes differ."""
    unsaid = {name for name in NEW_FIELDS if getattr(before, name) in (None, {})}
    names = [field.name for field in fields(EpisodeResult) if field.name not in unsaid]
    return [name for name in names if getattr(before, name) != getattr(now, name)]


def what_changed(before: RolloutResult, now: RolloutResult, device: torch.device) -> tuple[str, ...]:
    """What is not as it was, as far as the result says it: code, packages, device, the environment's facts.

    A result without a hash of its code may have been made by any other.
    """
    origin = before.provenance
    then: dict[str, Any] = {"code_hash": None, **origin, **(origin.get("versions") or {}), **_facts(before)}
    here: dict[str, Any] = {
        **dict.fromkeys(origin.get("versions") or {}, "not installed"),
        **versions(),
        "commit": commit(),
        "code_hash": code_hash(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        **_facts(now),
    }
    if then["code_hash"] == here["code_hash"]:
        here["commit"] = then.get("commit")  # another commit of the same code explains nothing
    return tuple(
        f"{name} was {_short(then[name])}, is {_short(value)}"
        for name, value in here.items()
        if name in then and then[name] != value
    )


def _facts(result: RolloutResult) -> dict[str, Any]:
    return {"max_steps": result.max_steps, "success_definition": result.success_definition}


def false_figures(recipe: Recipe) -> tuple[str, ...]:
    """Figures that stand in the file of a result and do not follow from the episodes in it."""
    written = json.loads(recipe.file.read_text(encoding="utf-8"))
    computed = json.loads(json.dumps(recipe.result.to_json()))
    return tuple(
        f"{key} is {written[key]}, but the episodes make {value}"
        for key, value in computed.items()
        if key in written and _is_figure(value) and not _close(written[key], value)
    )


def _is_figure(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, int | float) for one in values)


def _close(written: Any, value: Any) -> bool:
    if isinstance(value, list):
        return isinstance(written, list) and len(written) == len(value) and all(map(_close, written, value))
    is_number = isinstance(written, int | float)
    return is_number and abs(written - value) <= TOLERANCE * max(1.0, abs(value))


def _shown(one: EpisodeResult, other: EpisodeResult) -> Mapping[str, Any]:
    names: Sequence[str] = [name for name in asdict(one) if getattr(one, name) != getattr(other, name)]
    return {name: getattr(one, name) for name in names if name != "final_obs"}


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
