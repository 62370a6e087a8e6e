"""How much of a data set is looked at: which episodes, and which of their arrays are read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.inspection import reading
from imitate.inspection.reading import is_narrow, sample
from imitate.types import ArraySpec, DataSpec, Episode


@dataclass
class Stream:
    """Foreign demonstrations that count how many of their episodes were read."""

    count: int
    steps: int = 20
    given: list[str] = field(default_factory=list)
    spec: DataSpec = sample_pages.SPEC
    source: str = "a stream"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ("the lid",)

    def __len__(self) -> int:
        return self.count

    def episodes(self) -> Iterator[Episode]:
        for i in range(self.count):
            self.given.append(f"seed{i}")
            yield sample_pages.episode(i, self.steps)


def made(path: Path, episodes: int) -> DemoStore:
    return sample_pages.store(path / "d.zarr", [sample_pages.episode(i, 10 + i) for i in range(episodes)])


def test_all_of_a_small_store_is_read_and_its_images_when_asked_for(tmp_path: Path) -> None:
    store = made(tmp_path, 4)
    looks = list(sample(store).looks)
    assert [look.index for look in looks] == [0, 1, 2, 3]
    for look in looks:
        whole = store.episode(look.index)
        assert set(look.arrays) == {"action", "arm"} and set(look.wide) == {"camera"}
        np.testing.assert_array_equal(look.arrays["arm"], whole.obs["arm"])
        steps = np.array([0, 3, look.record.steps - 1])
        np.testing.assert_array_equal(look.wide["camera"][steps], whole.obs["camera"][steps])


def test_of_a_store_episodes_are_spread(tmp_path: Path) -> None:
    assert sample(made(tmp_path, 9), 3).indices == (0, 4, 8)


def test_of_a_stream_only_the_first_are_read() -> None:
    stream = Stream(9)
    assert [look.record.id for look in sample(stream, 3).looks] == ["seed0", "seed1", "seed2"]
    assert stream.given == ["seed0", "seed1", "seed2"]


@pytest.mark.parametrize("budget", ["KEPT_BYTES", "READ_BYTES"])
def test_a_budget_bounds_what_is_read(budget: str, monkeypatch: pytest.MonkeyPatch) -> None:
    per_step = {"KEPT_BYTES": 5 * 4, "READ_BYTES": 5 * 4 + 8 * 8 * 3}[budget]
    monkeypatch.setattr(reading, budget, per_step * 20 * 4)
    assert len(list(sample(Stream(9)).looks)) == 4
    monkeypatch.setattr(reading, budget, 1)
    assert len(list(sample(Stream(9)).looks)) == 1
    assert len(list(sample(Stream(9), 9).looks)) == 9


@settings(max_examples=60)
@given(st.integers(1, 40), st.one_of(st.none(), st.integers(1, 60)))
def test_numbers_of_episodes_rise_and_keep_the_limit(count: int, limit: int | None) -> None:
    indices = sample(Stream(count, steps=2), limit).indices
    assert list(indices) == sorted(set(indices)) and indices[0] >= 0 and indices[-1] < count
    assert len(indices) == min(count, limit or count)


def test_nothing_to_look_at_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no episodes yet"):
        sample(sample_pages.store(tmp_path / "d.zarr", []))
    with pytest.raises(DataError, match="holds no episodes"):
        sample(Stream(0))


def test_images_and_depth_are_wide() -> None:
    assert is_narrow(ArraySpec((39,))) and is_narrow(ArraySpec((9, 2)))
    assert not is_narrow(ArraySpec((4, 4, 3), "uint8")) and not is_narrow(ArraySpec((480, 640)))
