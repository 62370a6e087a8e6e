"""What an import promises: what is carried over is the same, the rest is said, failures leave nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.types import Episode

ENV_ARGS = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": ["Panda"]}}


def write_robomimic(path: Path, change: Callable[[h5py.File], Any] = lambda file: None) -> Path:
    """A file as robomimic's dataset_states_to_obs writes it; in the file demo_10 comes before demo_2."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(ENV_ARGS)
        for number, steps in ((0, 5), (1, 8), (2, 6), (10, 7)):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            demo.attrs["model_file"] = "<mujoco/>"
            demo["actions"] = rng.normal(size=(steps, 7))
            demo["states"] = rng.normal(size=(steps, 32))
            demo["rewards"] = (np.arange(steps) >= steps - 1).astype(float) * (number != 1)
            demo["dones"] = (np.arange(steps) == steps - 1).astype(int)
            for group in ("obs", "next_obs"):
                demo[f"{group}/robot0_eef_pos"] = rng.normal(size=(steps, 3))
                demo[f"{group}/gripper"] = rng.normal(size=steps)
                demo[f"{group}/agentview_image"] = rng.integers(0, 256, (steps, 6, 6, 3)).astype(np.uint8)
        data.attrs["total"] = 26
        file["mask/train"] = np.array([b"demo_0", b"demo_10"])
        file["mask/better"] = np.array([b"demo_10"])
        change(file)
    return path


def test_robomimic_file(tmp_path: Path) -> None:
    source = write_robomimic(tmp_path / "low_dim.hdf5")
    report = import_file(source, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert (report.kind, report.episodes, report.steps) == ("robomimic HDF5", 4, 26)
    assert report.data_hash == store.content_hash()
    assert store.metadata == {"env_args": ENV_ARGS}
    assert store.source == "robomimic Lift, low_dim.hdf5"
    assert store.spec.rate_hz == 20.0
    assert store.spec.obs["agentview_image"].is_image
    assert [store.record(i).id for i in range(4)] == ["demo_0", "demo_1", "demo_2", "demo_10"]
    assert [store.record(i).success for i in range(4)] == [True, False, True, True]
    assert [store.record(i).metadata.get("filter_keys") for i in range(4)] == [
        ["train"],
        None,
        None,
        ["better", "train"],
    ]
    with h5py.File(source) as file:
        for index in range(4):
            demo, episode = file["data"][store.record(index).id], store.episode(index)
            assert episode.action.dtype == np.float64
            assert np.array_equal(episode.action, demo["actions"][()])
            for key, array in episode.obs.items():
                assert np.array_equal(array.reshape(demo["obs"][key].shape), demo["obs"][key][()])
    said = "; ".join(report.left_out)
    for item in ("next_obs of 4 episodes", "states of 4 episodes", "rewards and dones", "model_file"):
        assert item in said


def test_success_where_rewards_do_not_tell(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        for number, dones in ((0, [0, 0, 1, 1, 1]), (1, [0] * 7 + [1]), (2, [0] * 6)):
            demo = file[f"data/demo_{number}"]
            del demo["rewards"], demo["dones"]
            demo["dones"] = np.array(dones)
        shaped = file["data/demo_10"]
        del shaped["rewards"], shaped["dones"]
        shaped["rewards"] = np.linspace(0, 1, 7)

    report = import_file(write_robomimic(tmp_path / "d.hdf5", change), tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert [store.record(i).success for i in range(4)] == [True, None, False, None]


def drop(name: str) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def replace_with(name: str, array: np.ndarray) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("data"), "holds no data/demo_"),
        (drop("data/demo_0/actions"), "data/demo_0/actions is missing"),
        (drop("data/demo_2/obs/gripper"), "data/demo_2 is damaged or incomplete: observations are"),
        (replace_with("data/demo_2/obs/gripper", np.zeros(3)), "'gripper' has 3 steps"),
        (replace_with("data/demo_1/actions", np.zeros((3, 7))), "num_samples is 8, but actions has 3 rows"),
        (
            replace_with("data/demo_10/obs/gripper", np.zeros((7, 2))),
            "data/demo_10 is damaged or incomplete: 'gripper' is",
        ),
        (lambda file: file["data"].attrs.update(env_args="{"), "env_args of data is not JSON"),
    ],
)
def test_damage_is_named_and_leaves_nothing(
    tmp_path: Path, change: Callable[[h5py.File], Any], message: str
) -> None:
    source = write_robomimic(tmp_path / "d.hdf5", change)
    with pytest.raises(DataError, match=message) as raised:
        import_file(source, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)
    assert [child.name for child in tmp_path.iterdir()] == ["d.hdf5"]


def test_a_truncated_hdf5_file_is_named(tmp_path: Path) -> None:
    source = write_robomimic(tmp_path / "d.hdf5")
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"d\.hdf5: is a truncated or damaged HDF5 file"):
        import_file(source, tmp_path / "out.zarr")
    assert [child.name for child in tmp_path.iterdir()] == ["d.hdf5"]


def test_a_store_of_our_own_keeps_its_hash(make_store: Callable[..., DemoStore], tmp_path: Path) -> None:
    store = make_store(4)
    report = import_file(store.path, tmp_path / "copy.zarr")
    assert report.data_hash == store.content_hash()
    with pytest.raises(DataError, match="already exists"):
        import_file(store.path, tmp_path / "copy.zarr")


def test_an_interrupted_import_leaves_nothing_and_can_be_repeated(
    make_store: Callable[..., DemoStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(4)

    def interrupted(self: DemoStore) -> Iterator[Episode]:
        yield self.episode(0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DemoStore, "episodes", interrupted)
        import_file(store.path, tmp_path / "copy.zarr")
    assert [child.name for child in tmp_path.iterdir()] == ["demos.zarr"]
    (tmp_path / ".copy.zarr.importing").mkdir()  # what kill -9 leaves
    assert import_file(store.path, tmp_path / "copy.zarr").episodes == 4
    assert sorted(child.name for child in tmp_path.iterdir()) == ["copy.zarr", "demos.zarr"]
