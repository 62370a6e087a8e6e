"""Demonstrations in robomimic's HDF5 layout, read episode by episode.

    data            attrs: env_args (JSON: env_name, type, env_kwargs), total
    data/demo_7     attrs: num_samples, model_file
        actions (T, Da)   obs/<key> (T, …)   next_obs/<key>   rewards (T,)   dones (T,)   states (T, Ds)
    mask/<filter key>     names of the demonstrations that belong to this subset

https://robomimic.github.io/docs/datasets/overview.html
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.opening import is_hdf5
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

READ = {"actions", "obs", "rewards", "dones"}
# Attributes that say how many steps there are, or hold the scene as XML of a hundred kilobytes per episode.
SKIPPED_ATTRIBUTES = {"num_samples", "model_file"}


@dataclass(frozen=True)
class RobomimicFile:
    """What a file holds; `left_out` says in words what `episodes` does not deliver."""

    path: Path
    spec: DataSpec
    source: str
    metadata: dict[str, Any]
    demos: tuple[str, ...]
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.demos)

    def episodes(self) -> Iterator[Episode]:
        """All demonstrations by number; raises DataError naming the one that is damaged or different."""
        with _opened(self.path) as file:
            filters = _filter_keys(file)
            for name in self.demos:
                try:
                    yield _episode(file["data"][name], name, self, filters.get(name, []))
                except (OSError, KeyError, SpecError, TypeError) as error:
                    raise DataError(f"{self.path}: data/{name} is damaged or incomplete: {error}") from error


def read_robomimic(path: Path, options: ReadOptions) -> RobomimicFile:
    """Look at the file and check that it can be imported.

    Raises DataError where it is damaged, holds no demonstrations, or no observations.
    """
    with _opened(path) as file:
        if not isinstance(file.get("data"), h5py.Group) or not len(file["data"]):
            raise DataError(f"{path} holds no data/demo_…, so it is no robomimic file; found {sorted(file)}")
        demos = tuple(sorted(file["data"], key=_number))
        first = file["data"][demos[0]]
        _require_observations(first, path)
        env_args = _env_args(file["data"], path)
        rate_hz = env_args.get("env_kwargs", {}).get("control_freq")
        spec = DataSpec(
            {key: _spec_of(array) for key, array in _arrays(first["obs"]).items()},
            _spec_of(first["actions"]),
            float(rate_hz) if rate_hz else None,
        )
        name = env_args.get("env_name", "unknown environment")
        return RobomimicFile(
            path=path,
            spec=spec,
            source=f"robomimic {name}, {path.name}",
            metadata={"env_args": env_args} if env_args else {},
            demos=demos,
            left_out=tuple(_left_out(file, demos)),
        )


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: is a truncated or damaged HDF5 file ({error}); copy it again") from error


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"(\d+)$", name)
    return (int(digits[1]) if digits else -1, name)


def _require_observations(demo: Any, path: Path) -> None:
    if "actions" not in demo:
        raise DataError(f"{path}: {demo.name[1:]}/actions is missing; found {sorted(demo)}")
    if "obs" in demo and _arrays(demo["obs"]):
        return
    if "states" in demo:
        raise DataError(
            f"{path} is a raw robosuite recording: actions and simulator states, but no observations. "
            f"Extract them with robomimic:  python -m robomimic.scripts.conversion.convert_robosuite "
            f"--dataset {path}  and  python -m robomimic.scripts.dataset_states_to_obs --dataset {path} "
            f"--output_name low_dim.hdf5 --done_mode 2  then import low_dim.hdf5"
        )
    raise DataError(f"{path}: {demo.name[1:]}/obs is missing; found {sorted(demo)}")


def _env_args(data: Any, path: Path) -> dict[str, Any]:
    try:
        env_args = json.loads(data.attrs.get("env_args", "{}"))
    except ValueError as error:
        raise DataError(f"{path}: attribute env_args of data is not JSON ({error})") from error
    return env_args if isinstance(env_args, dict) else {}


def _arrays(group: Any) -> dict[str, Any]:
    return {key: item for key, item in group.items() if isinstance(item, h5py.Dataset)}


def _spec_of(array: Any) -> ArraySpec:
    return ArraySpec(tuple(array.shape[1:]) or (1,), array.dtype.newbyteorder("=").name)


def _episode(demo: Any, name: str, file: RobomimicFile, filters: list[str]) -> Episode:
    found = _arrays(demo["obs"])
    if set(found) != set(file.spec.obs):
        raise SpecError(
            f"observations are {sorted(found)}, expected {sorted(file.spec.obs)} as in the first one"
        )
    action = _rows(demo["actions"])
    declared = demo.attrs.get("num_samples", len(action))
    if declared != len(action):
        raise SpecError(f"num_samples is {declared}, but actions has {len(action)} rows")
    arrays = {key: _rows(found[key]) for key in file.spec.obs}
    for key, array in {**arrays, "actions": action}.items():
        expected = file.spec.action if key == "actions" else file.spec.obs[key]
        if array.shape[1:] != expected.shape:
            raise SpecError(
                f"{key!r} is {array.shape[1:]} per step, expected {expected.shape} as in the first one"
            )
    attributes = {k: _plain(v) for k, v in demo.attrs.items() if k not in SKIPPED_ATTRIBUTES}
    return Episode(
        id=name,
        obs=arrays,
        action=action,
        success=_success(demo),
        source=file.source,
        rate_hz=file.spec.rate_hz,
        metadata={**attributes, **({"filter_keys": filters} if filters else {})},
    )


def _rows(array: Any) -> np.ndarray:
    values = np.asarray(array[()])
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return values[:, None] if values.ndim == 1 else values


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _success(demo: Any) -> bool | None:
    """Whether the task was reached: any reward where rewards are sparse, else a done before the last step.

    robomimic marks success, the end of a trajectory, or both as done, so a done at the very end says nothing.
    """
    if "rewards" in demo:
        levels = np.unique(demo["rewards"][()])
        if len(levels) <= 2 and levels[0] >= 0.0 and (len(levels) == 1 or levels[0] == 0.0):
            return bool(levels[-1] > 0.0)
    if "dones" in demo and (dones := np.asarray(demo["dones"][()]).astype(bool)).size:
        return True if dones[:-1].any() else (None if dones[-1] else False)
    return None


def _filter_keys(file: Any) -> dict[str, list[str]]:
    """{demonstration: its filter keys}, in alphabetical order."""
    found: dict[str, list[str]] = {}
    for key, names in sorted(_arrays(file["mask"]).items() if "mask" in file else []):
        for name in names[()]:
            found.setdefault(name.decode() if isinstance(name, bytes) else str(name), []).append(key)
    return found


def _left_out(file: Any, demos: tuple[str, ...]) -> list[str]:
    said = []
    for name in sorted({item for demo in demos for item in file["data"][demo]} - READ):
        held = sum(name in file["data"][demo] for demo in demos)
        said.append(f"data/demo_…/{name} of {held} episodes")
    if any("rewards" in file["data"][demo] or "dones" in file["data"][demo] for demo in demos):
        said.append("rewards and dones, except for the success they tell")
    held = sum("model_file" in file["data"][demo].attrs for demo in demos)
    if held:
        said.append(f"the scene's XML (model_file) of {held} episodes")
    absent = sorted(set(_filter_keys(file)) - set(demos))
    if absent:
        said.append(f"filter keys of demonstrations that are not in the file: {', '.join(absent[:5])}")
    return said


FORMAT = Format("robomimic", "robomimic HDF5", lambda path: path.is_file() and is_hdf5(path), read_robomimic)
