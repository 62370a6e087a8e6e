"""How punctual a session was: lateness and cost of ticks, latency of inference, age of observations."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KEPT = 100_000
"""Of each quantity so many are kept, the newest: 17 minutes at 100 Hz."""


class Times(deque[float]):
    """The newest times in s, and which of them are not yet recorded."""

    def __init__(self) -> None:
        super().__init__(maxlen=KEPT)
        self._fresh: list[float] = []

    def append(self, value: float) -> None:
        """Add the newest."""
        super().append(value)
        self._fresh.append(value)

    def newest(self, count: int) -> list[float]:
        """The last `count`, the newest first; read place by place, for others add to them meanwhile."""
        return [self[-1 - back] for back in range(min(count, len(self)))]

    def take_fresh(self) -> list[float]:
        """Those that came since this was last asked."""
        fresh, self._fresh = self._fresh, []
        return fresh


@dataclass
class Timings:
    """Counts and times in s of one session.

    late_s: how long after its moment a tick began. busy_s: what a tick took, inference not included.
    latency_s: from a question to its chunk. age_s: of the oldest stream when an observation was taken.
    counts: ticks, missed ticks (begun a whole period late), steps without an action, commands sent and
    dropped.
    """

    late_s: Times = field(default_factory=Times)
    busy_s: Times = field(default_factory=Times)
    latency_s: Times = field(default_factory=Times)
    age_s: Times = field(default_factory=Times)
    counts: Counter[str] = field(default_factory=Counter)

    def tick(self, late_s: float, busy_s: float, period_s: float) -> None:
        """Count one tick of the command rate."""
        self.late_s.append(late_s)
        self.busy_s.append(busy_s)
        self.counts["ticks"] += 1
        self.counts["missed ticks"] += late_s >= period_s

    def recent_latency_s(self) -> float:
        """The longest of the last ten latencies, 0 before there was one (as in arXiv 2506.07339)."""
        return max(self.latency_s.newest(10), default=0.0)

    def take_fresh(self) -> dict[str, list[float]]:
        """All times in ms that came since this was last asked, to the microsecond."""
        return {
            name: [round(1000.0 * value, 3) for value in values.take_fresh()]
            for name, values in self._times().items()
        }

    def to_json(self) -> dict[str, Any]:
        """Median, 99th percentile and largest of each time in ms, and the counts."""
        found: dict[str, Any] = {name: _summary(values) for name, values in self._times().items() if values}
        return {**found, "counts": dict(self.counts)}

    def _times(self) -> Mapping[str, Times]:
        return {
            "late_ms": self.late_s,
            "busy_ms": self.busy_s,
            "latency_ms": self.latency_s,
            "age_ms": self.age_s,
        }


def _summary(seconds: deque[float]) -> dict[str, float]:
    p50, p99, worst = np.percentile(np.array(seconds) * 1000.0, [50, 99, 100])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(worst), 3)}
