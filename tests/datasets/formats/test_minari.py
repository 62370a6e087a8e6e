"""Minari data sets: folders and files, nested spaces, JPEG images, the observation after the last action."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from hdf5_samples import MINARI_SPACES, MINARI_STATE, unchanged, write_minari, write_robosuite

from imitate.datasets.episode_store import arrays_digest
from imitate.datasets.formats import PLAIN
from imitate.datasets.formats.minari import is_minari, read_minari
from imitate.datasets.formats.minari_spaces import leaf_spaces
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError, SpecError


def imported(source: Path, out: Path) -> DemoStore:
    return DemoStore.open(import_file(source, out).out)


def test_a_data_set(tmp_path: Path) -> None:
    source = write_minari(tmp_path / "reach-v0")
    report = import_file(source, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert (report.episodes, report.steps) == (5, 21)
    assert [store.record(index).id for index in (0, 2, 4)] == ["episode_0", "episode_2", "episode_10"]
    assert [store.record(index).success for index in range(3)] == [True, False, True]
    assert store.record(3).metadata == {"seed": 103, "options/level": 2}
    assert store.source == "Minari test/reach-v0"
    assert store.metadata["minari"]["author"] == ["A. Author"]
    assert set(store.spec.obs) == {"state", "camera", "goal._index_0", "goal._index_1"}
    assert store.spec.rate_hz is None
    assert (store.spec.action.low, store.spec.action.high) == ((-1.0, -1.0), (1.0, 1.0))
    assert store.spec.obs["state"].high == (1.0, 2.0, 3.0)
    assert (store.spec.obs["goal._index_1"].low, store.spec.obs["goal._index_1"].high) == ((1.0,), (4.0,))
    with h5py.File(source / "data/main_data.hdf5") as file:
        for index, number in enumerate((0, 1, 2, 3, 10)):
            episode, group = store.episode(index), file[f"episode_{number}"]
            assert np.array_equal(episode.action, group["actions"][()])
            assert np.array_equal(episode.obs["state"], group["observations/state"][:-1])
            assert np.array_equal(
                episode.obs["goal._index_1"][:, 0], group["observations/goal/_index_1"][:-1]
            )
            colour = episode.obs["camera"].reshape(-1, 3).astype(int)
            assert abs(colour - (250, 20 * number, 0)).max() <= 3  # JPEG rounds
    said = "; ".join(report.left_out)
    for item in (
        "observation after the last action",
        "infos (success)",
        "observations/mission, which holds no",
    ):
        assert item in said


@pytest.mark.parametrize("place", ["", "data", "data/main_data.hdf5"])
def test_folders_and_the_file_give_the_same(tmp_path: Path, place: str) -> None:
    source = write_minari(tmp_path / "reach-v0")
    assert is_minari(source / place)
    here, whole = (list(read_minari(path, PLAIN).episodes()) for path in (source / place, source))
    assert [arrays_digest(e.obs) for e in here] == [arrays_digest(e.obs) for e in whole]
    assert read_minari(source / place, PLAIN).spec == read_minari(source, PLAIN).spec


def single(file: h5py.File) -> None:
    for group in file.values():
        state = group["observations/state"][()]
        del group["observations"]
        group["observations"] = state


def test_a_box_space_and_attributes_as_before_version_0_5(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        single(file)
        file.attrs["observation_space"] = json.dumps(MINARI_STATE | {"type": "box"})
        file.attrs["action_space"] = json.dumps({"type": "discrete", "n": 3})
        file.attrs["dataset_id"] = "door-human-v1"
        for group in file.values():
            steps = len(group["actions"])
            del group["actions"], group["infos"]
            group["actions"] = np.arange(steps) % 3

    source = write_minari(tmp_path / "old", change)
    (source / "data/metadata.json").unlink()
    store = imported(source, tmp_path / "out.zarr")
    assert store.source == "Minari door-human-v1"
    assert list(store.spec.obs) == ["observation"]
    assert store.spec.obs["observation"].low == (-1.0, -2.0, -3.0)
    assert (store.spec.action.dtype, store.spec.action.high) == ("int64", (2.0,))
    assert store.episode(2).action.tolist() == [[0], [1], [2]]
    assert store.record(0).success is None


def test_parts_of_an_action_stand_in_the_order_of_the_space(tmp_path: Path) -> None:
    box = {"type": "Box", "dtype": "float32", "shape": [2], "low": [0, 0], "high": [1, 2]}
    space = {"type": "Dict", "subspaces": {"wrist": box, "arm": MINARI_STATE}}

    def change(file: h5py.File) -> None:
        for group in file.values():
            wrist = group["actions"][()]
            del group["actions"]
            group["actions/wrist"] = wrist
            group["actions/arm"] = np.zeros((len(wrist), 3))

    source = write_minari(tmp_path / "m", change, MINARI_SPACES | {"action_space": space})
    report = import_file(source, tmp_path / "out.zarr")
    action = DemoStore.open(report.out).spec.action
    assert action.names == ("wrist[0]", "wrist[1]", "arm[0]", "arm[1]", "arm[2]")
    assert action.low == (0.0, 0.0, -1.0, -2.0, -3.0)
    assert any("wrist, arm" in item for item in report.left_out)


def test_jpeg_rows_of_one_length_are_an_ordinary_array(tmp_path: Path) -> None:
    """Minari makes bytes (T, n) of them where all files happen to be equally long."""
    frame = cv2.imencode(".jpg", np.full((32, 40, 3), 90, np.uint8))[1].ravel()

    def change(file: h5py.File) -> None:
        for group in file.values():
            steps = len(group["actions"])
            del group["observations/camera"]
            group["observations/camera"] = np.tile(frame, (steps + 1, 1))

    store = imported(write_minari(tmp_path / "m", change), tmp_path / "out.zarr")
    assert store.spec.obs["camera"].shape == (32, 40, 3)
    assert abs(store.episode(1).obs["camera"].astype(int) - 90).max() <= 2


def test_images_as_arrays(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        for group in file.values():
            steps = len(group["actions"])
            del group["observations/camera"]
            group["observations/camera"] = np.full((steps + 1, 32, 40, 3), 7, np.uint8)

    store = imported(write_minari(tmp_path / "m", change), tmp_path / "out.zarr")
    assert np.array_equal(store.episode(1).obs["camera"], np.full((2, 32, 40, 3), 7))


def replaced(name: str, values: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        if values is not None:
            file[name] = values

    return change


def linked(file: h5py.File) -> None:
    file["episode_12"] = h5py.ExternalLink("additional_data_1.hdf5", "/episode_12")


def no_jpeg(file: h5py.File) -> None:
    del file["episode_2/observations/camera"]
    rows = file.create_dataset("episode_2/observations/camera", (4,), h5py.vlen_dtype(np.uint8))
    for row in range(4):
        rows[row] = np.zeros(100, np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            replaced("episode_3/observations/state", np.zeros((9, 3))),
            r"episode_3 .*has 9 rows, expected 5 for 4",
        ),
        (replaced("episode_3/observations/state", None), "observations/state is missing, which the first"),
        (replaced("episode_3/actions", np.zeros((4, 3))), r"actions is \(3,\) per step, expected \(2,\)"),
        (replaced("episode_3/actions", np.zeros((3, 2))), "total_steps is 4, but actions has 3 rows"),
        (replaced("episode_3/observations/state", np.full((5, 3), np.nan)), "holds NaN or infinity in row 0"),
        (linked, "episode_12 is a link to additional_data_1.hdf5, another file"),
        (no_jpeg, r"episode_2/observations/camera, step 0: 100 bytes are no JPEG"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[h5py.File], None], message: str) -> None:
    source = write_minari(tmp_path / "m", change)
    with pytest.raises(DataError, match=message) as raised:
        import_file(source, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)
    assert [child.name for child in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"metadata\.json is damaged"),
        ("[1]", r"metadata\.json holds list, expected a JSON object"),
        ("[" * 10**5, r"metadata\.json is damaged"),
        ('{"action_space": "{"}', "a space is no JSON"),
        (
            '{"action_space": "{\\"type\\": \\"Box\\", \\"shape\\": [-1]}"}',
            r"shape \[-1\], expected whole numbers",
        ),
        ('{"action_space": "{\\"type\\": \\"Discrete\\"}"}', "bounds that are no numbers"),
    ],
)
def test_damaged_metadata_is_named(tmp_path: Path, text: str, message: str) -> None:
    source = write_minari(tmp_path / "m")
    (source / "data/metadata.json").write_text(text)
    with pytest.raises(DataError, match=message):
        import_file(source, tmp_path / "out.zarr")


def test_episodes_that_are_not_there_are_said(tmp_path: Path) -> None:
    source = write_minari(tmp_path / "m", replaced("episode_10", None))
    report = import_file(source, tmp_path / "out.zarr")
    assert "5 episodes that metadata tells of: the file holds 4" in report.left_out


def test_another_storage_says_what_to_do(tmp_path: Path) -> None:
    source = write_minari(tmp_path / "m", unchanged)
    (source / "data/main_data.hdf5").unlink()
    assert is_minari(source)
    with pytest.raises(DataError, match=r'not stored as HDF5; .*data_format="hdf5"'):
        import_file(source, tmp_path / "out.zarr")


def test_other_things_are_no_minari_data_sets(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    raw = write_robosuite(tmp_path / "demo.hdf5")
    assert not any(is_minari(path) for path in (raw, tmp_path / "empty", tmp_path / "absent"))


def test_spaces_are_walked_in_their_order_but_not_for_ever() -> None:
    names = [name for name, _ in leaf_spaces(MINARI_SPACES["observation_space"])]
    assert names == ["state", "camera", "goal._index_0", "goal._index_1", "mission"]
    deep: dict[str, Any] = MINARI_STATE
    for _ in range(20):
        deep = {"type": "Tuple", "subspaces": [deep]}
    with pytest.raises(SpecError, match="expected JSON with a type"):
        list(leaf_spaces(deep))
