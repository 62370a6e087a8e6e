"""PointNet and the normalisation of sets of points: facts about sets."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.normalize import ArrayStatistics, PointsNormalizer
from imitate.policies.nets.points import PointsConfig


@given(seed=st.integers(0, 2**32 - 1))
def test_neither_order_nor_repetition_matters(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    net = PointsConfig(width=16, features=8).build(3)
    points = torch.randn(2, 7, 3, generator=generator)
    order = torch.randperm(7, generator=generator)
    expected = net(points)
    torch.testing.assert_close(net(points[:, order]), expected)
    torch.testing.assert_close(net(torch.cat([points, points[:, :2]], dim=1)), expected)


def test_all_points_are_mapped_alike_and_fill_the_range() -> None:
    clouds = np.random.default_rng(0).uniform([-1, 2, 0], [3, 2.5, 10], (50, 6, 3))
    flat = clouds.reshape(50, -1)
    for mode in ("minmax", "gaussian"):
        normalizer = PointsNormalizer(3, mode)
        normalizer.fit(ArrayStatistics(flat.min(0), flat.max(0), flat.mean(0), flat.std(0)))
        seen = normalizer(torch.tensor(clouds)).reshape(-1, 3)
        if mode == "minmax":
            torch.testing.assert_close(seen.amin(0), torch.full((3,), -1.0))
            torch.testing.assert_close(seen.amax(0), torch.ones(3))
        else:
            torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
            torch.testing.assert_close(seen.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)
