"""Demonstrations in robomimic's HDF5 layout, read episode by episode.

    data            attrs: env_args (JSON: env_name, type, env_kwargs), total
    data/demo_7     attrs: num_samples, model_file
        actions (T, Da)   obs/<key> (T, …)   next_obs/<key>   rewards (T,)   dones (T,)   states (T, Ds)
        action_dict/<key> (since 0.3)   action_modes, interventions (T,)   datagen_info/… (MimicGen)
    mask/<filter key>     names of the demonstrations that belong to this subset

https://robomimic.github.io/docs/datasets/overview.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.formats.hdf5_demos import DemoFile
from imitate.datasets.formats.hdf5_files import (
    attributes_of,
    damage_told,
    holds_hdf5,
    is_numbers,
    json_of,
    layout_of,
    leaves,
    number_in,
    one_line,
    opened,
    read_numbers,
    read_steps,
    read_texts,
    spec_of,
)
from imitate.datasets.formats.minari import is_minari
from imitate.datasets.formats.robomimic_writing import OURS, write_robomimic
from imitate.datasets.formats.robosuite import is_raw_recording
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

READ = {"actions", "obs", "rewards", "dones"}
# Attributes that say how many steps there are, hold the scene as XML of a hundred kilobytes per episode, or
# are what we wrote ourselves.
SKIPPED_ATTRIBUTES = {"num_samples", "model_file", OURS}


@dataclass(frozen=True)
class RobomimicFile(DemoFile):
    """filters: {demonstration: its filter keys}."""

    filters: Mapping[str, list[str]] = field(default_factory=dict)

    def episode(self, demo: Any, name: str) -> Episode:
        """See DemoFile."""
        return _as_written(_episode(demo, name, self), demo)


def is_robomimic(path: Path) -> bool:
    """Whether this is an HDF5 file that no other format of this family recognises."""
    return holds_hdf5(path) and not is_raw_recording(path) and not is_minari(path)


def read_robomimic(path: Path, options: ReadOptions) -> RobomimicFile:
    """Look at the file and check that it can be imported.

    Raises DataError where it is damaged, holds no demonstrations, or no observations.
    """
    with opened(path) as file, damage_told(str(path)):
        data = file.get("data")
        if not isinstance(data, h5py.Group) or not len(data):
            raise DataError(f"{path} holds no data/demo_…, so it is no robomimic file; found {sorted(file)}")
        demos = tuple(sorted(data, key=number_in))
        first = data[demos[0]]
        _require_observations(first, path)
        env_args = _env_args(data, path)
        ours = json_of(data.attrs, OURS)
        filters = _filter_keys(file)
        return RobomimicFile(
            path=path,
            spec=DataSpec.from_json(ours["spec"]) if "spec" in ours else _spec(first, env_args),
            source=ours.get("source", f"robomimic {env_args.get('env_name', 'unknown')}, {path.name}"),
            metadata=ours.get("metadata", _about(data, env_args)),
            demos=demos,
            left_out=tuple(_left_out(file, demos, filters)),
            filters=filters,
        )


def _require_observations(demo: Any, path: Path) -> None:
    if not isinstance(demo.get("actions"), h5py.Dataset):
        raise DataError(f"{path}: {demo.name[1:]}/actions is missing; found {sorted(demo)}")
    if not isinstance(demo.get("obs"), h5py.Group) or not _observations(demo):
        raise DataError(f"{path}: {demo.name[1:]}/obs is missing; found {sorted(demo)}")


def _observations(demo: Any) -> dict[str, h5py.Dataset]:
    return {name: array for name, array in leaves(demo["obs"]).items() if is_numbers(array)}


def _env_args(data: Any, path: Path) -> dict[str, Any]:
    try:
        return json_of(data.attrs, "env_args")
    except ValueError as error:
        raise DataError(
            f"{path}: attribute env_args of data is not JSON ({one_line(error)}); write it again"
        ) from error


def _about(data: Any, env_args: dict[str, Any]) -> dict[str, Any]:
    """All that is said of the demonstrations together."""
    others = attributes_of(data, {"env_args", "total", OURS})
    return {**({"env_args": env_args} if env_args else {}), **({"attributes": others} if others else {})}


def _task(demo: Any) -> dict[str, str]:
    """What was to be done, in words, as RoboCasa (ep_meta) and LIBERO (problem_info) tell it."""
    for attributes, name, key in (
        (demo.attrs, "ep_meta", "lang"),
        (demo.parent.attrs, "problem_info", "language_instruction"),
    ):
        try:
            text = json_of(attributes, name).get(key)
        except ValueError:  # not JSON: kept as an attribute, told by nobody
            continue
        if isinstance(text, str) and text:
            return {"task": text}
    return {}


def _spec(first: Any, env_args: dict[str, Any]) -> DataSpec:
    kwargs = env_args.get("env_kwargs")
    rate_hz = kwargs.get("control_freq") if isinstance(kwargs, dict) else None
    return DataSpec(
        {key: spec_of(array) for key, array in _observations(first).items()},
        spec_of(first["actions"]),
        float(rate_hz) if isinstance(rate_hz, int | float) and rate_hz > 0 else None,
    )


def _episode(demo: Any, name: str, file: RobomimicFile) -> Episode:
    found = _observations(demo)
    if set(found) != set(file.spec.obs):
        raise SpecError(
            f"observations are {sorted(found)}, expected {sorted(file.spec.obs)} as in the first one"
        )
    action = read_steps(demo["actions"])
    declared = demo.attrs.get("num_samples", len(action))
    if declared != len(action):
        raise SpecError(f"num_samples is {declared}, but actions has {len(action)} rows")
    arrays = {key: read_steps(found[key]) for key in file.spec.obs}
    for key, array in {**arrays, "actions": action}.items():
        expected = file.spec.action if key == "actions" else file.spec.obs[key]
        if array.shape[1:] != expected.shape:
            raise SpecError(
                f"{key!r} is {array.shape[1:]} per step, expected {expected.shape} as in the first one"
            )
    filters = file.filters.get(name, [])
    return Episode(
        id=name,
        obs=arrays,
        action=action,
        success=_success(demo),
        source=file.source,
        rate_hz=file.spec.rate_hz,
        metadata={
            **attributes_of(demo, SKIPPED_ATTRIBUTES),
            **({"filter_keys": filters} if filters else {}),
            **_task(demo),
        },
    )


def _as_written(episode: Episode, demo: Any) -> Episode:
    """The episode with what we said of it when we wrote it."""
    ours = json_of(demo.attrs, OURS)
    known = (
        {key: ours[key] for key in ("id", "success", "source", "operator", "rate_hz", "metadata")}
        if ours
        else {}
    )
    return replace(episode, **known)


def _success(demo: Any) -> bool | None:
    """Whether the task was reached: any reward where rewards are sparse, else a done before the last step.

    robomimic marks success, the end of a trajectory, or both as done, so a done at the very end says nothing.
    """
    levels = np.unique(read_numbers(demo["rewards"])) if "rewards" in demo else np.array([])
    if len(levels) in (1, 2) and levels[0] >= 0.0 and (len(levels) == 1 or levels[0] == 0.0):
        return bool(levels[-1] > 0.0)
    if "dones" in demo and (dones := read_numbers(demo["dones"]).astype(bool)).size:
        return True if dones[:-1].any() else (None if dones[-1] else False)
    return None


def _filter_keys(file: Any) -> dict[str, list[str]]:
    """{demonstration: its filter keys}, in alphabetical order."""
    found: dict[str, list[str]] = {}
    masks = leaves(file["mask"]) if isinstance(file.get("mask"), h5py.Group) else {}
    for key, names in sorted(masks.items()):
        for name in read_texts(names):
            found.setdefault(name, []).append(key)
    return found


def _left_out(file: Any, demos: tuple[str, ...], filters: Mapping[str, list[str]]) -> list[str]:
    said = []
    for name in sorted({item for demo in demos for item in file["data"][demo]} - READ):
        held = sum(name in file["data"][demo] for demo in demos)
        said.append(f"data/demo_…/{name} of {held} episodes")
    if any("rewards" in file["data"][demo] or "dones" in file["data"][demo] for demo in demos):
        said.append("rewards and dones, except for the success they tell")
    held = sum("model_file" in file["data"][demo].attrs for demo in demos)
    if held:
        said.append(f"the scene's XML (model_file) of {held} episodes")
    for name, array in leaves(file["data"][demos[0]]["obs"]).items():
        if not is_numbers(array):
            said.append(f"obs/{name}, which holds no numbers")
        elif (layout := layout_of(array)) and layout.said:
            said.append(f"the images of obs/{name} as stored: {layout.said}")
    if absent := sorted(set(filters) - set(demos)):
        said.append(f"filter keys of demonstrations that are not in the file: {', '.join(absent[:5])}")
    return said


FORMAT = Format("robomimic", "robomimic HDF5", is_robomimic, read_robomimic, write_robomimic)
