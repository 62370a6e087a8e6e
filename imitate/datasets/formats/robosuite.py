"""Raw recordings of robosuite: what its collection script writes before robomimic makes data sets of them.

    data            attrs: env, env_info (JSON), repository_version, date, time
    data/demo_1     attrs: model_file (the scene's XML, or the name of a file beside it in 1.0)
        actions (T, Da)   states (T, 1 + nq + nv)   joint_torques (T, Dq), in 1.0

`states` is MuJoCo's state flattened by robosuite: the simulator's time, positions, velocities.
https://robosuite.ai/docs/algorithms/demonstrations.html
"""

from dataclasses import dataclass
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
    json_of,
    number_in,
    opened,
    read_steps,
    spec_of,
)
from imitate.datasets.timing import KEY, timing
from imitate.errors import SpecError
from imitate.types import DataSpec, Episode

STATES = "states"


@dataclass(frozen=True)
class RobosuiteFile(DemoFile):
    """A raw recording; the simulator's state is its only observation."""

    def episode(self, demo: Any, name: str) -> Episode:
        """See DemoFile."""
        return _episode(demo, name, self)


def is_raw_recording(path: Path) -> bool:
    """Whether this HDF5 file holds simulator states and actions, but no observations; never an error."""
    if not holds_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            data = file.get("data")
            if not isinstance(data, h5py.Group) or not len(data):
                return False
            first = data[min(data, key=number_in)]
            return STATES in first and "actions" in first and "obs" not in first
    except DAMAGE:
        return False


def read_robosuite(path: Path, options: ReadOptions) -> RobosuiteFile:
    """Look at the file; raises DataError where it is damaged."""
    with opened(path) as file, damage_told(str(path)):
        data = file["data"]
        demos = tuple(sorted(data, key=number_in))
        first = data[demos[0]]
        info = json_of(data.attrs, "env_info")
        spec = DataSpec({STATES: spec_of(first[STATES])}, spec_of(first["actions"]), _rate_hz(first, info))
        about = {**attributes_of(data, {"env_info"}), **({"env_info": info} if info else {})}
        return RobosuiteFile(
            path=path,
            spec=spec,
            source=f"robosuite {about.get('env', 'unknown')}, {path.name}",
            metadata={"robosuite": about},
            demos=demos,
            left_out=tuple(_left_out(data, demos, path)),
        )


def _rate_hz(demo: Any, info: dict[str, Any]) -> float | None:
    """The control rate as env_info tells it, else as the simulator's time in `states` runs, where even."""
    told = info.get("control_freq")
    if isinstance(told, int | float) and told > 0:
        return float(told)
    seconds = read_steps(demo[STATES])[:, 0].astype(np.float64)
    found = timing(seconds).get("rate_hz") if _is_time(seconds) else None
    return round(found, 6) if found else None


def _is_time(seconds: np.ndarray) -> bool:
    """Whether these are even steps of time; otherwise the column is something else."""
    steps = np.diff(seconds)
    return bool(len(steps) and steps.min() > 0 and np.ptp(steps) <= 0.1 * np.median(steps))


def _episode(demo: Any, name: str, file: RobosuiteFile) -> Episode:
    action = read_steps(demo["actions"])
    states = read_steps(demo[STATES])
    if len(states) == len(action) + 1:  # the state after the last action
        states = states[:-1]
    for label, array, expected in (
        ("actions", action, file.spec.action),
        (STATES, states, file.spec.obs[STATES]),
    ):
        if array.shape[1:] != expected.shape:
            raise SpecError(
                f"{label} is {array.shape[1:]} per step, expected {expected.shape} as in the first one"
            )
    seconds = states[:, 0].astype(np.float64)
    found = timing(seconds, file.spec.rate_hz) if _is_time(seconds) else {}
    return Episode(
        id=name,
        obs={STATES: states},
        action=action,
        source=file.source,
        rate_hz=file.spec.rate_hz,
        metadata={**attributes_of(demo, {"model_file"}), **({KEY: found} if found else {})},
    )


def _left_out(data: Any, demos: tuple[str, ...], path: Path) -> list[str]:
    said = [
        "observations: a raw robosuite recording has none, only the simulator's state, delivered as 'states' "
        "(time, positions, velocities). For observations, extract them with robomimic:  "
        f"python -m robomimic.scripts.conversion.convert_robosuite --dataset {path}  and  "
        f"python -m robomimic.scripts.dataset_states_to_obs --dataset {path} --output_name low_dim.hdf5 "
        "--done_mode 2  then import low_dim.hdf5"
    ]
    for name in sorted({item for demo in demos for item in data[demo]} - {"actions", STATES}):
        held = sum(name in data[demo] for demo in demos)
        said.append(f"data/demo_…/{name} of {held} episodes")
    held = sum("model_file" in data[demo].attrs for demo in demos)
    if held:
        said.append(f"the scene's XML (model_file, or the file it names) of {held} episodes")
    if any(len(data[demo][STATES]) == len(data[demo]["actions"]) + 1 for demo in demos):
        said.append("the state after the last action of an episode")
    return said


FORMAT = Format("robosuite", "raw robosuite recording", is_raw_recording, read_robosuite)
