"""The limits of every commanded group as the gate uses them, in the order of its values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from imitate.deploy.command import Kind
from imitate.deploy.safety.by_kind import GripperLimits, JumpLimits, ToolLimits


@dataclass(frozen=True)
class AxisBounds:
    """Of one joint, for setpoints every `period` s: soft limits lower and upper (infinite where it turns
    without end), hard limits, velocity, acceleration and jerk (infinite where unlimited).

    acceleration may be less than the user's, so that braking always fits into the velocity and position
    ranges. brake_jerk is what braking uses: with it, acceleration is gained in a whole number of periods.
    """

    lower: float
    upper: float
    hard_lower: float
    hard_upper: float
    velocity: float
    acceleration: float
    jerk: float
    brake_jerk: float
    period: float
    is_continuous: bool
    half_inverse: float = field(init=False)
    half_inverse_jerk: float = field(init=False)
    ramp_time: float = field(init=False)
    bulge: float = field(init=False)
    reserve: float = field(init=False)

    def __post_init__(self) -> None:
        """Numbers for imitate.deploy.safety.axis, which has no time to divide."""
        values = {
            "half_inverse": 0.5 / self.acceleration,
            "half_inverse_jerk": 0.5 / self.brake_jerk,
            "ramp_time": 2 * self.acceleration / self.brake_jerk + 2 * self.period,
            "bulge": self.acceleration * self.period**2,
            "reserve": self.acceleration * (0.5 * self.acceleration / self.brake_jerk + 0.5 * self.period),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def make(
        cls,
        lower: float,
        upper: float,
        velocity: float,
        acceleration: float,
        jerk: float,
        period: float,
        margin: float,
    ) -> "AxisBounds":
        """Tighten acceleration and jerk so that a stop is possible from every state that is allowed.

        Going from full deceleration back to none takes 2/3 A³/J² of the range and A²/(2J) of the speed in
        continuous time, and up to A h² and A h more because setpoints come every h seconds.
        """
        room = upper - lower - 2 * margin
        most = min(acceleration, velocity / period, room / (8 * period**2))
        if math.isfinite(jerk):
            most = min(most, math.sqrt(jerk * velocity), math.cbrt(room * jerk**2 / 8))
        steps = math.ceil(most / (jerk * period) - 1e-9)
        brake_jerk = most / (steps * period) if jerk * period < 2 * most else 2 * most / period
        return cls(
            lower + margin,
            upper - margin,
            lower,
            upper,
            velocity,
            most,
            jerk,
            brake_jerk,
            period,
            math.isinf(room),
        )


@dataclass(frozen=True)
class GroupBounds:
    """Of one group: its kind, the order of its names, and the limits that its kind needs."""

    kind: Kind
    names: tuple[str, ...]
    size: int
    axes: tuple[AxisBounds, ...] = ()
    tool: ToolLimits | None = None
    gripper: GripperLimits | None = None
    is_trajectory: bool = False


@dataclass(frozen=True)
class Bounds:
    """All that a SafetyGate knows: what is allowed by group, jumps from the measured state, the period."""

    groups: Mapping[str, GroupBounds]
    jump: JumpLimits
    period_s: float
