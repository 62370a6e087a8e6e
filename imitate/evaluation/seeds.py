"""Whether an evaluation starts where the policy has been before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imitate.checkpoint import CheckpointInfo
from imitate.datasets.used_seeds import DEMONSTRATIONS, SELECTION, UsedSeeds
from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.parts import TARGET, to_json

WORDS = {DEMONSTRATIONS: "its demonstrations start there", SELECTION: "training chose its checkpoint there"}


@dataclass(frozen=True)
class SeedCheck:
    """Seeds of an evaluation against those that the policy has met.

    overlap: {purpose: seeds in common}. unknown: why it cannot be known that there is no other overlap.
    """

    overlap: dict[str, list[int]]
    unknown: str | None

    @classmethod
    def of(cls, info: CheckpointInfo, env: EnvConfig, seeds: Sequence[int]) -> "SeedCheck":
        """Compare `seeds` in `env` with those in the checkpoint."""
        target, used = to_json(env)[TARGET], info.used_seeds or ()
        overlap: dict[str, list[int]] = {}
        for one in used:
            if common := one.common(target, seeds):
                overlap.setdefault(one.purpose, []).extend(common)
        return cls(overlap, _unknown(info.used_seeds))

    @property
    def verdict(self) -> str:
        """ "overlap", "disjoint", or "unknown"."""
        if self.overlap:
            return "overlap"
        return "unknown" if self.unknown else "disjoint"

    def require_disjoint(self, where: str) -> None:
        """Raise ConfigError where there is an overlap; `where` names the checkpoint."""
        for purpose, seeds in self.overlap.items():
            raise ConfigError(
                f"seed {_range(seeds)} is not new to {where}: {WORDS.get(purpose, purpose)}; success "
                "there says little about other starts: choose another  seed=  (100000 by default), or add  "
                "allow_used_seeds=true"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"check": self.verdict, "overlap": self.overlap, "unknown": self.unknown}

    def line(self) -> str:
        """What a person should know."""
        if self.overlap:
            parts = [f"{_range(seeds)} ({WORDS.get(why, why)})" for why, seeds in self.overlap.items()]
            return f"NOT NEW to the policy: {', '.join(parts)}"
        return f"new to the policy as far as known: {self.unknown}" if self.unknown else "new to the policy"


def _unknown(used: tuple[UsedSeeds, ...] | None) -> str | None:
    if used is None:
        return "the checkpoint does not say which seeds it has met"
    without = sum(one.without_seed for one in used)
    return f"{without} of its demonstrations have no seed" if without else None


def _range(seeds: Sequence[int]) -> str:
    return f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(seeds[0])
