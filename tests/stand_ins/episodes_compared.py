"""Comparing the episodes of stores."""

import numpy as np

from imitate.datasets.episode_store import EpisodeStore
from imitate.types import Episode


def require_equal(found: Episode, expected: Episode, renamed: dict[str, str] | None = None) -> None:
    names = renamed or {}
    assert {names.get(key, key) for key in expected.obs} == set(found.obs)
    for key, values in expected.obs.items():
        assert np.array_equal(found.obs[names.get(key, key)], values)
    assert np.array_equal(found.action, expected.action)
    for field in ("id", "success", "source", "operator", "rate_hz"):
        assert getattr(found, field) == getattr(expected, field)


def ids(store: EpisodeStore) -> list[str]:
    return [store.record(index).id for index in range(len(store))]
