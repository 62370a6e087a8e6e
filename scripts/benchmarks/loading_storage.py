"""What every way to store a camera's frames costs: bytes, likeness, encoding, reading one frame at random."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from loading_episodes import drawn_frames, video_frames
from loading_limits import timed
from numcodecs import Blosc
from numcodecs.zstd import Zstd

from imitate.datasets.opening import open_store
from imitate.envs.tabletop.pick_place import PickPlaceConfig

FRAMES = 48
Encode = Callable[[np.ndarray], Any]
"""(n, H, W, 3) -> whatever `read` of one frame needs."""

FULL_COLOUR = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


def sources(video: Path | None, pusht: Path | None) -> dict[str, np.ndarray]:
    """{name: frames (n, H, W, 3)}; what is not there is left out."""
    found = {f"drawn, noisy {side}": take(drawn_frames(side)) for side in (96, 224)}
    found |= {f"tabletop {side}": rendered(side) for side in (96, 224)}
    if video:
        found |= {f"video {side}": take(video_frames(video, side)) for side in (96, 224)}
    if pusht:
        found["Push-T 96"] = open_store(pusht).array("img")[:FRAMES]
    return found


def take(frames: Any) -> np.ndarray:
    return np.stack([next(frames) for _ in range(FRAMES)])


def rendered(side: int) -> np.ndarray:
    env = PickPlaceConfig(cameras=("front", "wrist"), image_size=(side, side)).build()
    try:
        obs, _ = env.reset(seed=0)
        frames = []
        for step in range(FRAMES // 2):
            frames += [obs["front"], obs["wrist"]]
            obs = env.step(0.3 * np.sin(step / 5 + np.arange(env.action_space.shape[0])))[0]
    finally:
        env.close()
    return np.stack(frames)


class PerFrame:
    """Every frame by itself."""

    def __init__(self, encode: Callable[[np.ndarray], bytes], decode: Callable[[bytes], np.ndarray]) -> None:
        self.encode_one, self.decode_one = encode, decode

    def encode(self, frames: np.ndarray) -> list[bytes]:
        return [self.encode_one(frame) for frame in frames]

    def size(self, files: Sequence[bytes]) -> int:
        return sum(map(len, files))

    def read(self, files: Sequence[bytes], index: int) -> np.ndarray:
        return self.decode_one(files[index])


class Chunked:
    """Raw chunks of half a MiB under Blosc: one frame costs its chunk."""

    codec = Blosc("zstd", 3, Blosc.BITSHUFFLE)

    def encode(self, frames: np.ndarray) -> tuple[list[bytes], int, tuple[int, ...]]:
        rows = max(1, 2**19 // frames[0].nbytes)
        cuts = range(0, len(frames), rows)
        return (
            [self.codec.encode(np.ascontiguousarray(frames[i : i + rows])) for i in cuts],
            rows,
            frames.shape[1:],
        )

    def size(self, stored: Any) -> int:
        return sum(map(len, stored[0]))

    def read(self, stored: Any, index: int) -> np.ndarray:
        chunks, rows, shape = stored
        return np.frombuffer(self.codec.decode(chunks[index // rows]), np.uint8).reshape(-1, *shape)[
            index % rows
        ]


class Video:
    """H.264 with a key frame every `group` frames: one frame costs those from its key frame on."""

    def __init__(self, group: int) -> None:
        self.group = group

    def encode(self, frames: np.ndarray) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"g": str(self.group), "crf": "18", "preset": "medium", "bf": "0"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return file.getvalue()

    def size(self, file: bytes) -> int:
        return len(file)

    def read(self, file: bytes, index: int) -> np.ndarray:
        with av.open(io.BytesIO(file)) as container:
            stream = container.streams.video[0]
            ticks = int(index / 30 / stream.time_base)
            container.seek(ticks, stream=stream)
            for frame in container.decode(stream):
                if frame.pts >= ticks - 1:
                    return frame.to_ndarray(format="rgb24")
        raise AssertionError(f"frame {index} is not there")


def picture(suffix: str, settings: list[int]) -> PerFrame:
    return PerFrame(
        lambda frame: cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)[1].tobytes(),
        lambda file: cv2.cvtColor(
            cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
        ),
    )


def ways(frame: np.ndarray) -> dict[str, Any]:
    zstd = Zstd(1)
    return {
        "Blosc, chunks of 512 KiB": Chunked(),
        "zstd per frame": PerFrame(
            lambda one: zstd.encode(np.ascontiguousarray(one)),
            lambda file: np.frombuffer(zstd.decode(file), np.uint8).reshape(frame.shape),
        ),
        "PNG": picture(".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
        "WebP lossless": picture(".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "JPEG 95, 4:4:4": picture(".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95, *FULL_COLOUR]),
        "JPEG 95, 4:2:0": picture(".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        "JPEG 90, 4:4:4": picture(".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90, *FULL_COLOUR]),
        "JPEG 90, 4:2:0": picture(".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
        "WebP 90": picture(".webp", [cv2.IMWRITE_WEBP_QUALITY, 90]),
        "H.264, g 1": Video(1),
        "H.264, g 2": Video(2),
        "H.264, g 8": Video(8),
    }


def measure(frames: np.ndarray) -> dict[str, dict[str, float]]:
    """{way: share of raw bytes, PSNR in dB (inf: exact), ms to encode and to read one frame at random}."""
    order = np.random.default_rng(0).permutation(len(frames))[:24]
    found = {}
    for name, way in ways(frames[0]).items():
        stored = way.encode(frames)
        error = np.mean([(way.read(stored, i).astype(np.float32) - frames[i]) ** 2 for i in order])
        read_s = timed(lambda way=way, stored=stored: [way.read(stored, i) for i in order])
        encode_s = timed(lambda way=way: way.encode(frames[:8]))
        found[name] = {
            "share": way.size(stored) / frames.nbytes,
            "psnr": float(10 * np.log10(255**2 / error)) if error else float("inf"),
            "encode_ms": 1e3 * encode_s / 8,
            "read_ms": 1e3 * read_s / len(order),
        }
    return found
