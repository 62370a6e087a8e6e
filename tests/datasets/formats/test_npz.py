"""NumPy files: every common way to mark episodes, nothing unpickled, nothing larger than the file allows."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_arrays import LENGTHS, npz_arrays, npz_sample

from imitate.datasets.formats import PLAIN, format_of
from imitate.datasets.formats.npz import FORMAT, NpzDemos, read_npz
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError, ImitateError

SHARED = Path(__file__).parents[4] / "shared/data"
ROWS = sum(LENGTHS)


def saved(folder: Path, arrays: Mapping[str, Any], name: str = "demos.npz") -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / name, **arrays)
    return folder / name


def read(path: Path) -> NpzDemos:
    assert FORMAT.recognises(path)
    return read_npz(path, PLAIN)


def lengths(path: Path) -> list[int]:
    return [len(episode) for episode in read(path).episodes()]


def flags(*rows: int) -> np.ndarray:
    marked = np.zeros(ROWS, bool)
    marked[list(rows)] = True
    return marked


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_all_that_a_file_holds_comes_back(tmp_path: Path) -> None:
    demos, arrays = read(npz_sample(tmp_path)), npz_arrays()
    start = 0
    for episode, steps, success in zip(demos.episodes(), LENGTHS, (True, False, True), strict=True):
        for name in ("obs", "camera"):
            assert np.array_equal(episode.obs[name], arrays[name][start : start + steps])
        assert np.array_equal(episode.action, arrays["action"][start : start + steps])
        assert episode.success is success and len(episode.metadata["init_qpos"]) == 4
        start += steps
    assert demos.spec.rate_hz == 10.0 and demos.spec.obs["camera"].is_image
    assert demos.left_out == (f"reward ({ROWS},) float64",)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({}, [12]),
        ({"episode_ends": [5, 8, 12]}, [5, 3, 4]),
        ({"episode_lengths": [5, 3, 4]}, [5, 3, 4]),
        ({"traj_lengths": [5, 3]}, [5, 3]),
        ({"terminals": flags(4), "timeouts": flags(7)}, [5, 3, 4]),
        ({"terminals": flags(), "timeouts": flags(7, 11)}, [8, 4]),
        ({"dones": flags(4, 11).astype(float)}, [5, 7]),
        ({"episode_starts": flags(0, 5, 8)}, [5, 3, 4]),
    ],
)
def test_every_way_to_mark_episodes(tmp_path: Path, marks: dict[str, Any], expected: list[int]) -> None:
    path = saved(tmp_path, {**npz_arrays(), **marks})
    assert lengths(path) == expected
    behind = ROWS - sum(expected)
    assert (f"{behind} rows after the last episode" in read(path).left_out) == bool(behind)


@settings(max_examples=30, derandomize=True)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_episodes_end_to_end_are_the_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], columns: bool, big_endian: bool
) -> None:
    rows = sum(steps)
    obs = np.random.default_rng(rows).normal(size=(rows, 4)).astype(">f4" if big_endian else "<f4")
    held = np.asfortranarray(obs) if columns else obs
    path = saved(
        tmp_path_factory.mktemp("f"), {"actions": obs[:, 0], "state": held, "episode_lengths": steps}
    )
    episodes = list(read(path).episodes())
    assert [len(episode) for episode in episodes] == steps
    assert np.array_equal(np.concatenate([episode.obs["state"] for episode in episodes]), obs)
    assert np.array_equal(np.concatenate([episode.action for episode in episodes]), obs[:, :1])
    assert episodes[0].obs["state"].dtype == np.dtype("float32")


def test_a_folder_has_one_episode_per_file(tmp_path: Path) -> None:
    for number, rows in enumerate((4, 6)):
        arrays = {**npz_arrays(number, rows), "task": "open the door", "seed": number}
        saved(tmp_path / "demos", arrays, f"run_{number}.npz")
    (tmp_path / "demos" / "README.md").write_text("about")
    demos = read(tmp_path / "demos")
    assert [(e.id, len(e), e.metadata["seed"]) for e in demos.episodes()] == [
        ("run_0", 4, 0),
        ("run_1", 6, 1),
    ]
    assert next(demos.episodes()).metadata["task"] == "open the door"
    assert "the file README.md" in demos.left_out
    saved(tmp_path / "demos", {**npz_arrays(2, 3), "extra": np.zeros((3, 2))}, "run_2.npz")
    with pytest.raises(DataError, match=r"run_2\.npz holds .*extra.*expected .* as run_0\.npz"):
        read(tmp_path / "demos")


def test_names_that_reach_out_of_a_folder_are_only_names(tmp_path: Path) -> None:
    members = {
        "../../outside.npy": npy(np.zeros((3, 2))),
        "action.npy": npy(np.zeros((3, 1))),
        "/etc/x y.npy": npy(np.ones((3, 1))),
    }
    report = import_file(zipped(tmp_path / "a.npz", members), tmp_path / "in" / "out.zarr")
    assert sorted(DemoStore.open(report.out).spec.obs) == ["etc.x_y", "outside"]
    assert sorted(child.name for child in tmp_path.iterdir()) == ["a.npz", "in"]
    assert not any("outside" in child.name for child in tmp_path.parent.iterdir())


def test_images_of_any_layout_become_rgb(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 9, 3)).astype(np.uint8)
    arrays = {"action": np.zeros((4, 1)), "first": images.transpose(0, 3, 1, 2), "grey": images[..., :1]}
    demos = read(saved(tmp_path, arrays))
    episode = next(demos.episodes())
    assert np.array_equal(episode.obs["first"], images)
    assert np.array_equal(episode.obs["grey"], np.repeat(images[..., :1], 3, -1))
    assert [spec.shape for spec in demos.spec.obs.values()] == [(8, 9, 3)] * 2
    assert sum("images" in item for item in demos.left_out) == 2


def test_success_of_steps_is_said_to_be_left_out(tmp_path: Path) -> None:
    demos = read(saved(tmp_path, {**npz_arrays(), "success": flags(3)}))
    assert next(demos.episodes()).success is None
    assert f"success ({ROWS},) bool" in demos.left_out


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    bombs = np.array([Bomb(tmp_path / "touched")] * 3, dtype=object)
    arrays = {"action": np.zeros((3, 1)), "state": np.zeros((3, 2))}
    demos = read(saved(tmp_path, {**arrays, "infos": bombs}))
    assert len(list(demos.episodes())) == 1
    assert demos.left_out == ("infos: Python objects or records, which are never unpickled",)
    with pytest.raises(DataError, match=r"no observations.*obs \(Python objects or records, which are never"):
        read(saved(tmp_path, {"action": arrays["action"], "obs": bombs}))
    with pytest.raises(DataError, match=r"no array of numbers named action.*never unpickled"):
        read(saved(tmp_path, {"action": bombs, "obs": arrays["state"]}))
    assert not (tmp_path / "touched").exists()


GOOD = {"action.npy": npy(np.zeros((3, 2))), "obs.npy": npy(np.zeros((3, 2)))}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"action.npy": header("(1000000000, 100)") + bytes(64)},
            r"action\.npy is truncated or damaged .*needs",
        ),
        ({"obs.npy": header("(-3, 2)") + bytes(24)}, r"obs\.npy is truncated or damaged"),
        ({"obs.npy": header("(3, 2)") + bytes(20)}, r"obs\.npy is truncated or damaged .*needs"),
        ({"obs.npy": header("(3, 2)") + bytes(28)}, r"obs\.npy is truncated or damaged .*needs"),
        ({"obs.npy": header("(" * 4000)}, r"obs\.npy is truncated or damaged"),
        ({"obs.npy": header("-" * 9000 + "1")}, r"obs\.npy is truncated or damaged"),
        ({"obs.npy": header("__import__('os')")}, r"obs\.npy is truncated or damaged"),
        (
            {"obs.npy": header("(3, 2)", "'<f4'" + " " * 20000) + bytes(24)},
            r"obs\.npy is truncated or damaged",
        ),
        ({"obs.npy": b""}, r"obs\.npy is truncated or damaged"),
        ({"obs.npy": npy(np.full((3, 2), np.nan))}, "obs holds NaN or infinity at step 0 of episode 0"),
        ({"obs.npy": npy(np.zeros((3, 2), complex))}, "holds no observations"),
        ({"action.npy": npy(np.zeros((0, 2)))}, r"action \(0, 2\) float64, expected \(N, Da\)"),
        ({"action.npy": npy(np.array(["left"] * 3))}, r"action \(3,\) <U4, expected \(N, Da\)"),
        ({"episode_ends.npy": npy(np.array([2, 2, 3]))}, "episode_ends must grow"),
        ({"episode_ends.npy": npy(np.array([2, 4]))}, "up to at most 3"),
        ({"episode_ends.npy": npy(np.array([1.5, 3.0]))}, "expected whole numbers"),
        ({"episode_ends.npy": npy(np.array([], int))}, "expected whole numbers"),
        ({"terminals.npy": npy(np.zeros(2, bool))}, "terminals .* expected numbers, 3"),
        ({"timeouts.npy": npy(np.array(["no"] * 3))}, "timeouts .* expected numbers"),
    ],
)
def test_damage_is_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    path = zipped(tmp_path / "a.npz", {**GOOD, **members})
    with pytest.raises(DataError, match=message) as raised:
        import_file(path, tmp_path / "out.zarr")
    assert "a.npz" in str(raised.value) and "\n" not in str(raised.value)
    assert [child.name for child in tmp_path.iterdir()] == ["a.npz"]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    rows = 2**28
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("action.npy", npy(np.zeros((3, 1))))
        info = zipfile.ZipInfo("obs.npy")
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, header(f"({rows}, 2)"))
    content = bytearray(path.read_bytes())
    place = content.rfind(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", len(header(f"({rows}, 2)")) + rows * 8)
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.npz: .* bytes would unpack to .* refused"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


@settings(max_examples=80, derandomize=True)
@given(st.data())
def test_damage_behind_right_checksums(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """What a hostile writer makes: bytes of arrays changed, in a sound zip."""
    members = {**GOOD, "episode_ends.npy": npy(np.array([1, 3])), "facts.npy": npy(np.array(["a", "b"]))}
    name = data.draw(st.sampled_from(sorted(members)))
    content = bytearray(members[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = zipped(tmp_path_factory.mktemp("hostile") / "a.npz", {**members, name: bytes(content)})
    try:
        list(read(path).episodes())
    except ImitateError as error:
        assert "a.npz" in str(error) and "\n" not in str(error)


def test_a_policy_is_no_demonstrations(tmp_path: Path) -> None:
    path = saved(tmp_path, {"w0": np.zeros((4, 3)), "b0": np.zeros(4)}, "policy.npz")
    with pytest.raises(
        DataError, match=r"policy\.npz holds no array of numbers named action.*no demonstr.*w0"
    ):
        import_file(path, tmp_path / "out.zarr")


@pytest.mark.skipif(not SHARED.exists(), reason="the real recordings are not on this machine")
@pytest.mark.parametrize(
    ("name", "episodes", "steps", "obs", "left_out"),
    [
        ("adroit_door/door_human.npz", 25, 6729, {"obs": (39,)}, ["reward"]),
        (
            "pusht/pusht_lowdim.npz",
            206,
            25650,
            {"state": (5,), "keypoint": (9, 2), "n_contacts": (1,)},
            [],
        ),
    ],
)
def test_real_files(
    tmp_path: Path, name: str, episodes: int, steps: int, obs: dict[str, Any], left_out: list[str]
) -> None:
    path = SHARED / name
    found = format_of(path)
    assert found and found.key == "npz"
    demos = read(path)
    assert {key: spec.shape for key, spec in demos.spec.obs.items()} == obs
    assert [item.split()[0] for item in demos.left_out] == left_out
    arrays = np.load(path, allow_pickle=False)
    read_back = list(demos.episodes())
    assert (len(read_back), sum(map(len, read_back))) == (episodes, steps)
    for key in obs:
        joined = np.concatenate([episode.obs[key] for episode in read_back])
        assert np.array_equal(joined.reshape(arrays[key].shape), arrays[key])


@pytest.mark.skipif(not SHARED.exists(), reason="the real recordings are not on this machine")
def test_the_start_of_real_episodes_is_kept() -> None:
    episode = next(read(SHARED / "adroit_door/door_human.npz").episodes())
    assert [len(episode.metadata[key]) for key in ("init_qpos", "init_qvel", "init_door_body_pos")] == [
        30,
        30,
        3,
    ]


@pytest.mark.skipif(not SHARED.exists(), reason="the real recordings are not on this machine")
def test_real_policies_are_no_demonstrations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"door_mlp\.npz holds no array of numbers named action"):
        import_file(SHARED / "adroit_policies/door_mlp.npz", tmp_path / "out.zarr")
