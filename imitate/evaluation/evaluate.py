"""Evaluating a policy: rollouts on fixed seeds, and videos of the episodes that tell most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imitate.env import EnvConfig
from imitate.errors import EnvError
from imitate.evaluation.folder import VIDEOS
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.video import VideoRecorder, video_name
from imitate.policy import Policy
from imitate.progress import Progress
from imitate.rollout import EpisodeResult, Player, Recording, Rollout, RolloutConfig, rollout


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, how and by whom; `record` takes the steps of the episodes that count."""

    policy: Policy
    env: EnvConfig
    seeds: Sequence[int]
    config: RolloutConfig
    device: torch.device
    record: Recording | None = None
    player: Player = rollout

    def play(
        self, seeds: Sequence[int], progress: Progress, recorder: VideoRecorder | None = None
    ) -> Rollout:
        """The episodes of `seeds`, all of them recorded where there is a recorder."""
        return self.player(
            self.policy,
            self.env,
            seeds,
            workers=self.config.workers,
            batch=self.config.batch,
            execution=self.config.execution,
            instruction=self.config.instruction,
            device=self.device,
            recorder=recorder,
            video_seeds=seeds if recorder else (),
            record=None if recorder else self.record,
            progress=progress,
        )

    def run(
        self, folder: Path, videos: int, provenance: Mapping[str, Any], progress: Progress
    ) -> RolloutResult:
        """The result over all seeds; `folder`/videos then holds videos of at most `videos` episodes."""
        done = self.play(self.seeds, progress)
        recorded = self._record(worth_watching(done.episodes, videos), folder, progress)
        return RolloutResult.of(done, recorded, provenance)

    def _record(self, episodes: Sequence[EpisodeResult], folder: Path, progress: Progress) -> dict[int, str]:
        """Play `episodes` once more with a camera: {seed: path relative to folder}.

        An episode repeats bitwise, so the first pass need not render. Without a way to render there are no
        videos, and the figures stand.
        """
        if not episodes:
            return {}
        (folder / VIDEOS).mkdir()
        try:
            again = self.play([e.seed for e in episodes], progress, VideoRecorder(folder / VIDEOS)).episodes
        except EnvError as error:
            progress.say(f"no videos: {error}")
            return {}
        recorded = {}
        for first, second in zip(episodes, again, strict=True):
            if first == second:
                recorded[first.seed] = f"{VIDEOS}/{video_name(first.seed)}"
            else:
                progress.say(f"no video of seed {first.seed}: the episode went differently when repeated")
        return recorded


def worth_watching(episodes: Sequence[EpisodeResult], count: int) -> list[EpisodeResult]:
    """At most `count` episodes, half of them failures where there are enough of both kinds, in seed order."""
    failed = [episode for episode in episodes if not episode.success]
    succeeded = [episode for episode in episodes if episode.success]
    failures = min(len(failed), max(count - count // 2, count - len(succeeded)))
    chosen = failed[:failures] + succeeded[: count - failures]
    return sorted(chosen, key=lambda episode: episode.seed)
