"""Evaluations: which episodes are filmed, and that filming shows the episode that was counted."""

from pathlib import Path

import av
import pytest
import torch
from line_env import SPEC, LineConfig
from line_policy import LinePolicy

from imitate.evaluation.evaluate import Evaluation, worth_watching
from imitate.evaluation.result import RolloutResult
from imitate.progress import SILENT, Silent
from imitate.rollout import EpisodeResult, RolloutConfig

SEEDS = range(100_000, 100_010)


def evaluate(folder: Path, videos: int, workers: int, env: LineConfig | None = None) -> RolloutResult:
    # The weak gain lets some episodes fail within max_steps.
    policy = LinePolicy(SPEC, gain=0.4, noise=0.05)
    config = RolloutConfig(workers, batch=4)
    evaluation = Evaluation(policy, env or LineConfig(max_steps=15), SEEDS, config, torch.device("cpu"))
    return evaluation.run(folder, videos, {}, SILENT)


@pytest.mark.parametrize("workers", [0, 2])
def test_videos_have_a_frame_per_step_and_one_for_the_start(tmp_path: Path, workers: int) -> None:
    result = evaluate(tmp_path, 4, workers)
    assert 0 < result.successes < 10
    assert len(result.videos) == 4
    by_seed = {episode.seed: episode for episode in result.episodes}
    assert {by_seed[seed].success for seed in result.videos} == {True, False}
    for seed, file in result.videos.items():
        with av.open(str(tmp_path / file)) as container:
            assert sum(1 for _ in container.decode(video=0)) == by_seed[seed].length + 1


def test_filming_changes_no_figure(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert evaluate(tmp_path / "a", 3, 0).episodes == evaluate(tmp_path / "b", 0, 2).episodes
    assert not (tmp_path / "b" / "videos").exists()


def test_without_a_way_to_render_the_figures_stand(tmp_path: Path) -> None:
    result = evaluate(tmp_path, 3, 0, LineConfig(max_steps=15, trouble="no camera"))
    assert result.videos == {}
    assert len(result.episodes) == 10


def episodes(*wins: bool) -> list[EpisodeResult]:
    return [EpisodeResult(seed, win, 0.0, 1, 0.0, None) for seed, win in enumerate(wins)]


@pytest.mark.parametrize(
    ("wins", "count", "seeds"),
    [
        ((True, True, False, True, False, False), 4, [0, 1, 2, 4]),
        ((True, True, True, True, False), 4, [0, 1, 2, 4]),
        ((False, False, False, True), 3, [0, 1, 3]),
        ((False, False, False, False), 3, [0, 1, 2]),
        ((True, True), 5, [0, 1]),
        ((False, True), 0, []),
        ((True, False), 1, [1]),
    ],
)
def test_failures_are_filmed_first_and_successes_beside_them(wins, count, seeds) -> None:
    assert [episode.seed for episode in worth_watching(episodes(*wins), count)] == seeds


def test_an_episode_that_does_not_repeat_is_not_shown(tmp_path: Path) -> None:
    said = []

    class Notes(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    class Drifting(LinePolicy):
        calls = 0

        def predict(self, obs, generator):
            self.calls += 1
            chunk = super().predict(obs, generator)
            chunk.values += 0.001 * self.calls
            return chunk

    config = RolloutConfig(0, batch=4)
    evaluation = Evaluation(Drifting(SPEC), LineConfig(), SEEDS, config, torch.device("cpu"))
    assert evaluation.run(tmp_path, 2, {}, Notes()).videos == {}
    assert "went differently" in said[0]
