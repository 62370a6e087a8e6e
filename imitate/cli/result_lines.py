"""A rollout's figures as lines for a person."""

import numpy as np

from imitate.evaluation.result import RolloutResult
from imitate.evaluation.statistics import Interval, mean_interval


def result_lines(result: RolloutResult) -> list[str]:
    """Success first, then score, time, smoothness and what went wrong, as far as the result knows them."""
    episodes = f"{result.successes} of {len(result.episodes)} episodes: {result.success_definition}"
    score = f"{figure(result.mean_score, result.score_interval)}   {result.score_name}"
    lines = [
        f"success   {figure(result.success_rate, result.interval)}   {episodes}",
        f"score     {score}",
        _time(result),
        _smoothness(result),
        _counted(result),
    ]
    return [line for line in lines if line]


def figure(value: float, interval: Interval) -> str:
    """A value with its 95 % interval."""
    return f"{value:.3f}  [{interval[0]:.3f}, {interval[1]:.3f}] 95 %"


def _time(result: RolloutResult) -> str:
    seconds = result.seconds_to_success
    if not seconds:
        return ""
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return f"time      {middle:.1f} s to success, the middle half {low:.1f} to {high:.1f} s"


def _smoothness(result: RolloutResult) -> str:
    values = result.smoothness
    if not values:
        return ""
    shown = figure(float(np.mean(values)), mean_interval(values))
    return f"smooth    {shown}   spectral arc length of the actions, smoother nearer to 0"


def _counted(result: RolloutResult) -> str:
    steps = sum(episode.length for episode in result.episodes)
    words = []
    if (left := result.steps_with("violations")) is not None:
        words.append(f"action out of range in {left[0]} of {steps} steps ({left[1]} episodes)")
    if (hit := result.steps_with("collisions")) is not None:
        words.append(f"collisions in {hit[0]} ({hit[1]} episodes)")
    return f"limits    {', '.join(words)}" if words else ""
