"""How one joint may go on: setpoints that keep velocity, acceleration and jerk, and leave room to stop.

Setpoints come every h seconds. v = (p - p₋)/h, a = (v - v₋)/h and (a - a₋)/h are the differences of what was
sent, and it is these that are limited.

Braking: the setpoints are the control points of a uniform cubic B-spline, whose third derivative between
two knots is their third difference (de Boor, A Practical Guide to Splines, 1978, chapter X). At the newest
knot the curve is at p - v h + a h²/6 with velocity v - a h/2 and acceleration a. Braking lowers a in equal
steps, none larger than the jerk allows, to the largest deceleration, and the curve's height under a constant
jerk and then a constant deceleration is a closed formula. A control point lies at most A h²/6 above the
curve. A state from which the braking curve, plus that, stays below the limit passes this property on to the
state after one step of braking; so as long as only such states are entered, a stop before the limit is
always possible. The same holds of velocity, with the steps that bring a to 0.
"""

import math
from typing import NamedTuple

from imitate.deploy.safety.bounds import AxisBounds

SLACK = 1e-9
"""Relative: what rounding may add to a limit."""

GENTLER = 0.8
"""Share of the jerk that coming to rest at a goal is planned with; the rest makes up for whole periods."""

HALVINGS = 7
"""How often the stretch between the hardest braking and what was asked is halved: 1/128 of it is left."""

GOAL_HALVINGS = 5
"""The same on the way to a goal, where less will do."""


class Motion(NamedTuple):
    """Where a joint was last sent, the two differences of what was sent, and what was last asked."""

    position: float
    velocity: float = 0.0
    acceleration: float = 0.0
    target: float = math.nan


class Walls(NamedTuple):
    """What braking must respect: positions, and velocities."""

    lower: float
    upper: float
    slowest: float
    fastest: float


def toward_position(
    motion: Motion, target: float, lower: float, upper: float, bounds: AxisBounds
) -> tuple[Motion, str | None]:
    """One setpoint on towards `target`, which is at lower to upper, and the first rule that was in the way.

    Where no rule is, the target is reached at once, so a course within the limits passes as it is. Where one
    was, the joint catches up such that it can keep to the target's course from then on.
    """
    h = bounds.period
    velocity = (target - motion.position) / h
    wanted, rule = _limited(motion, velocity, bounds)
    course = 0.0 if math.isnan(motion.target) else limit_velocity((target - motion.target) / h, bounds)
    is_catching_up = motion.position != motion.target
    if rule is None and is_catching_up and not _can_follow(course, velocity, wanted, bounds):
        rule = "arrival"
    if rule:
        behind = target - course * h - motion.position
        wanted = _arriving(behind, motion.velocity - course, motion.acceleration, wanted, bounds)
    chosen = limit_braking(motion, wanted, Walls(lower, upper, *_speeds(bounds)), bounds)
    if rule is None and chosen == wanted:
        return Motion(target, velocity, wanted, target), None
    return after(motion, chosen, h)._replace(target=target), rule or "braking"


def toward_velocity(
    motion: Motion, target: float, lower: float, upper: float, bounds: AxisBounds
) -> tuple[Motion, str | None]:
    """One setpoint on towards the velocity `target`, and the first rule that was in the way."""
    wanted, rule = _limited(motion, target, bounds)
    if rule:
        wanted = limit_braking(motion, wanted, _speed_goal(motion, target, bounds), bounds)
    chosen = limit_braking(motion, wanted, Walls(lower, upper, *_speeds(bounds)), bounds)
    if rule is None and chosen == wanted:
        return Motion(motion.position + target * bounds.period, target, wanted), None
    return after(motion, chosen, bounds.period), rule or "braking"


def coming_to_rest(motion: Motion, lower: float, upper: float, bounds: AxisBounds) -> Motion:
    """One setpoint on towards rest, within `lower` to `upper`; a joint at rest stays where it is."""
    if motion.velocity == 0 and motion.acceleration == 0:
        return motion
    wanted, _ = _limited(motion, 0.0, bounds)
    slowed = limit_braking(motion, wanted, _speed_goal(motion, 0.0, bounds), bounds)
    chosen = limit_braking(motion, slowed, Walls(lower, upper, *_speeds(bounds)), bounds)
    if chosen == -motion.velocity / bounds.period:
        return Motion(motion.position, 0.0, chosen)
    return after(motion, chosen, bounds.period)


def limit_velocity(velocity: float, bounds: AxisBounds) -> float:
    """The nearest velocity that is allowed."""
    return min(max(velocity, -bounds.velocity), bounds.velocity)


def limit_acceleration(acceleration: float, bounds: AxisBounds) -> float:
    """The nearest acceleration that is allowed."""
    return min(max(acceleration, -bounds.acceleration), bounds.acceleration)


def limit_jerk(acceleration: float, before: float, bounds: AxisBounds) -> float:
    """The acceleration nearest to `acceleration` that follows on `before`."""
    most = bounds.jerk * bounds.period
    return min(max(acceleration, before - most), before + most)


def limit_braking(motion: Motion, acceleration: float, walls: Walls, bounds: AxisBounds) -> float:
    """The acceleration nearest to `acceleration` after which a stop within `walls` is still possible.

    Where none is, the one that brakes hardest.
    """
    p, v, a, _ = motion
    if walls.upper < math.inf or walls.fastest < math.inf:
        acceleration = _lowered(p, v, a, acceleration, walls.upper, walls.fastest, bounds)
    if walls.lower > -math.inf or walls.slowest > -math.inf:
        acceleration = -_lowered(-p, -v, -a, -acceleration, -walls.lower, -walls.slowest, bounds)
    return acceleration


def after(motion: Motion, acceleration: float, period: float) -> Motion:
    """One setpoint later."""
    velocity = motion.velocity + acceleration * period
    return Motion(motion.position + velocity * period, velocity, acceleration)


def can_stop_below(p: float, v: float, a: float, upper: float, fastest: float, bounds: AxisBounds) -> bool:
    """Whether braking from p, v, a keeps setpoints at or below `upper`, and velocities below `fastest`."""
    # A bound that is quick to see: no peak is higher than with a full ramp of the acceleration either way.
    speed = abs(v) + a * a * bounds.half_inverse_jerk
    peak = speed + bounds.reserve
    height = peak * (bounds.ramp_time + peak * bounds.half_inverse) + bounds.bulge
    if speed <= fastest and p + height <= upper:
        return True
    h, most = bounds.period, bounds.acceleration
    steps = math.ceil(a / (bounds.brake_jerk * h) - SLACK)
    peak = v + a * h * (steps - 1) / 2 if a > 0 else v
    if peak > fastest + SLACK * bounds.velocity:
        return False
    steps = max(1, math.ceil((a + most) / (bounds.brake_jerk * h) - SLACK))
    fall = (a + most) / steps
    if a <= fall and v + (a - fall) * h <= 0:
        return p <= upper + SLACK
    height = _rise(v - a * h / 2, a, fall / h, most)
    return p - v * h + (a + most) * h * h / 6 + height <= upper + SLACK


def _can_follow(course: float, velocity: float, acceleration: float, bounds: AxisBounds) -> bool:
    """Whether a joint that is at its target with these can go on with the target's velocity `course`."""
    correction = (course - velocity) / bounds.period
    most = bounds.jerk * bounds.period
    return abs(correction) <= min(most, bounds.acceleration) and abs(correction - acceleration) <= most


def _limited(motion: Motion, velocity: float, bounds: AxisBounds) -> tuple[float, str | None]:
    """The acceleration that comes nearest to `velocity`, and the rule that keeps it from getting there."""
    allowed = limit_velocity(velocity, bounds)
    wanted = (allowed - motion.velocity) / bounds.period
    reachable = limit_acceleration(wanted, bounds)
    smooth = limit_jerk(reachable, motion.acceleration, bounds)
    if allowed != velocity:
        return smooth, "velocity"
    if reachable != wanted:
        return smooth, "acceleration"
    return smooth, "jerk" if smooth != reachable else None


def _speeds(bounds: AxisBounds) -> tuple[float, float]:
    return -bounds.velocity, bounds.velocity


def _speed_goal(motion: Motion, target: float, bounds: AxisBounds) -> Walls:
    """The velocity `target` as a wall on the side from which it is approached."""
    steps = math.ceil(abs(motion.acceleration) / (bounds.brake_jerk * bounds.period) - SLACK)
    coasting = motion.velocity + motion.acceleration * bounds.period * (steps - 1) / 2 * (steps > 0)
    if coasting >= target:
        return Walls(-math.inf, math.inf, target, bounds.velocity)
    return Walls(-math.inf, math.inf, -bounds.velocity, target)


def _lowered(
    p: float, v: float, a: float, asked: float, upper: float, fastest: float, bounds: AxisBounds
) -> float:
    """The acceleration `asked`, or as much less of it as braking below `upper` and `fastest` needs."""
    h = bounds.period
    onward = v + asked * h
    if can_stop_below(p + onward * h, onward, asked, upper, fastest, bounds):
        return asked
    safe = _hardest(a, bounds)
    for _ in range(HALVINGS if safe < asked else 0):
        middle = (safe + asked) / 2
        onward = v + middle * h
        if can_stop_below(p + onward * h, onward, middle, upper, fastest, bounds):
            safe = middle
        else:
            asked = middle
    return min(safe, asked)


def _arriving(behind: float, v: float, a: float, asked: float, bounds: AxisBounds) -> float:
    """The acceleration nearest to `asked` with which a joint `behind` its goal comes to rest there.

    Seen from the goal, which may move: it neither runs beyond it nor turns back before it is there.
    """
    if behind < 0:
        return -_arriving(-behind, -v, -a, -asked, bounds)
    swift = abs(v) + abs(asked) * bounds.period + 2 * bounds.reserve
    if swift * (2 * bounds.ramp_time + swift * bounds.half_inverse) <= behind:
        return asked
    if not _rests_within(behind, v, a, asked, bounds):
        safe = _hardest(a, bounds)
        for _ in range(GOAL_HALVINGS if safe < asked else 0):
            middle = (safe + asked) / 2
            if _rests_within(behind, v, a, middle, bounds):
                safe = middle
            else:
                asked = middle
        asked = min(safe, asked)
    if v < 0 or v + a * abs(a) * bounds.half_inverse_jerk < 0:
        return asked
    return -_lowered(0.0, -v, -a, -asked, math.inf, 0.0, bounds)


def _rests_within(behind: float, v: float, a: float, asked: float, bounds: AxisBounds) -> bool:
    """Whether after one setpoint with `asked` the joint can rest, velocity and acceleration 0, in time.

    A stop with limited jerk has three phases: to the deceleration `peak`, with it, and from it to 0. Unlike
    the room to brake this is a preference, so continuous time is near enough.
    """
    h, jerk = bounds.period, GENTLER * bounds.brake_jerk
    onward = v + asked * h
    speed, place = onward - asked * h / 2, asked * h * h / 6
    square = jerk * speed + asked * asked / 2
    if square <= 0 or (asked < 0 and square < asked * asked):
        return True
    peak = min(math.sqrt(square), bounds.acceleration)
    first, last = (asked + peak) / jerk, peak / jerk
    between = max(0.0, (square / jerk - peak * last) / peak)
    place += first * (speed + first * (asked / 2 - jerk * first / 6))
    speed += first * (asked - jerk * first / 2)
    place += between * (speed - peak * between / 2)
    return place + (speed - peak * between) * last - peak * last * last / 2 + jerk * last**3 / 6 <= behind


def _hardest(a: float, bounds: AxisBounds) -> float:
    """The acceleration that follows on `a` in hardest braking."""
    most = bounds.acceleration
    steps = max(1, math.ceil((a + most) / (bounds.brake_jerk * bounds.period) - SLACK))
    return a - (a + most) / steps


def _rise(v: float, a: float, jerk: float, most: float) -> float:
    """How far a curve with velocity v and acceleration a still rises while a falls by `jerk` to -most."""
    square = a * a + 2 * jerk * v
    if v <= 0 and (a <= 0 or square <= 0):
        return 0.0
    t = (a + most) / jerk if jerk > 0 else 0.0
    if jerk > 0:
        top = (a + math.sqrt(square)) / jerk
        if top <= t:
            return max(0.0, top * (v + top * (a / 2 - jerk * top / 6)))
    at_most = v + t * (a - jerk * t / 2)
    return max(0.0, t * (v + t * (a / 2 - jerk * t / 6)) + at_most * at_most / (2 * most))
