"""Small LeRobot datasets, written by hand as their documentation describes, with known numbers and pictures.

Episode e has LENGTHS[e] steps; step s of it has state (e, s), action (s, -e), a camera whose frames are of
one grey level each, and a second camera in PNG images.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LENGTHS = (5, 8, 4)
FPS = 10
TASKS = ("lift the cube", "put it back")
TASK_OF = (0, 0, 1)
SUCCESS_OF = (True, False, True)
TOP, HAND = "observation.images.top", "observation.images.hand"
TOP_SIZE, HAND_SIZE = (64, 96), (5, 7)
Info = dict[str, Any]
Rows = dict[str, Any]


def grey(episode: int, step: int) -> int:
    """The level of a frame of the camera "top"."""
    return 10 + 12 * (sum(LENGTHS[:episode]) + step)


def hand(episode: int, step: int) -> np.ndarray:
    """A picture of the camera "hand"."""
    rng = np.random.default_rng(100 * episode + step)
    return rng.integers(0, 256, (*HAND_SIZE, 3), np.uint8)


def rows_of(episode: int) -> Rows:
    steps = np.arange(LENGTHS[episode])
    pictures = []
    for step in steps:
        file = io.BytesIO()
        Image.fromarray(hand(episode, step)).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": None})
    last = steps == len(steps) - 1
    return {
        "observation.state": np.stack([np.full_like(steps, episode), steps], 1).astype(np.float32),
        "action": np.stack([steps, np.full_like(steps, -episode)], 1).astype(np.float32),
        HAND: pictures,
        "next.reward": last.astype(np.float32),
        "next.done": last,
        "next.success": last & SUCCESS_OF[episode],
        "timestamp": (steps / FPS).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full_like(steps, episode),
        "index": steps + sum(LENGTHS[:episode]),
        "task_index": np.full_like(steps, TASK_OF[episode]),
    }


def info_of(version: str) -> Info:
    def feature(dtype: str, shape: tuple[int, ...], names: Any = None) -> Info:
        return {"dtype": dtype, "shape": list(shape), "names": names}

    numbers = {"next.reward": "float32", "next.done": "bool", "next.success": "bool", "timestamp": "float32"}
    indices = dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")
    paths = {
        "v2.1": {
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        },
        "v3.0": {
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        },
    }
    return {
        "codebase_version": version,
        "robot_type": "pointer",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(TASKS),
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": "0:3"},
        **paths[version],
        "features": {
            "observation.state": feature("float32", (2,), {"axes": ["x", "y"]}),
            "action": feature("float32", (2,), ["x", "y"]),
            TOP: feature("video", (*TOP_SIZE, 3), ["height", "width", "channels"]),
            HAND: feature("image", (*HAND_SIZE, 3), ["height", "width", "channels"]),
            **{key: feature(dtype, (1,)) for key, dtype in (numbers | indices).items()},
        },
    }


def write_v21(folder: Path, change: Callable[[Info], None] = lambda info: None) -> Path:
    """Version 2.1: a parquet file and a video per episode."""
    info = info_of("v2.1")
    for episode, length in enumerate(LENGTHS):
        write_rows(folder / f"data/chunk-000/episode_{episode:06d}.parquet", [rows_of(episode)])
        frames = [grey(episode, step) for step in range(length)]
        write_video(folder / f"videos/chunk-000/{TOP}/episode_{episode:06d}.mp4", frames)
    write_lines(
        folder / "meta/episodes.jsonl",
        [
            {"episode_index": episode, "tasks": [TASKS[TASK_OF[episode]]], "length": length}
            for episode, length in enumerate(LENGTHS)
        ],
    )
    write_lines(
        folder / "meta/tasks.jsonl",
        [{"task_index": number, "task": task} for number, task in enumerate(TASKS)],
    )
    return write_info(folder, info, change)


def write_v3(
    folder: Path, change: Callable[[Info], None] = lambda info: None, codec: str = "libx264"
) -> Path:
    """Version 3.0: episodes 0 and 1 share a parquet file, all share a video."""
    info = info_of("v3.0")
    for file, episodes in enumerate(((0, 1), (2,))):
        write_rows(folder / f"data/chunk-000/file-{file:03d}.parquet", [rows_of(e) for e in episodes])
    frames = [grey(episode, step) for episode, length in enumerate(LENGTHS) for step in range(length)]
    write_video(folder / f"videos/{TOP}/chunk-000/file-000.mp4", frames, codec)
    ends = np.cumsum(LENGTHS)
    write_table(
        folder / "meta/episodes/chunk-000/file-000.parquet",
        {
            "episode_index": list(range(len(LENGTHS))),
            "tasks": [[TASKS[number]] for number in TASK_OF],
            "length": list(LENGTHS),
            "data/chunk_index": [0, 0, 0],
            "data/file_index": [0, 0, 1],
            "dataset_from_index": (ends - LENGTHS).tolist(),
            "dataset_to_index": ends.tolist(),
            f"videos/{TOP}/chunk_index": [0, 0, 0],
            f"videos/{TOP}/file_index": [0, 0, 0],
            f"videos/{TOP}/from_timestamp": ((ends - LENGTHS) / FPS).tolist(),
            f"videos/{TOP}/to_timestamp": (ends / FPS).tolist(),
        },
    )
    write_table(folder / "meta/tasks.parquet", {"task_index": [0, 1], "__index_level_0__": list(TASKS)})
    return write_info(folder, info, change)


def lerobot_sample(folder: Path) -> Path:
    """Version 3.0, in `folder`."""
    return write_v3(folder / "lerobot")


def write_info(folder: Path, info: Info, change: Callable[[Info], None] = lambda info: None) -> Path:
    change(info)
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder


def write_rows(path: Path, episodes: list[Rows]) -> None:
    """A row group per episode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = [pa.table({key: _column(values) for key, values in rows.items()}) for rows in episodes]
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def png_header(height: int, width: int) -> bytes:
    """The beginning of a PNG file that says how large its picture is, without the picture."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rest = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (chunk, rest)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def write_lines(path: Path, rows: list[Info]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_video(path: Path, levels: list[int], codec: str = "libx264", fps: int = FPS) -> None:
    """Frames of TOP_SIZE, each of one grey level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, fps, options={"g": "2"})
        stream.height, stream.width = TOP_SIZE
        stream.pix_fmt = "yuv420p"
        for level in levels:
            image = np.full((*TOP_SIZE, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _column(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(values.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array(values)
