"""Large arrays lie in a file and hold the same; small ones are left alone."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.quality import room as place
from imitate.datasets.quality.diversity import displacements
from imitate.datasets.quality.features import standardize
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import transition_features
from imitate.datasets.quality.room import blocks, covariance, in_blocks, joined, moments, room
from imitate.errors import DataError


def on_disk(monkeypatch: pytest.MonkeyPatch, block: int = 7) -> None:
    monkeypatch.setattr(place, "IN_MEMORY", 0)
    monkeypatch.setattr(place, "BLOCK", block)


def mapped() -> int:
    """Bytes of this process that are in files without a name."""
    size = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("(deleted)") and tempfile.gettempdir() in line:
            low, high = line.split()[0].split("-")
            size += int(high, 16) - int(low, 16)
    return size


def test_a_large_array_is_in_a_file_that_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(place, "IN_MEMORY", 1 << 20)
    small = room((1 << 10,), np.uint8)
    assert mapped() == 0
    large = room((3 << 10, 1 << 10), np.uint8)
    large[:] = 7
    assert mapped() == large.nbytes and (large == 7).all() and small.nbytes == 1 << 10
    assert not list(tmp_path.iterdir())
    del large
    assert mapped() == 0


def test_a_full_disk_is_one_line() -> None:
    free = os.statvfs(tempfile.gettempdir())
    with pytest.raises(DataError, match=r"no room for .* GB .* TMPDIR"):
        room((free.f_blocks * free.f_frsize * 2,), np.uint8)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 40), block=st.integers(1, 12))
def test_blocks_make_up_the_whole(size: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        on_disk(patch, block)
        assert [i for at in blocks(size) for i in range(size)[at]] == list(range(size))
        values = np.arange(size * 2.0).reshape(size, 2)
        np.testing.assert_array_equal(in_blocks(size, lambda at: values[at] + 1), values + 1)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 60), seed=st.integers(0, 5))
def test_moments_are_those_of_numpy(size: int, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    values = (1e3 + drawn.standard_normal((size, 3))).astype(np.float32)
    chosen = drawn.random(size) < 0.7
    chosen[0] = True
    with pytest.MonkeyPatch.context() as patch:
        on_disk(patch)
        for mask in (None, chosen):
            mean, std = moments(values, mask)
            own = values.astype(np.float64)[slice(None) if mask is None else mask]
            np.testing.assert_allclose(mean, own.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(std, own.std(axis=0), rtol=1e-9, atol=1e-12)
        mean, spread = covariance(values, chosen)
        own = values[chosen].astype(np.float64)
        np.testing.assert_allclose(mean, own.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(spread, (own - mean).T @ (own - mean) / len(own), rtol=1e-9, atol=1e-12)


def test_what_is_measured_does_not_depend_on_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(0)
    states = [drawn.standard_normal((n, 4)) for n in (9, 1, 30, 17)]
    actions = [drawn.standard_normal((len(one), 2)) for one in states]

    def measured() -> list[np.ndarray]:
        frames = Frames.of(states, actions)
        both = [transition_features(frames), displacements(frames), standardize(joined(states))]
        return [frames.state, frames.action, *both]

    here = measured()
    on_disk(monkeypatch)
    for one, other in zip(here, measured(), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
