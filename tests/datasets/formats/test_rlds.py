"""RLDS episodes: what the records hold comes back, what is left out is said, lies are refused."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_tfrecord as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_arrays import LENGTHS, SIZE, rlds_episode, rlds_record, rlds_sample

from imitate.datasets.formats import PLAIN, format_of
from imitate.datasets.formats.rlds import FORMAT, RldsDemos, read_rlds
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError, ImitateError
from imitate.types import Episode

SHARED = Path(__file__).parents[4] / "shared/data"


def read(path: Path) -> RldsDemos:
    assert FORMAT.recognises(path)
    return read_rlds(path, PLAIN)


def only(path: Path) -> Episode:
    return next(read(path).episodes())


def minimal(**more: Any) -> dict[str, Any]:
    """An episode of four steps without images."""
    arrays = {"steps/action": np.arange(8.0), "steps/observation/state": np.arange(12.0)}
    return {**arrays, "steps/is_first": np.array([1, 0, 0, 0]), **more}


def bare(folder: Path, **more: Any) -> Path:
    return tf.write_records(folder / "a.tfrecord", [tf.example(minimal(**more))])


def declared(folder: Path, steps: dict[str, Any], episode: dict[str, Any], record: dict[str, Any]) -> Path:
    return tf.write_folder(folder / "set", [tf.example(record)] * 2, steps, episode)


def test_all_that_a_folder_holds_comes_back(tmp_path: Path) -> None:
    demos = read(rlds_sample(tmp_path))
    episodes = list(demos.episodes())
    assert [len(episode) for episode in episodes] == list(LENGTHS) and len(demos) == 3
    assert [episode.success for episode in episodes] == [True, None, True]
    for number, episode in enumerate(episodes):
        held = rlds_episode(number)
        assert np.array_equal(episode.action, held["steps/action"])
        assert np.array_equal(episode.obs["state"], held["steps/observation/state"])
        assert np.array_equal(episode.obs["gripper"][:, 0], held["steps/observation/gripper"])
        assert np.array_equal(episode.obs["depth"], held["steps/observation/depth"])
        assert np.abs(episode.obs["camera"].astype(int) - held["steps/observation/camera"]).max() <= 6
        assert episode.metadata == {
            "task": f"reach {number}",
            "episode_id": number,
            "file_path": "/recorded/here",
            "split": "train",
        }
    assert demos.spec.obs["camera"].is_image and demos.spec.obs["camera"].shape == (*SIZE, 3)
    assert demos.spec.obs["gripper"].dtype == "int32" and demos.spec.rate_hz is None
    said = "; ".join(demos.left_out)
    assert "reward" in said and "steps/language_embedding" in said


def test_the_folders_above_are_the_dataset_too(tmp_path: Path) -> None:
    version = rlds_sample(tmp_path)
    assert len(read(version.parent)) == len(read(tmp_path)) == 3
    tf.write_folder(version.parent / "2.0.0", [rlds_record(0)] * 2, {"action": tf.tensor([2])}, {})
    with pytest.raises(DataError, match=r"reach holds 2 datasets \(1\.0\.0, 2\.0\.0\)"):
        read_rlds(version.parent, PLAIN)


def test_one_file_of_a_folder_is_read_by_its_features(tmp_path: Path) -> None:
    version = rlds_sample(tmp_path)
    demos = read(version / "reach-train.tfrecord-00001-of-00002")
    assert len(demos) == 2 and demos.spec == read(version).spec


def test_absent_files_and_splits_are_said(tmp_path: Path) -> None:
    version = rlds_sample(tmp_path)
    (version / "reach-train.tfrecord-00001-of-00002").unlink()
    assert "split train: 1 of 2 files with 2 episodes are not here" in read(version).left_out
    (version / "reach-train.tfrecord-00000-of-00002").unlink()
    with pytest.raises(DataError, match=r"1\.0\.0 holds no \.tfrecord file"):
        read_rlds(version, PLAIN)


def test_a_file_alone_shows_its_steps(tmp_path: Path) -> None:
    images = np.full((4, 8, 10, 3), 90, np.uint8)
    more = {"steps/observation/view": tf.encoded(images, ".png"), "steps/language_instruction": [b"go"] * 4}
    demos = read(bare(tmp_path, **more))
    episode = next(demos.episodes())
    assert np.array_equal(episode.obs["view"], images)
    assert episode.action.tolist() == np.arange(8.0).reshape(4, 2).tolist()
    assert (episode.id, episode.metadata) == ("episode_0", {"task": "go"})


def test_a_sequence_example_is_an_episode_too(tmp_path: Path) -> None:
    rows = [np.array([float(i), 0.0, 1.0]) for i in range(3)]
    lists = {"action": rows, "observation/state": rows, "language_instruction": [[b"go"]] * 3}
    record = tf.sequence_example({"episode_metadata/success": np.array([1])}, lists)
    episode = only(tf.write_records(tmp_path / "a.tfrecord", [record]))
    assert episode.action.shape == episode.obs["state"].shape == (3, 3)
    assert episode.success is True and episode.metadata["task"] == "go"


@pytest.mark.parametrize(
    ("reward", "success"),
    [
        ([0, 0, 0, 1], True),
        ([0, 0, 1, 1], True),
        ([0, 0, 0, 0], None),
        ([1, 1, 1, 1], None),
        ([0, 1, 0, 0], None),
        ([0.1, 0.2, 0.3, 0.4], None),
        ([0, 0, 0, -1], None),
    ],
)
def test_success_where_rewards_tell_plainly(
    tmp_path: Path, reward: list[float], success: bool | None
) -> None:
    assert only(bare(tmp_path, **{"steps/reward": np.array(reward, float)})).success is success


def test_actions_in_parts_become_one_with_names(tmp_path: Path) -> None:
    steps = {
        "action": tf.group({"turn": tf.tensor([2]), "open": tf.tensor([], "bool"), "note": tf.TEXT}),
        "observation": tf.group({"state": tf.tensor([3])}),
    }
    record = minimal(**{"steps/action/turn": np.arange(8.0), "steps/action/open": np.array([0, 1, 1, 0])})
    record |= {"steps/action/note": [b"a", b"a", b"b", b"b"]}
    demos = read(declared(tmp_path, steps, {}, record))
    episode = next(demos.episodes())
    assert demos.spec.action.names == ("open", "turn.0", "turn.1")
    assert episode.action.tolist() == [[0, 0, 1], [1, 2, 3], [1, 4, 5], [0, 6, 7]]
    assert episode.metadata["action.note_changes"] == [[0, "a"], [2, "b"]]


def test_tensors_kept_as_strings_and_images_of_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    double, grid = rng.normal(size=(4, 3)), rng.integers(0, 255, (4, 6, 6, 1)).astype(np.uint8)
    distance = rng.normal(size=(4, 6, 6, 1)).astype(np.float32)
    as_bytes = np.ascontiguousarray(distance).view(np.uint8)
    observation = {
        "double": tf.tensor([3], "float64", "zlib"),
        "grid": tf.tensor([6, 6, 1], "uint8"),
        "distance": tf.image([6, 6, 1], "png", "float32"),
        "ragged": tf.tensor([-1]),
        "words": {"sequence": {"feature": tf.TEXT, "length": "-1"}},
    }
    steps = {"action": tf.tensor([2]), "observation": tf.group(observation)}
    held = {
        "double": [zlib.compress(row.tobytes()) for row in double],
        "grid": grid.astype(int),
        "distance": [tf.cv2.imencode(".png", image[..., [2, 1, 0, 3]])[1].tobytes() for image in as_bytes],
    }
    record = minimal(**{f"steps/observation/{name}": value for name, value in held.items()})
    demos = read(declared(tmp_path, steps, {}, record))
    episode = next(demos.episodes())
    assert np.array_equal(episode.obs["double"], double)
    assert np.array_equal(episode.obs["grid"], np.repeat(grid, 3, -1))
    assert np.array_equal(episode.obs["distance"], distance)
    assert [item.split()[0] for item in demos.left_out] == [
        "steps/observation/ragged",
        "steps/observation/words",
    ]


def test_facts_about_an_episode_are_text_and_few_numbers(tmp_path: Path) -> None:
    facts = {
        "episode_metadata/score": np.array([1.5, np.nan]),
        "episode_metadata/by": [b"anna"],
        "episode_metadata/goal": tf.encoded(np.zeros((1, 4, 4, 3), np.uint8)),
        "episode_metadata/long": np.zeros(2000),
    }
    demos = read(bare(tmp_path, **facts))
    assert next(demos.episodes()).metadata == {"by": "anna", "score": [1.5, None]}
    assert [item for item in demos.left_out if "metadata" in item] == [
        "episode_metadata/goal (1 values)",
        "episode_metadata/long (2000 values)",
    ]


def change_json(name: str, old: str, new: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


FIRST = "reach-train.tfrecord-00000-of-00002"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_json("features.json", '"steps"', '"stops"'), r"features\.json declares no steps"),
        (lambda folder: (folder / "features.json").write_text("[" * 10**5), r"features\.json is damaged"),
        (change_json("features.json", '"3"', '"99999999999999"'), r"expected \d{10,} for 5 steps"),
        (change_json("features.json", '"16"', '"17"'), r"expected \(17, 24\)"),
        (change_json("features.json", '"int32"', '"uint8"'), "numbers that do not fit uint8"),
        (
            change_json("dataset_info.json", '"1"', '"2"'),
            f"{FIRST} holds 1 records, dataset_info.json says 2",
        ),
        (change_json("dataset_info.json", '"tfrecord"', '"array_record"'), "kept as 'array_record'"),
        (lambda folder: (folder / FIRST).write_bytes(b""), "holds 0 records"),
        (lambda folder: (folder / FIRST).write_bytes(b"\x1f\x8b" + bytes(20)), "compressed with gzip"),
        (lambda folder: tf.write_records(folder / FIRST, [b"\xff" * 9]), "record 0 is no tf.train.Example"),
        (lambda folder: tf.write_records(folder / FIRST, [b""]), "holds no steps/action"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    folder = rlds_sample(tmp_path)
    change(folder)
    with pytest.raises(DataError, match=message) as raised:
        import_file(folder, tmp_path / "out.zarr")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out.zarr").exists()


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is large."""
    content = bytearray(tf.encoded(np.zeros((1, 4, 4, 3), np.uint8), ".png")[0])
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps/action", np.arange(7.0), "holds no steps/action of numbers"),
        ("steps/action", np.array([0, 1, 2, np.nan, 4, 5, 6, 7]), "NaN or infinity at step 1"),
        ("steps/observation/state", np.full(12, np.inf), "NaN or infinity at step 0"),
        ("steps/observation/view", [png(2**30, 2**30)] * 4, "decompression bomb"),
        ("steps/observation/view", [png(4, 5)] * 4, "image is damaged|image is|cannot be decoded"),
        ("steps/observation/view", [png(4, 4)] * 3 + [b""], "step 3: 0 bytes are no JPEG and no PNG"),
        ("steps/observation/view", [png(4, 4)] * 3 + [b"\xff\xd8\xff\xe0\0\x10"], "cut off or damaged"),
    ],
)
def test_lies_in_records_are_named(tmp_path: Path, name: str, value: Any, message: str) -> None:
    path = bare(tmp_path, **{name: value})
    with pytest.raises(DataError, match=message) as raised:
        only(path)
    assert "a.tfrecord: record 0" in str(raised.value)


def test_a_jpeg_that_ends_early_is_no_grey_picture(tmp_path: Path) -> None:
    whole = tf.encoded(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8))
    cut = [*whole[:2], whole[2][: len(whole[2]) // 2], whole[3]]
    with pytest.raises(DataError, match=r"view, step 2: the image is cut off"):
        only(bare(tmp_path, **{"steps/observation/view": cut}))


def test_a_later_episode_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = minimal(**{"steps/observation/state": np.arange(16.0)})
    path = tf.write_records(tmp_path / "a.tfrecord", [tf.example(minimal()), tf.example(other)])
    with pytest.raises(DataError, match=r"record 1.*state holds 16 values, expected 12 for 4 steps"):
        list(read(path).episodes())


@settings(max_examples=150, derandomize=True)
@given(st.data())
def test_damage_behind_right_checksums(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """What a hostile writer makes: bytes of records changed, and the checksums made to fit."""
    folder = tmp_path_factory.mktemp("hostile")
    record = bytearray(rlds_record(0) if data.draw(st.booleans()) else tf.example(minimal()))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    path = tf.write_records(folder / "a.tfrecord", [bytes(record)])
    try:
        list(read_rlds(path, PLAIN).episodes())
    except ImitateError as error:
        assert "a.tfrecord" in str(error) and "\n" not in str(error)


@settings(max_examples=60, derandomize=True)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["steps", "featuresDict", "features", "sequence", "tensor", "shape"]), inner
            )
        ),
    )
)
def test_any_features_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = rlds_sample(tmp_path_factory.mktemp("features"))
    (folder / "features.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"features\.json") as raised:
        read_rlds(folder, PLAIN)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(not SHARED.exists(), reason="the real recordings are not on this machine")
def test_real_bridge_episodes(tmp_path: Path) -> None:
    found = format_of(SHARED / "octo_bridge_rlds")
    assert found and found.key == "rlds"
    report = import_file(SHARED / "octo_bridge_rlds", tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert (report.episodes, report.steps) == (25, 250)
    assert {key: spec.shape for key, spec in store.spec.obs.items()} == {
        **{f"image_{view}": (64, 64, 3) for view in range(4)},
        "state": (7,),
    }
    assert store.record(0).metadata["task"] == "put cup from counter or drying rack into sink"
    episode = store.episode(0)
    np.testing.assert_allclose(episode.obs["state"][0, :3], [0.23381479, 0.11244296, 0.17504855])
    assert np.array_equal(episode.action[0, 6:], [1.0])
    assert 40 < episode.obs["image_0"].mean() < 220 and episode.obs["image_3"].std() < 1
    assert "split val: 1 of 1 files with 25 episodes are not here" in report.left_out
