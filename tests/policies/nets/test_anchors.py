"""Facts about k-means over chunks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2
from torch import Tensor

from imitate.policies.nets.anchors import distances, elbow, fit_anchors, quantisation

ALL = torch.tensor([True, True])


def random_chunks(count: int, seed: int) -> Tensor:
    return torch.randn(count, 4, 2, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 12), st.integers(0, 9))
def test_distances_are_the_squares_of_differences(anchors: int, seed: int) -> None:
    chunks, centres = random_chunks(7, seed), random_chunks(anchors, seed + 100)
    expected = (chunks[:, None] - centres).square().sum(dim=(2, 3))
    torch.testing.assert_close(distances(chunks, centres, ALL), expected, atol=1e-4, rtol=1e-4)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 20))
def test_every_anchor_is_the_mean_of_its_chunks(count: int, seed: int) -> None:
    chunks = random_chunks(60, seed)
    anchors = fit_anchors(chunks, ALL, count, restarts=1)
    nearest = distances(chunks, anchors, ALL).argmin(dim=1)
    for index in nearest.unique():
        torch.testing.assert_close(anchors[index], chunks[nearest == index].mean(dim=0))


def test_separate_clusters_are_found() -> None:
    centres = 10 * random_chunks(8, 0)
    chunks = (centres[:, None] + 0.1 * random_chunks(8 * 25, 1).unflatten(0, (8, 25))).flatten(0, 1)
    anchors = fit_anchors(chunks, ALL, 8)
    gaps = distances(centres, anchors, ALL).amin(dim=1).sqrt()
    assert gaps.max() < 0.2
    assert quantisation(chunks, anchors, ALL).rms == pytest.approx(0.1, rel=0.1)


def test_as_good_as_scipy() -> None:
    chunks = random_chunks(400, 3)
    ours = quantisation(chunks, fit_anchors(chunks, ALL, 12), ALL).rms
    flat = chunks.flatten(1).numpy().astype(np.float64)
    runs = [kmeans2(flat, 12, iter=50, minit="++", seed=seed) for seed in range(10)]
    theirs = min(np.sqrt(np.square(flat - centres[nearest]).mean()) for centres, nearest in runs)
    assert ours < 1.02 * theirs


def test_the_same_chunks_give_the_same_anchors() -> None:
    chunks = random_chunks(100, 0)
    first = fit_anchors(chunks, ALL, 5)
    torch.manual_seed(99)  # the global generator must not matter
    assert torch.equal(first, fit_anchors(chunks, ALL, 5))


def test_fewer_different_chunks_than_anchors() -> None:
    chunks = torch.stack([torch.zeros(4, 2), torch.ones(4, 2)]).repeat(3, 1, 1)
    anchors = fit_anchors(chunks, ALL, 5)
    assert anchors.isfinite().all()
    assert quantisation(chunks, anchors, ALL).rms < 1e-6


def test_a_dimension_that_is_not_clustered_by_has_no_say() -> None:
    chunks = random_chunks(100, 0)
    chunks[..., 1] *= 1000
    only_first = torch.tensor([True, False])
    anchors = fit_anchors(chunks, only_first, 6)
    chunks[..., 1] += 7 * torch.randn(100, 4)
    others = fit_anchors(chunks, only_first, 6)
    assert torch.equal(anchors[..., 0], others[..., 0])
    assert not torch.equal(anchors[..., 1], others[..., 1])


def test_the_elbow_falls_and_flattens() -> None:
    centres = 5 * random_chunks(4, 0)
    chunks = centres[torch.arange(200) % 4] + 0.1 * random_chunks(200, 1)
    errors = [each.rms for each in elbow(chunks, ALL, [1, 2, 4, 8])]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] - errors[2] > 10 * (errors[2] - errors[3])


def test_error_per_dimension() -> None:
    chunks = torch.zeros(2, 4, 2)
    chunks[1, :, 0] = 2.0
    found = quantisation(chunks, torch.ones(1, 4, 2) * torch.tensor([1.0, 0.0]), ALL)
    assert found.per_dimension == (1.0, 0.0)
    assert found.rms == pytest.approx(0.5**0.5)
