"""Demonstrations that are the same recording twice."""

from collections.abc import Sequence


def exact_duplicates(digests: Sequence[str]) -> dict[int, int]:
    """Index of every repeated digest -> index of its first occurrence, which is not listed itself.

    A digest is a hash of an episode's arrays, such as imitate.datasets.episode_store.arrays_digest.
    """
    first: dict[str, int] = {}
    repeated = {}
    for index, digest in enumerate(digests):
        if digest in first:
            repeated[index] = first[digest]
        else:
            first[digest] = index
    return repeated
