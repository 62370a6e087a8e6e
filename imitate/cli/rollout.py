"""imitate rollout: play a trained policy on fixed seeds and report its success with an interval.

    imitate rollout checkpoint=runs/pick episodes=50 seed=100000 out=runs/pick/rollout

writes rollout.json, episodes.csv, videos/ and index.html to runs/pick/rollout. Episode i starts from seed
+ i. A result depends on the checkpoint, the seeds and rollout.batch, not on the number of workers, so two
policies that played the same seeds can be set against each other with  imitate compare. Seeds at which
demonstrations were collected, or by which training chose its best checkpoint, are refused.

    imitate rollout checkpoint=runs/pick checkpoints=all episodes=50 out=runs/pick/checkpoints_played

plays the checkpoints that the run kept (train.checkpoints=50) on the same seeds and writes checkpoints.json:
the maximum over checkpoints, the mean of the last ten, and the best one again on the seeds after those, whose
rollout.json it is. What was played before is not played again.

Keys:
    checkpoint          a run folder (its best), one checkpoint file, or a file that  imitate export  wrote
    checkpoints         all, or how many of the last: play what the run folder kept over time
    env                 the environment; by default the one the policy was trained for
    episodes, seed      how many episodes, and the seed of the first (evaluation starts at 100000)
    allow_used_seeds    true: play seeds that the policy has met; the result says so
    out                 the folder to write; what it holds of an earlier rollout is replaced at the end
    record              a store to make of the episodes (observations, actions, success), for  imitate curate
    videos              how many episodes to record, failures first; 0 for none
    device              auto, cpu, cuda or cuda:N
    policy.…            a setting of the trained policy to act with instead, such as policy.inference_steps=2
    rollout.workers     processes that step environments; 0 for none besides this one
    rollout.batch       rows of each policy call; up to twice as many environments play at the same time
    cluster             ray: play on the workers of a Ray; the result is the same. See docs/scaling.md
    rollout.instruction what to tell a policy that was trained on sentences (imitate data instruct), where the
                        environment does not say it
    rollout.execution   strategy: receding, ensemble or continuous; action_steps; ensemble_decay; continuity
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imitate.checkpoint import LoadedPolicy, load_policy
from imitate.cli.command import Outcome
from imitate.cli.result_lines import figure, result_lines
from imitate.cluster.config import ClusterConfig
from imitate.cluster.rollouts import player
from imitate.device import chosen_device
from imitate.env import EnvConfig
from imitate.errors import ConfigError, import_extra
from imitate.evaluation.checkpoints import (
    FIGURES,
    FOLDER,
    CheckpointFigures,
    chosen_checkpoints,
    played_before,
    step_of,
    write_figures,
)
from imitate.evaluation.folder import PAGE
from imitate.evaluation.play import Play
from imitate.evaluation.result import FILE_NAME, RolloutResult
from imitate.instruction import listed
from imitate.progress import Progress
from imitate.rollout import Player, RolloutConfig

ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class RolloutCommand:
    """The settings of `imitate rollout`; see the module."""

    checkpoint: str
    out: str
    env: EnvConfig | None
    episodes: int
    seed: int
    record: str | None
    videos: int
    device: str
    policy: Mapping[str, Any]
    rollout: RolloutConfig
    checkpoints: int | str | None = None
    allow_used_seeds: bool = False
    cluster: ClusterConfig | None = None

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0), ("videos", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least}")
        if self.checkpoints is not None and self.record is not None:
            raise ConfigError("record is set, but several checkpoints are played: leave one of the two away")

    def run(self, progress: Progress) -> Outcome:
        """Roll out, write the folder, and give the figures."""
        with player(self.cluster) as playing:
            if self.checkpoints is not None:
                return self._several(self.checkpoints, playing, progress)
            return self._one(playing, progress)

    def _one(self, playing: Player, progress: Progress) -> Outcome:
        play, out = self._play(self.checkpoint, self.seed, playing), Path(self.out)
        for note in play.notes():
            progress.say(note)
        result = play.into(out, self.videos, progress, self.record)
        lines = _lines(result, play, out)
        return Outcome(result.to_json(), lines + ([f"recorded  {self.record}"] if self.record else []))

    def _several(self, which: int | str, playing: Player, progress: Progress) -> Outcome:
        out, files = Path(self.out), chosen_checkpoints(self.checkpoint, which)
        # Refused now, if at all, and not at the end.
        for note in self._play(str(files[-1]), self.seed + self.episodes, playing).notes():
            progress.say(note)
        played = []
        for number, file in enumerate(files, 1):
            play, folder = self._play(str(file), self.seed, playing), out / FOLDER / file.stem
            found = played_before(folder, play.origin(), play.seeds)
            played.append(found or play.into(folder, 0, progress, page=False))
            progress.say(
                f"checkpoint {number} of {len(files)}, step {step_of(played[-1])}: success "
                f"{played[-1].success_rate:.3f}" + (" (played before)" if found else "")
            )
        figures = CheckpointFigures(tuple(played))
        play = self._play(str(files[played.index(figures.best)]), self.seed + self.episodes, playing)
        again = played_before(out, play.origin(), play.seeds) or play.into(out, self.videos, progress)
        write_figures(out / FIGURES, value := figures.to_json(again))
        return Outcome(value, _lines_of_several(figures, again, out))

    def _loaded(self, checkpoint: str, device: torch.device) -> LoadedPolicy:
        if not _is_exported(checkpoint):
            return load_policy(checkpoint, device, self.policy)
        if self.policy:
            raise ConfigError(
                f"policy.{next(iter(self.policy))} is set, but {checkpoint} is an exported policy, whose "
                "settings are fixed: name the run that it came from"
            )
        import_extra("onnxruntime", "export")
        from imitate.export.played import load_exported

        return load_exported(checkpoint)

    def _play(self, checkpoint: str, seed: int, playing: Player) -> Play:
        """The episodes from `seed` on; raises ConfigError where the policy has met one of their starts."""
        device = chosen_device(self.device, "device")
        loaded = self._loaded(checkpoint, device)
        seeds = range(seed, seed + self.episodes)
        play = Play.of(loaded, self.env, seeds, self.rollout, device, playing)
        if not self.allow_used_seeds:
            play.check.require_disjoint(str(loaded.file))
        return play


def _is_exported(path: str) -> bool:
    """Whether `path` is a file such as  imitate export  writes."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def _lines(result: RolloutResult, play: Play, out: Path) -> list[str]:
    return [
        *result_lines(result),
        *([f"told      {listed(play.told)}"] if play.told else []),
        f"seeds     {play.seeds[0]} to {play.seeds[-1]}, {play.check.line()}",
        f"speed     {result.timing['env_steps_per_s']:.0f} env steps/s, "
        f"{result.timing['policy_ms_per_call']:.1f} ms per policy call",
        f"result    {out / FILE_NAME}" + (f", {len(result.videos)} videos" if result.videos else ""),
        f"page      {out / PAGE}",
    ]


def _lines_of_several(figures: CheckpointFigures, again: RolloutResult, out: Path) -> list[str]:
    best, count = figures.best, len(figures.results)
    first, last = best.episodes[0].seed, best.episodes[-1].seed
    rate, interval = figures.mean_of_last("success")
    score, score_interval = figures.mean_of_last("score")
    other, best_score = again.episodes, figures.best_score
    return [
        f"played    {count} checkpoints on seeds {first} to {last}: {best.success_definition}",
        f"max over checkpoints   success {figure(best.success_rate, best.interval)} at step {step_of(best)}, "
        f"score {best_score.mean_score:.3f} at step {step_of(best_score)}; optimistic: the best of {count}",
        f"mean of the last {len(figures.last):<5} success {figure(rate, interval)}, "
        f"score {figure(score, score_interval)}",
        f"best on fresh seeds    success {figure(again.success_rate, again.interval)}, "
        f"score {figure(again.mean_score, again.score_interval)}; "
        f"step {step_of(best)} on seeds {other[0].seed} to {other[-1].seed}: what the maximum is worth",
        f"result    {out / FIGURES}; of the fresh seeds {out / FILE_NAME}, {out / PAGE}",
    ]
