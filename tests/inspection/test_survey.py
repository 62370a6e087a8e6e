"""What a survey says of data whose numbers are known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sample_pages

from imitate.datasets.store import DemoStore
from imitate.datasets.timing import KEY, timing
from imitate.inspection.facts import (
    duration_s,
    outcome_words,
    rate_words,
    remarks_on,
    sample_words,
    timing_words,
    unit_words,
)
from imitate.inspection.reading import Look
from imitate.inspection.survey import SHOWN, Survey, survey
from imitate.types import ArraySpec, DataSpec, Episode


def surveyed(
    folder: Path, count: int = 9, limit: int | None = None
) -> tuple[Survey, list[Episode], list[Look]]:
    episodes = [sample_pages.episode(i, 10 + i, success=i != 1) for i in range(count)]
    store = sample_pages.store(folder / "d.zarr", episodes)
    visited: list[Look] = []
    return survey(store, store.path, "imitate store", limit, visits=[visited.append]), episodes, visited


def test_dimensions_are_those_of_all_steps(tmp_path: Path) -> None:
    found, episodes, _ = surveyed(tmp_path)
    arm = np.concatenate([one.obs["arm"] for one in episodes])
    for i, one in enumerate(found.dimensions["arm"]):
        expected = arm[:, i].min(), arm[:, i].max(), arm[:, i].mean(), arm[:, i].std()
        np.testing.assert_allclose([one.min, one.max, one.mean, one.std], expected, rtol=1e-5, atol=1e-6)
    assert [one.name for one in found.dimensions["action"]] == ["vx", "vy"]
    assert list(found.dimensions) == ["action", "arm"] and found.is_complete
    assert found.steps == len(arm) and duration_s(found) == len(arm) / 10


def test_the_shown_ones_are_visited_and_found_again(tmp_path: Path) -> None:
    found, episodes, visited = surveyed(tmp_path)
    assert len(visited) == len(found.shown) == SHOWN and visited[0].index == 0 and visited[-1].index == 8
    for place, look in zip(found.shown, visited, strict=True):
        assert found.record_at(place).id == look.record.id
        rows = found.arrays["arm"][found.rows(place)]
        np.testing.assert_array_equal(rows, episodes[look.index].obs["arm"])


def test_of_a_part_everything_is_about_that_part(tmp_path: Path) -> None:
    found, episodes, _ = surveyed(tmp_path, limit=2)
    assert found.read == (0, 8) and not found.is_complete
    assert found.arrays["arm"].shape[0] == len(episodes[0]) + len(episodes[8])
    assert found.steps == sum(map(len, episodes)), "a store knows the length of every episode"
    assert sample_words(found) == "2 of 9 episodes were read, evenly spread"
    assert outcome_words(found) == "8 successes, 1 failures, 0 not judged"


def test_a_wide_array_is_told_from_a_few_steps(tmp_path: Path) -> None:
    spec = DataSpec({"depth": ArraySpec((20, 20))}, ArraySpec((1,)))
    depth = np.broadcast_to(np.arange(30, dtype=np.float32)[:, None, None], (30, 20, 20))
    with DemoStore.create(tmp_path / "d.zarr", spec) as store:
        store.append(Episode("one", {"depth": depth}, np.zeros((30, 1), np.float32)))
        found = survey(store, store.path, "imitate store")
    assert found.wide["depth"].min() == 0 and found.wide["depth"].max() == 29
    assert len(found.wide["depth"]) == 8 * 400 and "depth" not in found.arrays
    assert rate_words(found) == "rate unknown" and duration_s(found) is None


def test_time_stamps_are_told(tmp_path: Path) -> None:
    stamps = np.arange(30) / 10
    stamps[20:] += 0.4
    stamps[5] += 0.01
    one = sample_pages.episode(0, 30)
    episode = Episode(one.id, one.obs, one.action, rate_hz=10.0, metadata={KEY: timing(stamps, 10.0)})
    store = sample_pages.store(tmp_path / "d.zarr", [episode])
    assert timing_words(survey(store, store.path, "t")) == "10 Hz measured, jitter up to 2.67 ms, 1 gap"


def test_what_nobody_asked_for_is_not_left_out() -> None:
    @dataclass
    class Counting:
        """Says when it is closed that nobody read the rest."""

        left_out: tuple[str, ...] = ("the lid",)
        spec: DataSpec = sample_pages.SPEC
        source: str = "a stream"
        metadata: Mapping[str, Any] = field(default_factory=dict)

        def __len__(self) -> int:
            return 5

        def episodes(self) -> Iterator[Episode]:
            try:
                yield from (sample_pages.episode(i) for i in range(5))
            finally:
                self.left_out = ("the lid", "the rest")

    assert survey(Counting(), Path("x"), "t", limit=2).left_out == ("the lid",)


def test_units_are_said_as_far_as_they_are_known() -> None:
    assert unit_words(ArraySpec((2,))) == "units unknown"
    assert unit_words(ArraySpec((2,), names=("x", "y"))) == "units unknown: x, y"
    assert unit_words(ArraySpec((2,), names=("x", "grip"), units=("m", ""))) == "x [m], grip"


def test_remarks_name_what_contradicts_the_spec(tmp_path: Path) -> None:
    spec = DataSpec({}, ArraySpec((3,), low=(-1.0, -1.0, 0.0), high=(1.0, 1.0, 1.0)))
    action = np.zeros((40, 3), np.float32)
    action[:, 0] = np.linspace(-2, 1, 40)
    action[20:, 2] = 1
    with DemoStore.create(tmp_path / "d.zarr", spec) as store:
        store.append(Episode("one", {}, action))
        beyond, constant, switch = survey(store, store.path, "t").dimensions["action"]
    assert remarks_on(beyond) == ["✕ leaves its declared range −1 … 1"]
    assert remarks_on(constant) == ["declared −1 … 1", "constant"]
    assert remarks_on(switch) == ["declared 0 … 1", "two values"]
