"""Grippers: openings within their range that change no faster than allowed."""

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.safety.bounds import GroupBounds
from imitate.deploy.safety.by_kind import GripperLimits
from imitate.deploy.safety.joints import Findings, Measured, Sent, one_point


class GripperFilter:
    """Openings of one or more grippers.

    What was sent last is compared, not what is measured: fingers that hold something stay behind.
    """

    def __init__(self, bounds: GroupBounds, limits: GripperLimits, period: float) -> None:
        self._bounds, self._limits, self._period = bounds, limits, period
        self._openings: list[float] = []

    @property
    def is_still(self) -> bool:
        """Always: an opening that is kept is one of rest."""
        return True

    def forget(self) -> None:
        """See GroupFilter."""
        self._openings = []

    def paused(self) -> None:
        """See GroupFilter; there is no velocity to forget."""

    def limit(self, command: Command, measured: Measured, anew: bool) -> tuple[Sent, Findings]:
        """See GroupFilter."""
        low, high = self._limits.low, self._limits.high
        before = [] if anew else self._openings
        before = before or [clip_opening(value, low, high) for value in measured.value]
        findings: Findings = []
        openings = []
        for name, last, target in zip(self._bounds.names, before, one_point(command), strict=True):
            inside = clip_opening(target, low, high)
            if inside != target:
                findings.append(("position", f"{name}: {target:.4g} → {inside:.4g}"))
            reachable = limit_change(last, inside, self._limits.speed * self._period)
            if reachable != inside:
                findings.append(("velocity", f"{name}: {inside:.4g} → {reachable:.4g}"))
            openings.append(reachable)
        self._openings = openings
        return self._sent(), findings

    def stop(self, now_s: float) -> Sent | None:
        """See GroupFilter: what it holds it keeps."""
        return self._sent() if self._openings else None

    def _sent(self) -> Sent:
        return Sent(np.array([self._openings]), np.zeros(1))


def clip_opening(opening: float, low: float, high: float) -> float:
    """The nearest opening in range."""
    return min(max(opening, low), high)


def limit_change(before: float, wanted: float, most: float) -> float:
    """`wanted`, or as far towards it as `most` allows."""
    return wanted if abs(wanted - before) <= most else before + (most if wanted > before else -most)
