"""Run folders with rollouts whose differences are known, to set side by side."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sample_pages

from imitate.evaluation.result import save
from imitate.evaluation.video import VideoRecorder
from imitate.rollout import EpisodeResult

FIRST = 100_000


def episodes(outcomes: str) -> tuple[EpisodeResult, ...]:
    """One per letter: s succeeds, l fails with the block left of the mark, r right of it."""
    random = np.random.default_rng(len(outcomes))
    found = []
    for i, letter in enumerate(outcomes):
        place = {"s": 0.0, "l": -0.5, "r": 0.5}[letter] + random.normal(0, 0.01)
        final = {"block": (place, random.normal(0, 0.01)), "goal": (random.uniform(-1, 1),)}
        won = letter == "s"
        found.append(
            EpisodeResult(
                FIRST + i,
                won,
                1.0 if won else 0.25,
                40,
                float(won),
                20 if won else None,
                -2.5,
                3,
                None,
                final,
            )
        )
    return tuple(found)


def run(
    folder: Path,
    outcomes: str,
    *,
    videos: tuple[int, ...] = (),
    rollout: str = "rollout",
    config: dict[str, Any] | None = None,
    env: dict[str, Any] | None = None,
    old: bool = False,
) -> Path:
    """A run folder with a log, and a rollout whose `videos` are those of the seeds FIRST + i.

    config changes keys ("train.seed") of the settings; an `old` result does not say what was seen last.
    """
    if not folder.exists():
        sample_pages.run_folder(folder)
        _configure(folder / "config.json", config or {})
    out = folder / rollout
    (out / "videos").mkdir(parents=True)
    base = sample_pages.result(folder, [True])
    played = episodes(outcomes)
    if old:
        played = tuple(replace(one, final_obs={}, smoothness=None, violations=None) for one in played)
    recorded = {}
    for i in videos:
        recorded[FIRST + i] = f"videos/seed_{FIRST + i}.mp4"
        writer = VideoRecorder(out / "videos").open(FIRST + i, 10.0)
        for step in range(20):
            writer.add(np.full((64, 96, 3), 10 * step, np.uint8))
        writer.close()
    origin = {**base.provenance, **({"env": env} if env else {})}
    save(replace(base, episodes=played, videos=recorded, provenance=origin), out)
    return folder


def _configure(file: Path, changes: dict[str, Any]) -> None:
    config = json.loads(file.read_text())
    for key, value in changes.items():
        group, _, name = key.partition(".")
        config.setdefault(group, {})[name] = value
    file.write_text(json.dumps(config))
