"""LeRobot datasets (versions 2.0, 2.1 and 3.0): a folder of parquet, MP4 and JSON.

    imitate import src=FOLDER out=demos.zarr
    imitate import src=demos.zarr out=FOLDER format=lerobot      (3.0)

    meta/info.json    features {name: dtype, shape, names}, fps, and the templates of the paths below
    data/…parquet     a row per step: everything but video
    videos/…mp4       one episode per file in 2.x, many end to end in 3.0
    meta/…            episodes and tasks: JSON lines in 2.x, parquet in 3.0

https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from pathlib import Path

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.formats.lerobot_info import find_root, looks_like_lerobot
from imitate.datasets.formats.lerobot_reading import LeRobotFolder, read_folder
from imitate.datasets.formats.lerobot_writing import write_folder
from imitate.errors import DataError
from imitate.progress import Progress


def read_lerobot(path: Path, options: ReadOptions) -> LeRobotFolder:
    """Look at the folder, or the only dataset in it; raises DataError where it cannot be imported."""
    root = find_root(path)
    if root is None:
        raise DataError(f"{path}: meta/info.json is missing; choose the folder of a LeRobot dataset")
    return read_folder(root)


def write_lerobot(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write `store` as version 3.0; gives what LeRobot does not know.

    Raises DataError where the store has no control rate, or the rate or a value cannot be written.
    """
    return write_folder(store, out, progress)


FORMAT = Format("lerobot", "LeRobot dataset", looks_like_lerobot, read_lerobot, write_lerobot)
