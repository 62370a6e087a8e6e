"""One short video of each perturbation, at the size where success has halved."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import EnvError
from imitate.evaluation.folder import VIDEOS
from imitate.evaluation.stress.result import StressResult
from imitate.evaluation.stress.sweep import Sweep
from imitate.evaluation.video import UNKNOWN_RATE_HZ, VideoRecorder, VideoWriter, video_name
from imitate.page import thinned
from imitate.progress import SILENT, Progress

SIDE_PX = 320
Films = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class SmallRecorder(VideoRecorder):
    """Writes videos whose longer side is about SIDE_PX."""

    def open(self, seed: int, rate_hz: float | None) -> "SmallWriter":
        """See VideoRecorder."""
        return SmallWriter(self.folder / video_name(seed), rate_hz or UNKNOWN_RATE_HZ)


class SmallWriter(VideoWriter):
    """A VideoWriter of smaller frames."""

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, averaged over squares of pixels."""
        super().add(thinned(frame, SIDE_PX))


def film(sweep: Sweep, result: StressResult, out: Path, fresh: Path, progress: Progress) -> Films:
    """Play one episode of every kind again with a camera: {kind: {size, seed, success, file}}.

    Files go to the folder `fresh`, and names are relative to it. A film that `out` holds already of the same
    episode is taken from there. Without a way to draw there are none.
    """
    (fresh / VIDEOS).mkdir()
    found: Films = {}
    with progress.task("videos", len(result.kinds), "videos") as task:
        for kind in result.kinds:
            try:
                made = _kept(result, kind, out, fresh) or _film(sweep, result, kind, fresh)
            except EnvError as error:
                progress.say(f"no videos: {error}")
                return found
            if made is None:
                progress.say(f"no video of {kind}: the episode went differently when repeated")
            else:
                found[kind] = made
            task.advance(1)
    return found


def _kept(result: StressResult, kind: str, out: Path, fresh: Path) -> dict[str, Any] | None:
    """A film that was made before, where it shows what it should show now."""
    made = dict(result.films.get(kind, {}))
    name, is_whole = f"{VIDEOS}/{kind}.mp4", isinstance(made.get("success"), bool)
    is_same = is_whole and (made.get("size"), made.get("seed")) == film_choice(result, kind)
    if not is_same or not (out / name).is_file():
        return None
    shutil.copyfile(out / name, fresh / name)
    return {**made, "file": name}


def _film(sweep: Sweep, result: StressResult, kind: str, folder: Path) -> dict[str, Any] | None:
    size, seed = film_choice(result, kind)
    played = result.find(kind, size)
    assert played is not None
    cell = sweep.cell(kind, size)
    here = replace(cell, config=replace(cell.config, workers=0))
    (again,) = here.evaluation().play([seed], SILENT, SmallRecorder(folder / VIDEOS)).episodes
    made, file = folder / VIDEOS / video_name(seed), f"{VIDEOS}/{kind}.mp4"
    first = next(episode for episode in played.episodes if episode.seed == seed)
    if (again.success, again.length) != (first.success, first.length):
        made.unlink()
        return None
    made.replace(folder / file)
    return {"size": size, "seed": seed, "success": again.success, "file": file}


def film_choice(result: StressResult, kind: str) -> tuple[float, int]:
    """The size to film of `kind`, the first at which success has halved, else the largest; and the seed.

    Best is a seed that succeeds without the perturbation and fails with it.
    """
    level = result.halving(kind).level
    cells = result.of_kind(kind)[1:]
    cell = next((c for c in cells if level is not None and c.size >= level), cells[-1])
    won: Mapping[int, bool] = {episode.seed: episode.success for episode in result.plain.episodes}
    ranked = [(e.success, not won.get(e.seed, False), e.seed) for e in cell.result.episodes]
    return cell.size, min(ranked)[2]
