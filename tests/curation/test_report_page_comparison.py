"""Two sets on one page: the same plane and shades, and nothing claimed where they have nothing in common."""

from pathlib import Path

import numpy as np
import pytest
import sample_pages
from judged_sets import judged

from imitate.curation.measurement import Measurement
from imitate.curation.page_comparison import common_projection, comparison_page
from imitate.curation.page_distributions import distributed, edges
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode


def measured_set(folder: Path, name: str, seeds: range) -> Measurement:
    episodes = [sample_pages.episode(seed, 25) for seed in seeds]
    return judged(sample_pages.store(folder / f"{name}.zarr", episodes))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurement, Measurement]:
    folder = tmp_path_factory.mktemp("pair")
    return measured_set(folder, "a", range(8)), measured_set(folder, "b", range(20, 29))


def bare_set(folder: Path, shift: float, size: int = 2) -> Measurement:
    spec = DataSpec({"state": ArraySpec((size,))}, ArraySpec((1,)), rate_hz=10.0)
    store = DemoStore.create(folder / f"{shift}_{size}.zarr", spec)
    generator = np.random.default_rng(0)
    for i in range(4):
        state = generator.normal(size=(30, size)).astype(np.float32) * ([3.0] + [1.0] * (size - 1)) + shift
        store.append(Episode(f"e{i}", {"state": state.astype(np.float32)}, state[:, :1].astype(np.float32)))
    store.close()
    return judged(store)


def test_both_sets_are_shown_under_their_names(pair: tuple[Measurement, Measurement]) -> None:
    page = comparison_page(*pair, ("first <set>", "second"))
    assert "first &lt;set&gt;" in page and "first <set>" not in page and "second" in page
    assert page.count('class="hexes"') == 2 * len(pair[0].steps_scores)
    assert page.count("<figcaption>Length of the demonstrations") == 2


def test_equal_states_lie_at_equal_places(tmp_path: Path) -> None:
    first, second = bare_set(tmp_path, 0.0), bare_set(tmp_path, 5.0)
    a, b = common_projection(first, second)
    assert a.shape == (120, 2) and b.shape == (120, 2)
    # The same cloud moved by the same amount in every dimension: one offset takes each point to its twin.
    offset = b - a
    assert np.abs(offset - offset.mean(axis=0)).max() < 1e-4 and np.linalg.norm(offset[0]) > 1
    again, same = common_projection(first, first)
    assert np.array_equal(again, same)


def test_states_of_another_kind_have_no_common_map(tmp_path: Path) -> None:
    first, second = bare_set(tmp_path, 0.0), bare_set(tmp_path, 1.0, size=3)
    assert [len(plane) for plane in common_projection(first, second)] == [0, 0]
    assert "no common map" in comparison_page(first, second, ("a", "b"))


def test_one_dimension_is_a_line(tmp_path: Path) -> None:
    first, second = bare_set(tmp_path, 0.0, size=1), bare_set(tmp_path, 1.0, size=1)
    a, b = common_projection(first, second)
    assert np.ptp(a[:, 0]) > 0 and not a[:, 1].any() and not b[:, 1].any()
    assert 'class="hexes"' in comparison_page(first, second, ("a", "b"))


def test_bars_are_common(pair: tuple[Measurement, Measurement]) -> None:
    first, second = (distributed(measured)[1].values for measured in pair)
    bounds = edges(first, second)
    assert bounds[0] <= min(first.min(), second.min())
    assert bounds[-1] >= np.quantile(np.r_[first, second], 0.98)
