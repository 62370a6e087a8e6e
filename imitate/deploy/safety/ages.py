"""Whether what is known of the robot is still true: ages of streams, the local clock, the emergency stop.

Ages are judged by local arrival, never by the robot's stamps: two machines' clocks differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from imitate.deploy.robot import Reading, Snapshot
from imitate.errors import ConfigError

DEFAULT_PERIODS = 3
"""Streams without a maximum age of their own may be this many control periods old."""

LARGEST_STEP_S = 5.0
"""Two ticks further apart than this are a clock that jumped, or a machine that slept."""


@dataclass(frozen=True)
class Freshness:
    """stale: the streams that must not be acted on, as "observations.NAME" or "measured.GROUP".

    fault: what is wrong with the clock, None where nothing is.
    """

    stale: tuple[str, ...] = ()
    fault: str | None = None


class AgeGate:
    """Judges every stream of a snapshot by when it arrived.

    max_age_s: by "observations.NAME" or "measured.GROUP", in s; None for three control periods of
    `period_s`. A stream that never came, is invalid, or claims to have come in the future is stale.
    """

    def __init__(self, max_age_s: Mapping[str, float | None], period_s: float) -> None:
        self._streams: list[tuple[str, bool, str, float]] = []
        for name, age in max_age_s.items():
            part, _, key = name.partition(".")
            limit = DEFAULT_PERIODS * period_s if age is None else age
            if part not in ("observations", "measured") or not key:
                raise ConfigError(
                    f"maximum age of {name!r}: expected observations.NAME or measured.GROUP as the key"
                )
            if not (math.isfinite(limit) and limit > 0):
                raise ConfigError(f"maximum age of {name} is {limit}, expected a time in s above 0")
            self._streams.append((name, part == "measured", key, limit))
        self._last_s = -math.inf

    def check(self, snapshot: Snapshot, now_s: float) -> Freshness:
        """What is stale at `now_s`, local monotonic time in s; call it once per tick."""
        fault = self._clock_fault(now_s)
        stale = tuple(
            name
            for name, is_measured, key, limit in self._streams
            if is_stale((snapshot.measured if is_measured else snapshot.observations).get(key), now_s, limit)
        )
        return Freshness(stale, fault)

    def _clock_fault(self, now_s: float) -> str | None:
        last, self._last_s = self._last_s, now_s
        if not math.isfinite(now_s):
            self._last_s = last
            return f"the clock reads {now_s}"
        if now_s < last:
            return f"the clock went back by {last - now_s:.3g} s"
        if now_s - last > LARGEST_STEP_S and last > -math.inf:
            return f"the clock jumped by {now_s - last:.3g} s"
        return None


@dataclass(frozen=True)
class EmergencyStop:
    """required: whether silence means stop; max_age_s: how long it may be silent."""

    required: bool = False
    max_age_s: float = 1.0

    def pressed(self, snapshot: Snapshot, now_s: float) -> str | None:
        """Why the robot must stop; None where it need not. A press counts however old it is."""
        reading = snapshot.stop
        if reading is not None and reading.valid and bool(reading.value.any()):
            return "the emergency stop is pressed"
        if not self.required or not is_stale(reading, now_s, self.max_age_s):
            return None
        return f"the emergency stop has been silent for more than {self.max_age_s:g} s"


def is_stale(reading: Reading | None, now_s: float, max_age_s: float) -> bool:
    """Whether `reading` must not be acted on at `now_s`; anything that is not a number counts as stale."""
    if reading is None or not reading.valid:
        return True
    return not -max_age_s <= now_s - reading.arrived_s <= max_age_s
