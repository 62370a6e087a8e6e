"""Videos of a session: what its cameras saw, and of a simulation the scene."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imitate.datasets.session_file import SessionFile
from imitate.datasets.session_format import OBSERVATIONS
from imitate.deploy.backends.simulated import SimulatedRobot
from imitate.deploy.page.recording import RECORDING, Recording
from imitate.errors import DataError, EnvError
from imitate.evaluation.video import VideoWriter
from imitate.page import Html, grid, joined, paragraph, section, tag, video

INLINE_BYTES = 2_000_000
"""Of all videos in the page together; what does not fit lies beside it."""

MAX_FRAMES = 900
MAX_SIDE = 320
ATTEMPT, CAMERA = "attempt_", "camera_"
UNDRAWN = "undrawn.txt"
"""Why a simulation was not drawn."""


def film(robot: SimulatedRobot, folder: Path, attempts: int = 2) -> None:
    """Play the first `attempts` of a simulation again, with a picture per control step.

    Writes folder/attempt_N.mp4; same seed and same actions are the same episode. Where nothing can be drawn
    a note is left for the page. The robot must be closed, or at least at rest.
    """
    try:
        for number, (seed, actions) in enumerate(robot.played[:attempts]):
            _film_attempt(robot, seed, actions, folder / f"{ATTEMPT}{number + 1}.mp4")
    except (EnvError, OSError, ImportError) as error:
        (folder / UNDRAWN).write_text(f"{error}\n")


def _film_attempt(robot: SimulatedRobot, seed: int, actions: Sequence[np.ndarray], path: Path) -> None:
    writer = VideoWriter(path, 1.0 / robot.period_s)
    try:
        for picture in robot.play_again(seed, actions[: MAX_FRAMES - 1]):
            writer.add(_smaller(picture))
    finally:
        writer.close()


def video_section(recording: Recording) -> Html:
    """All videos that fit into the page, links to the others, and what could not be drawn."""
    folder = recording.folder
    notes = _film_cameras(recording)
    if (folder / UNDRAWN).exists():
        notes.append(f"The scene could not be drawn: {(folder / UNDRAWN).read_text().strip()}")
    shown, left = [], INLINE_BYTES
    beside = []
    for path in sorted([*folder.glob(f"{ATTEMPT}*.mp4"), *folder.glob(f"{CAMERA}*.mp4")]):
        caption = _caption(path, recording)
        size = path.stat().st_size
        if not size:
            continue
        if size <= left:
            shown.append(video(path, caption))
            left -= size
        else:
            beside.append(tag("li", tag("a", path.name, href=path.name), f": {caption}"))
    if not shown and not beside and not notes:
        notes.append("This session has no camera and no simulated scene, so there is nothing to watch.")
    said = [paragraph(note, class_="note") for note in notes]
    links = [paragraph("Too large for this page, and beside it:"), tag("ul", *beside)] if beside else []
    return section("Video", grid(shown, columns=3), joined([*links, *said]))


def _caption(path: Path, recording: Recording) -> str:
    name = path.stem.removeprefix(CAMERA).removeprefix(ATTEMPT)
    if path.stem.startswith(CAMERA):
        counts = {_file_name(camera): count for camera, count in recording.images.items()}
        every = _every(counts.get(path.name, 0))
        fast = f", every {every}th picture, {every} times as fast" if every > 1 else ""
        return f"camera {name}{fast}"
    told = recording.result.get("attempts")
    one = told[int(name) - 1] if isinstance(told, list) and name.isdigit() and int(name) <= len(told) else {}
    came = {True: ", succeeded", False: ", did not succeed"}[one["success"]] if "success" in one else ""
    return f"attempt {name}, seed {one.get('seed', '?')}{came}, drawn again"


def _file_name(camera: str) -> str:
    return f"{CAMERA}{re.sub(r'[^A-Za-z0-9.-]', '_', camera)}.mp4"


def _every(count: int) -> int:
    return max(1, -(-count // MAX_FRAMES))


def _film_cameras(recording: Recording) -> list[str]:
    """Write folder/camera_NAME.mp4 of every camera; returns what could not be drawn, in words."""
    notes = []
    for name, count in recording.images.items():
        path = recording.folder / _file_name(name)
        if path.exists():
            continue
        try:
            _film_camera(recording, name, path, _every(count))
        except (DataError, EnvError, OSError) as error:
            path.unlink(missing_ok=True)
            notes.append(f"The pictures of {name} could not be drawn: {error}")
    return notes


def _film_camera(recording: Recording, name: str, path: Path, every: int) -> None:
    writer = VideoWriter(path, recording.spec.rate_hz or 10.0)
    try:
        records = SessionFile(recording.folder / RECORDING).records({OBSERVATIONS + name})
        for number, record in enumerate(records):
            if number % every == 0:
                writer.add(_smaller(record.array()))
    finally:
        writer.close()


def _smaller(image: np.ndarray) -> np.ndarray:
    step = -(-max(image.shape[:2]) // MAX_SIDE)
    return np.ascontiguousarray(image[::step, ::step])
