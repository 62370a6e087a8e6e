"""imitate reproduce: play a result again and say whether it agrees.

    imitate reproduce runs/pick/rollout/rollout.json

finds the checkpoint of the result by its path and its hash, plays the same seeds in the same environment with
the same settings, and lists the episodes that went differently and what has changed since then: packages,
code, device. It agrees where every episode is bitwise the same, or where something has changed and the paired
95 % intervals of success and score hold no difference. Exit code 0 where it agrees, 1 where it does not, 2
where it cannot be played again, say since the checkpoint has changed. Nothing is written.

Keys:
    result          a rollout.json, or the folder that holds one
    episodes        how many of its episodes to play again; null for all
    checkpoint      the checkpoint, where it is neither where it was nor near the result
    device          auto, cpu, cuda or cuda:N
    workers         processes that step environments; null for as many as then
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.device import chosen_device
from imitate.errors import ConfigError
from imitate.evaluation.reproduce import Recipe, Reproduction, differing, reproduce
from imitate.progress import Progress
from imitate.rollout import EpisodeResult

POSITIONAL = "result"
SHOWN = 10

WORDS = {
    "bitwise": "agrees: every episode is bitwise the same",
    "within": "agrees within the intervals, but not bitwise",
    "differs": "does NOT agree",
}


@dataclass(frozen=True)
class ReproduceCommand:
    """The settings of `imitate reproduce`; see the module."""

    result: str
    episodes: int | None
    checkpoint: str | None
    device: str
    workers: int | None

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ConfigError(f"episodes is {self.episodes}, expected at least 1, or null for all")
        if self.workers is not None and self.workers < 0:
            raise ConfigError(f"workers is {self.workers}, expected 0 or more, or null")

    def run(self, progress: Progress) -> Outcome:
        """Play again and compare; the exit code says whether it agrees."""
        recipe, device = Recipe.read(self.result), chosen_device(self.device, "device")
        found = reproduce(
            recipe,
            recipe.checkpoint(self.checkpoint),
            device,
            episodes=self.episodes,
            workers=self.workers,
            progress=progress,
        )
        return Outcome(found.to_json(), _lines(found), exit_code=0 if found.agrees else 1)


def _lines(found: Reproduction) -> list[str]:
    comparison = found.comparison.to_json()
    low, high = comparison["interval"]
    count, different = len(found.pairs), found.different
    return [
        f"result    {WORDS[found.verdict]}",
        f"episodes  {count - len(different)} of {count} the same"
        + (f" (the result has {len(found.before.episodes)})" if count < len(found.before.episodes) else ""),
        f"success   {comparison['success_rate_a']:.3f} before, {comparison['success_rate_b']:.3f} now, "
        f"difference {comparison['difference']:+.3f}  [{low:+.3f}, {high:+.3f}] 95 %",
        *(f"file      {line}" for line in found.false_figures),
        *(f"changed   {line}" for line in found.changes),
        *([] if found.changes or not different else ["changed   nothing that would explain a difference"]),
        *(f"differs   seed {a.seed}: {_difference(a, b)}" for a, b in different[:SHOWN]),
        *([f"          and {len(different) - SHOWN} more, see --json"] if len(different) > SHOWN else []),
    ]


def _difference(before: EpisodeResult, now: EpisodeResult) -> str:
    names = [name for name in differing(before, now) if name != "final_obs"]
    shown = [f"{name} {getattr(before, name)} -> {getattr(now, name)}" for name in names]
    return ", ".join(shown) or "where it ended"
