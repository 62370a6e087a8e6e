"""Which start states a policy has already met: seeds of the episodes that it learnt from or was chosen by.

The seed of an episode fixes its start (see imitate.env.Env), so an evaluation on such seeds says how well a
policy remembers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imitate.parts import TARGET

if TYPE_CHECKING:  # a policy that acts needs no store
    from imitate.datasets.episode_store import EpisodeStore

DEMONSTRATIONS, SELECTION = "demonstrations", "selection"


@dataclass(frozen=True)
class UsedSeeds:
    """Seeds used for one purpose in one environment.

    env: import path of the environment's settings; None where the episodes do not say it. ranges: first and
    last of each run of seeds, both included. without_seed: episodes that do not say how they started, such
    as a person's.
    """

    purpose: str
    env: str | None
    ranges: tuple[tuple[int, int], ...]
    without_seed: int = 0

    @classmethod
    def of(cls, purpose: str, env: str | None, seeds: Iterable[int], without_seed: int = 0) -> "UsedSeeds":
        """The seeds, in any order and repeated as they may be."""
        return cls(purpose, env, tuple(_ranges(sorted(set(seeds)))), without_seed)

    def common(self, env: str, seeds: Iterable[int]) -> list[int]:
        """Those of `seeds` that were used in the environment whose settings are `env`.

        Other settings of one environment count as the same: they may change nothing about the start.
        """
        if self.env not in (env, None):
            return []
        return [seed for seed in seeds if any(first <= seed <= last for first, last in self.ranges)]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "UsedSeeds":
        """Read a dataclass that became plain JSON; raises KeyError, TypeError or ValueError if malformed."""
        ranges = tuple((int(first), int(last)) for first, last in value["ranges"])
        return cls(str(value["purpose"]), value["env"], ranges, int(value["without_seed"]))


def seeds_of(store: "EpisodeStore", episodes: Sequence[int]) -> tuple[UsedSeeds, ...]:
    """The seeds that the `episodes` of `store` started from, one entry per environment."""
    by_env: dict[str | None, list[int | None]] = {}
    for index in episodes:
        known = store.record(index).metadata
        seed = known.get("seed")
        whole = isinstance(seed, int) and not isinstance(seed, bool)
        env = _target(known.get("env", store.metadata.get("env"))) if whole else None
        by_env.setdefault(env, []).append(seed if whole else None)
    return tuple(
        UsedSeeds.of(DEMONSTRATIONS, env, [s for s in seeds if s is not None], seeds.count(None))
        for env, seeds in by_env.items()
    )


def _target(env: Any) -> str | None:
    return env.get(TARGET) if isinstance(env, Mapping) else None


def _ranges(ascending: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for seed in ascending:
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seed)
        else:
            ranges.append((seed, seed))
    return ranges
