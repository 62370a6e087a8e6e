"""Raw robosuite recordings: the simulator's state as the observation, and what they lack is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_samples import write_minari, write_robomimic, write_robosuite

from imitate.datasets.formats.robomimic import is_robomimic
from imitate.datasets.formats.robosuite import is_raw_recording
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.datasets.timing import KEY
from imitate.errors import DataError

SHARED = Path(__file__).parents[4] / "shared/data"
REAL = {
    "robosuite_v14_lift_official/demo.hdf5": ([482, 510, 392], 32, 7),
    "robosuite_v10_panda_demos/lift.hdf5": ([412], 32, 7),
    "robosuite_v10_panda_demos/stack.hdf5": ([532], 45, 7),
    "robosuite_v10_panda_demos/door.hdf5": ([261], 23, 7),
    "robosuite_v10_panda_demos/nut-assembly.hdf5": ([1036], 45, 7),
    "robosuite_v10_panda_demos/pick-place.hdf5": ([1482], 71, 7),
    "robosuite_v10_panda_demos/wipe.hdf5": ([174], 15, 6),
}


def test_a_recording(tmp_path: Path) -> None:
    source = write_robosuite(tmp_path / "demo.hdf5")
    report = import_file(source, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert (report.kind, report.episodes, report.steps) == ("raw robosuite recording", 3, 19)
    assert store.spec.rate_hz == 20.0
    assert store.spec.obs["states"].shape == (32,)
    assert (store.spec.obs["states"].names, store.spec.obs["states"].units) == ((), ())
    assert store.metadata["robosuite"]["env_info"] == {"env_name": "Lift", "robots": "Panda"}
    assert store.metadata["robosuite"]["repository_version"] == "1.4.0"
    with h5py.File(source) as file:
        for index in range(3):
            episode = store.episode(index)
            demo = file["data"][episode.id]
            assert episode.success is None
            assert np.array_equal(episode.action, demo["actions"][()])
            assert np.array_equal(episode.obs["states"], demo["states"][()])
            assert episode.metadata[KEY]["gap_count"] == 0
    said = "; ".join(report.left_out)
    assert "observations: a raw robosuite recording has none" in said
    assert "dataset_states_to_obs" in said
    assert "model_file" in said


def test_written_for_robomimic_it_names_the_environment(tmp_path: Path) -> None:
    report = import_file(write_robosuite(tmp_path / "raw.hdf5"), tmp_path / "out.hdf5", key="robomimic")
    with h5py.File(report.out) as file:
        assert json.loads(file["data"].attrs["env_args"]) == {
            "env_name": "Lift",
            "type": 1,
            "env_version": "1.4.0",
            "env_kwargs": {"env_name": "Lift", "robots": "Panda"},
        }


def rate(value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["data"].attrs["env_info"] = json.dumps({"env_name": "Lift", "control_freq": value})

    return change


def uneven(file: h5py.File) -> None:
    for demo in file["data"].values():
        demo["states"][:, 0] = np.random.default_rng(0).normal(size=len(demo["states"]))


@pytest.mark.parametrize(("change", "rate_hz"), [(rate(10), 10.0), (rate("fast"), 20.0), (uneven, None)])
def test_the_rate_is_told_or_measured_but_never_guessed(
    tmp_path: Path, change: Callable[[h5py.File], None], rate_hz: float | None
) -> None:
    report = import_file(write_robosuite(tmp_path / "demo.hdf5", change), tmp_path / "out.zarr")
    assert DemoStore.open(report.out).spec.rate_hz == rate_hz


def test_the_state_after_the_last_action_is_left_out(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        demo = file["data/demo_2"]
        longer = np.concatenate([demo["states"][()], demo["states"][-1:] + 0.05])
        del demo["states"]
        demo["states"] = longer

    report = import_file(write_robosuite(tmp_path / "demo.hdf5", change), tmp_path / "out.zarr")
    assert report.steps == 19
    assert "the state after the last action of an episode" in report.left_out


def test_a_model_beside_the_recording_is_said(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["data/demo_1"].attrs["model_file"] = "model_1.xml"
        file["data/demo_1/joint_torques"] = np.zeros((5, 7))

    report = import_file(write_robosuite(tmp_path / "demo.hdf5", change), tmp_path / "out.zarr")
    assert "data/demo_…/joint_torques of 1 episodes" in report.left_out


def cut(file: h5py.File) -> None:
    states = file["data/demo_2/states"][:3]
    del file["data/demo_2/states"]
    file["data/demo_2/states"] = states


def wider(file: h5py.File) -> None:
    del file["data/demo_3/states"]
    file["data/demo_3/states"] = np.zeros((6, 5))


def nan(file: h5py.File) -> None:
    file["data/demo_1/states"][1, 4] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"data/demo_2 .*'states' has 3 steps, the action has 8"),
        (wider, r"data/demo_3 .*states is \(5,\) per step, expected \(32,\)"),
        (nan, "data/demo_1/states holds NaN or infinity in row 1"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[h5py.File], None], message: str) -> None:
    source = write_robosuite(tmp_path / "demo.hdf5", change)
    with pytest.raises(DataError, match=message) as raised:
        import_file(source, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)
    assert [child.name for child in tmp_path.iterdir()] == ["demo.hdf5"]


def test_one_format_recognises_a_file(tmp_path: Path) -> None:
    raw = write_robosuite(tmp_path / "demo.hdf5")
    others = [
        write_robomimic(tmp_path / "low_dim.hdf5"),
        write_minari(tmp_path / "m") / "data/main_data.hdf5",
    ]
    assert is_raw_recording(raw)
    assert not is_robomimic(raw)
    assert not any(is_raw_recording(other) for other in [*others, tmp_path, tmp_path / "absent"])


@pytest.mark.skipif(not SHARED.exists(), reason="the real recordings are not on this machine")
@pytest.mark.parametrize("name", REAL)
def test_real_recordings(tmp_path: Path, name: str) -> None:
    lengths, states, actions = REAL[name]
    store = DemoStore.open(import_file(SHARED / name, tmp_path / "out.zarr").out)
    assert [store.record(index).steps for index in range(len(store))] == lengths
    assert store.spec.obs["states"].shape == (states,)
    assert store.spec.action.shape == (actions,)
    assert store.spec.rate_hz == 20.0
    with h5py.File(SHARED / name) as file:
        assert np.array_equal(store.episode(0).action, file["data/demo_1/actions"][()])
