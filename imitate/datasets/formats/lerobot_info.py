"""What meta/info.json of a LeRobot dataset says: its features, its rate, and where its files are."""

import json
import math
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from imitate.errors import DataError
from imitate.types import ArraySpec

INFO = "meta/info.json"
CAMERA_DTYPES = ("video", "image")
MAX_RATE_HZ = 1e6
# No camera has more; a declared image must not be the reason for allocating gigabytes per frame.
MAX_PIXELS = 1 << 26
# Of file systems: names of 255 bytes.
LONGEST_PATH = 255
_NUMBER = re.compile(r"0?\d{0,2}d?")
_NUMERIC = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")


@dataclass(frozen=True)
class Feature:
    """One feature: its `key` in the files, `dtype` ("video", "image", "string" or a type of numpy).

    spec is that of one step, images as (H, W, 3), and None where the feature cannot be an array; `problem`
    then says why.
    """

    key: str
    dtype: str
    spec: ArraySpec | None
    problem: str = ""

    @property
    def is_camera(self) -> bool:
        """Whether its steps are pictures, in videos or in the parquet files."""
        return self.dtype in CAMERA_DTYPES


@dataclass(frozen=True)
class Info:
    """meta/info.json, checked. `notes` says in words what of it could not be understood."""

    root: Path
    version: tuple[int, int]
    fps: float
    features: Mapping[str, Feature]
    data_path: str
    video_path: str
    chunks_size: int
    total_episodes: int
    total_frames: int
    robot_type: str
    splits: Mapping[str, str]
    notes: tuple[str, ...]

    def data_file(self, **numbers: int) -> Path:
        """The parquet file of these numbers; raises DataError for a template that leads elsewhere."""
        return fill_template(self.root, self.data_path, numbers)

    def video_file(self, key: str, **numbers: int) -> Path:
        """The MP4 file of the camera `key`; raises DataError for a template that leads elsewhere."""
        return fill_template(self.root, self.video_path, {"video_key": key, **numbers})


def find_root(path: Path) -> Path | None:
    """The folder `path` where it is a dataset, or the only dataset directly in it."""
    if not path.is_dir():
        return None
    if (path / INFO).is_file():
        return path
    inside = [child for child in path.iterdir() if (child / INFO).is_file()]
    return inside[0] if len(inside) == 1 else None


def looks_like_lerobot(path: Path) -> bool:
    """Whether a meta/info.json names LeRobot's codebase_version, or is damaged."""
    try:
        root = find_root(path)
        found = _read_json(root / INFO) if root else None
    except DataError:
        return True
    except OSError:
        return False
    return isinstance(found, dict) and "codebase_version" in found


def read_info(root: Path) -> Info:
    """Read and check meta/info.json; raises DataError naming the entry that is wrong."""
    path = root / INFO
    found = _read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path} is not a JSON object; copy the dataset again")
    version = _version(found.get("codebase_version"), path)
    features, notes = _features(found.get("features"), path)
    return Info(
        root=root,
        version=version,
        fps=_rate(found.get("fps"), path),
        features=features,
        data_path=_text(found, "data_path", path),
        video_path=_text(found, "video_path", path) if found.get("video_path") is not None else "",
        chunks_size=_whole(found, "chunks_size", path, default=1000, least=1),
        total_episodes=_whole(found, "total_episodes", path),
        total_frames=_whole(found, "total_frames", path),
        robot_type=str(found.get("robot_type") or ""),
        splits=_splits(found.get("splits")),
        notes=notes,
    )


def fill_template(root: Path, template: str, values: Mapping[str, str | int]) -> Path:
    """`template` with its {fields} filled, below `root`.

    Only plain fields and widths of at most two digits are taken: str.format would also follow attributes
    and pad to any length. Raises DataError for another template, or one that leads out of `root`.
    """
    try:
        parts = [_part(*part, values) for part in string.Formatter().parse(template)]
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{root / INFO}: path template {template!r} cannot be filled ({error}); "
            f"known fields: {', '.join(sorted(values))}"
        ) from error
    relative = PurePosixPath("".join(parts))
    text = str(relative)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or set(text) & set("\0\\:"):
        raise DataError(f"{root / INFO}: path template {template!r} leads out of the folder; refused")
    if len(text.encode()) > LONGEST_PATH:
        raise DataError(f"{root / INFO}: path template {template[:50]!r}… is too long; refused")
    return root / relative


def _part(
    literal: str, field: str | None, width: str | None, conversion: str | None, values: Mapping[str, Any]
) -> str:
    if field is None:
        return literal
    value = values[field]
    if conversion or not _NUMBER.fullmatch(width or ""):
        raise ValueError(f"format {conversion or width!r}")
    return literal + (format(value, width or "") if isinstance(value, int) else value)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}); copy the dataset again") from error


def _version(value: Any, path: Path) -> tuple[int, int]:
    matched = re.fullmatch(r"v?(\d{1,3})\.(\d{1,3})(\.\d{1,3})?", value) if isinstance(value, str) else None
    if matched and 2 <= int(matched[1]) <= 3:
        return int(matched[1]), int(matched[2])
    raise DataError(
        f"{path}: codebase_version is {value!r}, expected v2.0, v2.1 or v3.0; convert older sets with LeRobot"
    )


def _rate(value: Any, path: Path) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_RATE_HZ
    if not good:
        raise DataError(f"{path}: fps is {value!r}, expected frames per second")
    return float(value)


def _text(found: Mapping[str, Any], key: str, path: Path) -> str:
    if not isinstance(found.get(key), str):
        raise DataError(f"{path}: {key} is {found.get(key)!r}, expected a path template")
    return str(found[key])


def _whole(found: Mapping[str, Any], key: str, path: Path, default: int | None = None, least: int = 0) -> int:
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DataError(f"{path}: {key} is {value!r}, expected a whole number of at least {least}")
    return value


def _splits(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}


def _features(value: Any, path: Path) -> tuple[dict[str, Feature], tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise DataError(f"{path}: features is missing, expected {{name: dtype, shape, names}}")
    features, notes = {}, []
    for key, described in value.items():
        if not isinstance(described, dict) or not isinstance(described.get("dtype"), str):
            raise DataError(f"{path}: feature {key!r} is {described!r}, expected dtype and shape")
        shape = _shape(key, described.get("shape"), path)
        features[key], note = _feature(key, described, shape)
        notes += [note] if note else []
    return features, tuple(notes)


def _shape(key: str, value: Any, path: Path) -> tuple[int, ...]:
    good = isinstance(value, list) and all(isinstance(n, int) and n > 0 for n in value) and len(value) <= 8
    if not good:
        raise DataError(f"{path}: shape of feature {key!r} is {value!r}, expected whole numbers above 0")
    return tuple(value) or (1,)


def _feature(key: str, described: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Feature, str]:
    """The feature, and what could not be understood of it."""
    dtype = described["dtype"]
    if dtype in CAMERA_DTYPES:
        return _camera(key, dtype, described, shape), ""
    if not _NUMERIC.fullmatch(dtype):
        return Feature(key, dtype, None, f"its dtype is {dtype}"), ""
    names = flat_names(described.get("names"))
    fits = len(names) == math.prod(shape)
    note = (
        f"names of the elements of {key!r}: {len(names)} for {math.prod(shape)}" if names and not fits else ""
    )
    return Feature(key, dtype, ArraySpec(shape, dtype, names if fits else ())), note


def _camera(key: str, dtype: str, described: Mapping[str, Any], shape: tuple[int, ...]) -> Feature:
    details = {**_mapping(described, "video_info"), **_mapping(described, "info")}
    names = [str(name) for name in flat_names(described.get("names"))]
    channels_first = len(shape) == 3 and (
        names[0].startswith("channel") if len(names) == 3 else shape[0] == 3 and shape[2] != 3
    )
    size = (*shape[1:], shape[0]) if channels_first else shape
    if len(size) != 3 or size[2] != 3 or details.get("video.is_depth_map"):
        return Feature(key, dtype, None, f"it is no colour camera (shape {list(shape)})")
    if size[0] * size[1] > MAX_PIXELS:
        return Feature(key, dtype, None, f"its images of {size[0]}×{size[1]} are too large")
    return Feature(key, dtype, ArraySpec(size, "uint8"))


def _mapping(described: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = described.get(key)
    return value if isinstance(value, dict) else {}


def flat_names(value: Any) -> tuple[str, ...]:
    """Element names, however they were written: a list, lists of lists, {"motors": […]}, {name: index}."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(name for item in value for name in flat_names(item))
    if isinstance(value, dict) and all(isinstance(index, int) for index in value.values()):
        return tuple(sorted(value, key=value.__getitem__))
    if isinstance(value, dict):
        return tuple(name for item in value.values() for name in flat_names(item))
    return ()
