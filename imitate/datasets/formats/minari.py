"""Minari data sets in HDF5, all versions: the data set's folder, or its main_data.hdf5.

    data/metadata.json      spaces, environment, authors (attributes of the HDF5 file before 0.5)
    data/main_data.hdf5
        episode_7           attrs: id, seed, options/…, total_steps
            observations (T + 1, …)   actions (T, …)   rewards, terminations, truncations (T,)   infos/<key>

Dict and Tuple spaces are groups; a Tuple's parts are named _index_0, _index_1, … Since 0.5.4 images are JPEG
files, one per row. https://minari.farama.org/main/content/dataset_standards/
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
    DAMAGE,
    attributes_of,
    damage_told,
    holds_hdf5,
    leaves,
    number_in,
    opened,
    read_numbers,
)
from imitate.datasets.formats.minari_folder import MAIN, describe, is_folder, main_file
from imitate.datasets.formats.minari_steps import Part, parts_of, read_actions, read_part
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

OBSERVATION, ACTION = "observation", "action"
SUCCESS = ("success", "is_success")


@dataclass(frozen=True)
class MinariFile(DemoFile):
    """A data set, with the parts of its observations and actions that are read, or told of."""

    GROUP = ""
    observations: tuple[Part, ...] = field(repr=False)
    actions: tuple[Part, ...] = field(repr=False)

    def episode(self, demo: Any, name: str) -> Episode:
        """The episode in the group `demo`; raises SpecError where it differs from the first one."""
        action = read_actions(demo, self.actions)
        steps = len(action)
        declared = demo.attrs.get("total_steps", steps)
        if declared != steps:
            raise SpecError(f"total_steps is {declared}, but actions has {steps} rows")
        limit = self.path.stat().st_size
        obs = {part.name: read_part(demo, part, steps, limit) for part in self.observations if part.is_read}
        return Episode(
            id=name,
            obs=obs,
            action=action,
            success=_success(demo),
            source=self.source,
            metadata=attributes_of(demo, {"total_steps", "id"}),
        )


def is_minari(path: Path) -> bool:
    """Whether this is a Minari data set or its HDF5 file; never an error."""
    if path.is_dir():
        return is_folder(path)
    if not holds_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            first = next((file[name] for name in file if _is_episode(name)), None)
            return isinstance(first, h5py.Group) and {"observations", "actions"} <= set(first)
    except DAMAGE:
        return False


def read_minari(path: Path, options: ReadOptions) -> MinariFile:
    """Look at the files and check that they can be imported; raises DataError where they are damaged."""
    main = main_file(path)
    with opened(main) as file, damage_told(str(main)):
        names = tuple(sorted((name for name in file if _is_episode(name)), key=number_in))
        if not names:
            raise DataError(f"{main} holds no episode_…; found {sorted(file)[:5]}")
        about, spaces = describe(main, attributes_of(file))
        observations = parts_of(file[names[0]], "observations", spaces.get("observation_space"), OBSERVATION)
        actions = parts_of(file[names[0]], "actions", spaces.get("action_space"), ACTION)
        return MinariFile(
            path=main,
            spec=_spec(observations, actions, main),
            source=f"Minari {about.get('dataset_id', main.name)}",
            metadata={"minari": about},
            demos=names,
            left_out=tuple(_left_out(file, names, observations, actions, about)),
            observations=observations,
            actions=actions,
        )


def _is_episode(name: str) -> bool:
    return name.startswith("episode_") and name.removeprefix("episode_").isdecimal()


def _spec(observations: tuple[Part, ...], actions: tuple[Part, ...], path: Path) -> DataSpec:
    obs = {part.name: part.spec for part in observations if part.is_read}
    if not obs:
        raise DataError(f"{path}: no observation holds numbers; expected arrays, or JPEG images")
    if any(not part.is_read for part in actions):
        raise DataError(f"{path}: actions hold text, expected numbers")
    specs = [part.spec for part in actions]
    if len(specs) == 1:
        return DataSpec(obs, specs[0])
    names = [f"{part.name}[{index}]" for part in actions for index in range(part.spec.size)]
    low = tuple(value for spec in specs for value in spec.low)
    high = tuple(value for spec in specs for value in spec.high)
    dtype = np.result_type(*(spec.dtype for spec in specs)).name
    spec = ArraySpec((len(names),), dtype, tuple(names))
    are_bounded = len(low) == len(high) == len(names)
    return DataSpec(obs, replace(spec, low=low, high=high) if are_bounded else spec)


def _success(group: Any) -> bool | None:
    """Whether the environment told success at any step in its infos; None where it told nothing."""
    infos = group.get("infos")
    if not isinstance(infos, h5py.Group):
        return None
    told = next((infos[key] for key in SUCCESS if isinstance(infos.get(key), h5py.Dataset)), None)
    if told is None or told.dtype.kind not in "biuf" or told.ndim != 1:
        return None
    return bool((read_numbers(told) > 0).any())


def _left_out(
    file: Any,
    names: tuple[str, ...],
    observations: tuple[Part, ...],
    actions: tuple[Part, ...],
    about: Mapping[str, Any],
) -> list[str]:
    first = file[names[0]]
    said = ["the observation after the last action of each episode, and rewards, terminations, truncations"]
    if isinstance(first.get("infos"), h5py.Group):
        held = ", ".join(sorted(leaves(first["infos"]))[:10])
        said.append(f"infos ({held}), except for the success they tell")
    elif "infos" in first:
        said.append("infos")
    said += [part.said for part in observations if part.said]
    if len(actions) > 1:
        said.append(
            f"the parts of the action ({', '.join(p.name for p in actions)}): one vector in this order"
        )
    total = about.get("total_episodes")
    if isinstance(total, int) and total != len(names):
        said.append(f"{total} episodes that metadata tells of: the file holds {len(names)}")
    if others := sorted(name for name in file if not _is_episode(name)):
        said.append(f"groups beside the episodes: {', '.join(others[:5])}")
    return said


FORMAT = Format("minari", f"Minari HDF5 ({MAIN})", is_minari, read_minari)
