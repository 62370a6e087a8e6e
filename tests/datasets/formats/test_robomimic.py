"""robomimic's HDF5: what is carried over is the same, the rest is said; what is written, robomimic loads."""

import importlib.util
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_samples import ENV_ARGS, write_robomimic

from imitate.datasets.formats.robomimic import is_robomimic
from imitate.datasets.importing import export_store, import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.types import ArraySpec, DataSpec, Episode

needs_robomimic = pytest.mark.skipif(
    importlib.util.find_spec("robomimic") is None,
    reason="robomimic is not installed: pip install 'imitate[robomimic]'",
)


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


def test_groups_text_and_layouts_of_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 256, (5, 3, 8, 10)).astype(np.uint8)
    depth = rng.uniform(size=(5, 8, 10, 1)).astype(np.float32)

    def change(file: h5py.File) -> None:
        for name in ("demo_1", "demo_2", "demo_10"):
            del file["data"][name]
        obs = file["data/demo_0/obs"]
        obs["robot_state/joints"] = rng.normal(size=(5, 7))
        obs["camera 1"] = stored
        obs["depth"] = depth
        obs["words"] = np.array([b"go"] * 5)
        file["data/demo_0/action_dict/rel_pos"] = rng.normal(size=(5, 3))

    report = import_file(write_robomimic(tmp_path / "d.hdf5", change), tmp_path / "out.zarr")
    episode = DemoStore.open(report.out).episode(0)
    assert episode.obs["robot_state.joints"].shape == (5, 7)
    assert np.array_equal(episode.obs["camera_1"], np.moveaxis(stored, 1, -1))
    assert np.array_equal(episode.obs["depth"], depth)
    said = "; ".join(report.left_out)
    assert "obs/camera_1 as stored: turned from (3, H, W) to (H, W, 3)" in said
    assert "obs/words, which holds no numbers" in said
    assert "action_dict of 1 episodes" in said


@pytest.mark.parametrize("place", ["ep_meta", "problem_info", "no JSON"])
def test_the_task_in_words_and_other_attributes_are_kept(tmp_path: Path, place: str) -> None:
    def change(file: h5py.File) -> None:
        file["data"].attrs["tag"] = "libero-v1"
        if place == "problem_info":
            file["data"].attrs[place] = json.dumps({"language_instruction": "open the drawer"})
        else:
            text = json.dumps({"lang": "open the drawer"}) if place == "ep_meta" else "{"
            for demo in file["data"].values():
                demo.attrs["ep_meta"] = text

    report = import_file(write_robomimic(tmp_path / "d.hdf5", change), tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert store.metadata["attributes"]["tag"] == "libero-v1"
    assert store.record(1).metadata.get("task") == (None if place == "no JSON" else "open the drawer")


def compressed(file: h5py.File) -> None:
    for name, compression in (("robot0_eef_pos", "gzip"), ("gripper", "lzf")):
        values = file["data/demo_0/obs"][name][()]
        del file["data/demo_0/obs"][name]
        file["data/demo_0/obs"].create_dataset(name, data=values, compression=compression, shuffle=True)


def test_compression_changes_nothing(tmp_path: Path) -> None:
    plain = import_file(write_robomimic(tmp_path / "a.hdf5"), tmp_path / "a.zarr")
    packed = import_file(write_robomimic(tmp_path / "b.hdf5", compressed), tmp_path / "b.zarr")
    first, second = (DemoStore.open(report.out).record(0).digest for report in (plain, packed))
    assert first == second


@pytest.mark.parametrize("version", ["no env_args", "no kwargs", "rate as text", "no rewards", "no mask"])
def test_files_that_tell_less(tmp_path: Path, version: str) -> None:
    def change(file: h5py.File) -> None:
        if version == "no env_args":
            del file["data"].attrs["env_args"]
        elif version == "no kwargs":
            file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift", "env_kwargs": None})
        elif version == "rate as text":
            file["data"].attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": "fast"}})
        elif version == "no mask":
            del file["mask"]
        else:
            for demo in file["data"].values():
                del demo["rewards"], demo["dones"], demo["next_obs"], demo["states"]

    report = import_file(write_robomimic(tmp_path / "d.hdf5", change), tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert len(store) == 4
    assert (store.spec.rate_hz is None) == (version not in ("no rewards", "no mask"))
    assert (store.record(0).success is None) == (version == "no rewards")


def link_out(target: Path) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["data/demo_1/obs/gripper"]
        file["data/demo_1/obs/gripper"] = h5py.ExternalLink(str(target), "/secret")

    return change


def store_outside(target: Path) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["data/demo_1/obs/gripper"]
        file["data/demo_1/obs"].create_dataset("gripper", (8,), "u1", external=[(str(target), 0, 8)])

    return change


def virtual(target: Path) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["data/demo_1/obs/gripper"]
        layout = h5py.VirtualLayout((8,), "f8")
        layout[:] = h5py.VirtualSource(str(target), "secret", (8,))
        file["data/demo_1/obs"].create_virtual_dataset("gripper", layout)

    return change


@pytest.mark.parametrize("way", [link_out, store_outside, virtual])
def test_other_files_are_not_followed(
    tmp_path: Path, way: Callable[[Path], Callable[[h5py.File], None]]
) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(8.0)
    source = write_robomimic(tmp_path / "d.hdf5", way(tmp_path / "other.h5"))
    with pytest.raises(DataError, match=r"another file, which is not followed"):
        import_file(source, tmp_path / "out.zarr")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["d.hdf5", "other.h5"]


def declare(name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape, "f8", chunks=chunks, compression="gzip")

    return change


def in_a_giant_chunk(file: h5py.File) -> None:
    del file["data/demo_0/obs/gripper"]
    giant = file["data/demo_0/obs"].create_dataset(
        "gripper", (5,), "f8", chunks=(4 * 10**8,), maxshape=(None,)
    )
    assert giant.chunks == (4 * 10**8,)


@pytest.mark.parametrize(
    "change",
    [
        declare("data/demo_0/obs/gripper", (10**15,), (10**6,)),
        declare("data/demo_0/actions", (10**12, 7), (10**5, 7)),
        declare("data/demo_0/rewards", (10**13,), (10**6,)),
        in_a_giant_chunk,
    ],
)
def test_huge_shapes_allocate_nothing(tmp_path: Path, change: Callable[[h5py.File], None]) -> None:
    source = write_robomimic(tmp_path / "d.hdf5", change)
    with pytest.raises(DataError, match=r"but only 0 bytes are stored"):
        import_file(source, tmp_path / "out.zarr")


def nan_in(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][2] = np.nan

    return change


@pytest.mark.parametrize("name", ["data/demo_1/actions", "data/demo_1/obs/robot0_eef_pos"])
def test_nan_is_named(tmp_path: Path, name: str) -> None:
    source = write_robomimic(tmp_path / "d.hdf5", nan_in(name))
    with pytest.raises(DataError, match=f"{name} holds NaN or infinity in row 2") as raised:
        import_file(source, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)


def nested_attribute(file: h5py.File) -> None:
    file["data"].attrs["env_args"] = "[" * 20000


def no_rows(file: h5py.File) -> None:
    for key in ("actions", "rewards", "dones", "obs/gripper", "obs/robot0_eef_pos", "obs/agentview_image"):
        array = file["data/demo_1"][key]
        empty = np.zeros((0, *array.shape[1:]), array.dtype)
        del file["data/demo_1"][key]
        file["data/demo_1"][key] = empty
    file["data/demo_1"].attrs["num_samples"] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nested_attribute, "env_args of data is not JSON"),
        (no_rows, r"demo_1 .*action has shape \(0, 7\)"),
        (replace_with("data/demo_0/actions", np.array([b"left"] * 5)), r"data/demo_0/actions holds \|S4"),
        (
            replace_with("mask/train", np.zeros(3)),
            r"mask/train holds float64 \(3,\), expected a list of names",
        ),
        (replace_with("data/demo_0/obs", np.zeros(3)), "data/demo_0/obs is missing"),
    ],
)
def test_more_damage_is_named(tmp_path: Path, change: Callable[[h5py.File], Any], message: str) -> None:
    source = write_robomimic(tmp_path / "d.hdf5", change)
    with pytest.raises(DataError, match=message) as raised:
        import_file(source, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)
    assert [child.name for child in tmp_path.iterdir()] == ["d.hdf5"]


SPEC = DataSpec(
    {
        "state": ArraySpec((2,), names=("x", "y"), units=("m", "m")),
        "camera": ArraySpec((8, 9, 3), "uint8"),
    },
    ArraySpec((3,), "float64", units=("rad",) * 3),
    15.0,
)


def make_store(path: Path, ids: tuple[str, ...] = ("first", "second", "third")) -> DemoStore:
    rng = np.random.default_rng(0)
    with DemoStore.create(path, SPEC, "a lab", {"note": [1, 2]}) as store:
        for number, name in enumerate(ids):
            steps = 4 + number
            obs = {
                "state": rng.normal(size=(steps, 2)).astype(np.float32),
                "camera": rng.integers(0, 256, (steps, 8, 9, 3)).astype(np.uint8),
            }
            success = (True, False, None)[number]
            metadata = {"filter_keys": ["train"]} if number else {"seed": 3, "task": "reach"}
            action = rng.normal(size=(steps, 3))
            store.append(Episode(name, obs, action, success, "a lab", "someone", 15.0, metadata))
    return store


def test_written_and_read_back_nothing_is_lost(tmp_path: Path) -> None:
    store = make_store(tmp_path / "demos.zarr")
    report = export_store(store, tmp_path / "d.hdf5", "robomimic")
    assert any("nobody judged 1 episodes" in item for item in report.left_out)
    back = import_file(report.out, tmp_path / "back.zarr")
    assert back.data_hash == store.content_hash()
    copy = DemoStore.open(back.out)
    assert (copy.source, copy.metadata) == (store.source, store.metadata)


def test_what_is_written_has_robomimics_layout(tmp_path: Path) -> None:
    store = make_store(tmp_path / "demos.zarr", ids=("demo_3", "demo_0", "demo_7"))
    export_store(store, tmp_path / "d.hdf5", "robomimic")
    with h5py.File(tmp_path / "d.hdf5") as file:
        assert file["data"].attrs["total"] == store.steps
        assert json.loads(file["data"].attrs["env_args"]) == {
            "env_name": "a lab",
            "type": 2,
            "env_kwargs": {"control_freq": 15.0},
        }
        assert sorted(file["data"]) == ["demo_0", "demo_3", "demo_7"]
        assert json.loads(file["data/demo_3"].attrs["ep_meta"]) == {"lang": "reach"}
        assert file["mask/train"][()].tolist() == [b"demo_0", b"demo_7"]
        for index, (reward, steps) in enumerate(((1, 4), (0, 5), (0, 6))):
            episode = store.episode(index)
            demo = file["data"][episode.id]
            assert demo.attrs["num_samples"] == steps
            assert demo["rewards"][()].tolist() == [0.0] * (steps - 1) + [reward]
            assert demo["dones"][()].tolist() == [0] * (steps - 1) + [1]
            following = np.append(np.arange(1, steps), steps - 1)
            for key, array in episode.obs.items():
                assert np.array_equal(demo["obs"][key][()], array)
                assert np.array_equal(demo["next_obs"][key][()], array[following])


@pytest.mark.parametrize("record", ["[1]", '{"id": 3}', "{", '{"id": "a", "success": true}'])
def test_a_damaged_record_of_ours_is_named(tmp_path: Path, record: str) -> None:
    export_store(make_store(tmp_path / "demos.zarr"), tmp_path / "d.hdf5", "robomimic")
    with h5py.File(tmp_path / "d.hdf5", "a") as file:
        file["data/demo_1"].attrs["imitate"] = record
    if record == "[1]":  # no record: read as others' files are
        import_file(tmp_path / "d.hdf5", tmp_path / "back.zarr")
        return
    with pytest.raises(DataError, match="data/demo_1 is damaged or incomplete"):
        import_file(tmp_path / "d.hdf5", tmp_path / "back.zarr")


def test_other_hdf5_files_are_told_apart(tmp_path: Path) -> None:
    assert is_robomimic(write_robomimic(tmp_path / "d.hdf5"))
    (tmp_path / "text.hdf5").write_text("hello")
    (tmp_path / "empty.hdf5").write_bytes(b"")
    assert not any(is_robomimic(tmp_path / name) for name in ("text.hdf5", "empty.hdf5", "absent", "."))


@pytest.mark.parametrize("seed", range(12))
def test_spoilt_bytes_never_cause_another_error(tmp_path: Path, seed: int) -> None:
    """Each file with 40 bytes of its structure changed imports, or is refused in one line."""
    source = write_robomimic(tmp_path / "d.hdf5")
    content, rng = bytearray(source.read_bytes()), np.random.default_rng(seed)
    for place in rng.integers(8, len(content), 40):
        content[place] = struct.pack("B", rng.integers(256))[0]
    source.write_bytes(content)
    try:
        import_file(source, tmp_path / "out.zarr")
    except DataError as error:
        assert "\n" not in str(error)
        assert [child.name for child in tmp_path.iterdir()] == ["d.hdf5"]


@needs_robomimic
@pytest.mark.slow
def test_robomimic_loads_what_is_written(tmp_path: Path) -> None:
    import_torchvision("robomimic")
    obs_utils = importlib.import_module("robomimic.utils.obs_utils")
    dataset = importlib.import_module("robomimic.utils.dataset")
    store = make_store(tmp_path / "demos.zarr")
    export_store(store, tmp_path / "d.hdf5", "robomimic")
    file_utils = importlib.import_module("robomimic.utils.file_utils")
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["state"], "rgb": ["camera"]}})
    path, keys = str(tmp_path / "d.hdf5"), ["state", "camera"]
    assert file_utils.get_env_metadata_from_dataset(path)["env_name"] == "a lab"
    shapes = file_utils.get_shape_metadata_from_dataset(path, all_obs_keys=keys)
    assert shapes["all_shapes"] == {"state": [2], "camera": [3, 8, 9]}
    for cache in (None, "all"):
        loaded = dataset.SequenceDataset(
            str(tmp_path / "d.hdf5"),
            obs_keys=("state", "camera"),
            dataset_keys=("actions", "rewards", "dones"),
            seq_length=3,
            hdf5_cache_mode=cache,
            filter_by_attribute="train",
        )
        assert (loaded.n_demos, len(loaded)) == (2, 11)
        window, episode = loaded[1], store.episode(1)
        assert np.allclose(window["actions"], episode.action[1:4])
        assert np.array_equal(window["obs"]["state"], episode.obs["state"][1:4])
        assert np.array_equal(window["next_obs"]["state"], episode.obs["state"][2:5])
        assert np.array_equal(window["obs"]["camera"], episode.obs["camera"][1:4])
