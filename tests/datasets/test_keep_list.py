"""Keep-lists: written, read, and obeyed by the windows that training draws."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.keep_list import read_keep_list, write_keep_list
from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.datasets.store import DemoStore
from imitate.datasets.windows import WindowSampler
from imitate.errors import ConfigError, DataError
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec, Episode

HORIZONS = Horizons(obs_steps=2, pred_steps=4, action_steps=2)


@pytest.fixture
def store(tmp_path: Path) -> DemoStore:
    """Three episodes of 10 steps whose action is the number of the row."""
    made = DemoStore.create(tmp_path / "d.zarr", DataSpec({"x": ArraySpec((1,))}, ArraySpec((1,))))
    for i in range(3):
        rows = np.arange(10 * i, 10 * i + 10, dtype=np.float32)[:, None]
        made.append(Episode(f"e{i}", {"x": rows}, rows))
    made.close()
    return made


def keep_list(store: DemoStore, path: Path, episodes: list[dict[str, Any]]) -> Path:
    write_keep_list(path, episodes, store.content_hash(), {"method": "test"})
    return path


def data(store: DemoStore, path: Path, **settings: Any) -> TrainingData:
    config = DataConfig(str(store.path), keep=str(path), val_fraction=0.0, **settings)
    return prepare(config, HORIZONS, None, batch_size=64, seed=0)


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 4), st.randoms()
)
def test_windows_hold_no_step_that_does_not_count(
    lengths: list[int], obs_steps: int, more: int, random: Any
) -> None:
    ends = np.cumsum(lengths)
    counts = np.array([random.random() < 0.7 for _ in range(ends[-1])])
    pred_steps = obs_steps + more
    whole = WindowSampler(ends, obs_steps, pred_steps)
    cut = WindowSampler(ends, obs_steps, pred_steps, counts=counts)
    windows = cut.windows(np.arange(len(cut)))
    assert counts[windows.action_rows[~windows.is_pad]].all()
    assert windows.obs_rows[:, -1].tolist() == np.flatnonzero(counts).tolist()
    # Of its own step no window is deprived, and nothing is padded that is reached without crossing a cut.
    assert not windows.is_pad[:, obs_steps - 1].any()
    plain = whole.windows(np.flatnonzero(counts))
    for row, before, after in zip(plain.action_rows, plain.is_pad, windows.is_pad, strict=True):
        for step in range(pred_steps):
            low, high = sorted((step, obs_steps - 1))
            assert after[step] == (before[step] or not counts[row[low : high + 1]].all())


def test_weights_of_episodes_and_segments_multiply(store: DemoStore, tmp_path: Path) -> None:
    segments = [{"start": 2, "stop": 5, "weight": 0.5}, {"start": 4, "stop": 6, "weight": 0.0}]
    path = keep_list(store, tmp_path / "k.json", [{"id": "e1", "weight": 0.8, "segments": segments}])
    chosen = read_keep_list(path, store, store.content_hash())
    assert chosen.episodes == (0, 1, 2)
    assert chosen.weights[:10].tolist() == [1.0] * 10
    assert np.allclose(chosen.weights[10:20], [0.8, 0.8, 0.4, 0.4, 0, 0, 0.8, 0.8, 0.8, 0.8])


def test_batches_carry_the_weight_of_their_step_and_leave_out_what_is_cut(
    store: DemoStore, tmp_path: Path
) -> None:
    episodes = [
        {"id": "e0", "keep": False},
        {"id": "e1", "segments": [{"start": 4, "stop": 6, "weight": 0.0}]},
        {"id": "e2", "weight": 0.25},
    ]
    loader = data(store, keep_list(store, tmp_path / "k.json", episodes)).train
    assert len(loader) == 8 + 10
    for batch in loader.epoch_batches():
        now = batch.obs["x"][:, -1, 0].numpy()
        assert not set(now) & {*range(10), 14.0, 15.0}
        assert np.allclose(batch.weight, np.where(now >= 20, 0.25, 1.0))
        learnt = batch.action[..., 0].numpy()[~batch.is_pad.numpy()]
        assert not set(learnt) & {14.0, 15.0}


def test_weighted_sampling_draws_by_weight(store: DemoStore, tmp_path: Path) -> None:
    path = keep_list(store, tmp_path / "k.json", [{"id": "e0", "weight": 3.0}, {"id": "e2", "weight": 0.0}])
    loader = data(store, path, weighting="sampling").train
    drawn = np.concatenate([loader.batch(step).obs["x"][:, -1, 0].numpy() for step in range(30)])
    assert (loader.batch(0).weight == 1).all() and drawn.max() < 20
    assert np.mean(drawn < 10) == pytest.approx(0.75, abs=0.04)
    again = data(store, path, weighting="sampling").train
    assert (again.batch(7).action == loader.batch(7).action).all()


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({"start": 2, "stop": 11, "weight": 0.0}, "'e1' has 10 steps, but a segment goes from 2 to 11"),
        ({"start": 5, "stop": 5, "weight": 0.0}, "goes from 5 to 5"),
        ({"start": 5}, "each of 'segments' needs 'start', 'stop' and 'weight'"),
        ({"start": 0, "stop": 1, "weight": -1.0}, "weights must be finite and not negative"),
    ],
)
def test_bad_segments_are_one_clear_line(
    store: DemoStore, tmp_path: Path, segment: dict[str, Any], message: str
) -> None:
    path = keep_list(store, tmp_path / "k.json", [{"id": "e1", "segments": [segment]}])
    with pytest.raises(DataError, match=message):
        read_keep_list(path, store, store.content_hash())


def test_an_unknown_weighting_is_answered_with_the_nearest(store: DemoStore) -> None:
    with pytest.raises(ConfigError, match=r"data.weighting is 'samplin'.*sampling"):
        DataConfig(str(store.path), weighting="samplin")  # type: ignore[arg-type]


def test_a_list_is_written_whole_or_not_at_all(store: DemoStore, tmp_path: Path) -> None:
    path = keep_list(store, tmp_path / "deep" / "k.json", [])
    before = path.read_text()
    with pytest.raises(TypeError):
        write_keep_list(path, [{"id": object()}], "hash", {})
    assert path.read_text() == before
    assert [p.name for p in path.parent.iterdir()] == ["k.json"]
    assert json.loads(before)["made_by"] == {"method": "test"}
