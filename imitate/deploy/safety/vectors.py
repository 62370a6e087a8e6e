"""Limits of lengths: velocities of a tool in m/s or rad/s, whose direction matters more than their parts."""

import math

from imitate.deploy.safety.by_kind import ToolLimits
from imitate.deploy.safety.rotation import Vector

HALVINGS = 7
"""How often the stretch between braking and what was asked is halved, as for joints."""

NOTHING: Vector = (0.0, 0.0, 0.0)


def shortened(vector: Vector, most: float) -> Vector:
    """`vector`, or what points its way with length `most`."""
    length = math.hypot(*vector)
    if length <= most:
        return vector
    factor = most / length
    return vector[0] * factor, vector[1] * factor, vector[2] * factor


def approached(before: Vector, wanted: Vector, most: float) -> Vector:
    """`wanted`, or the vector on the straight way to it that is `most` away from `before`."""
    change = (wanted[0] - before[0], wanted[1] - before[1], wanted[2] - before[2])
    reachable = shortened(change, most)
    if reachable is change:
        return wanted
    return before[0] + reachable[0], before[1] + reachable[1], before[2] + reachable[2]


def can_reach(before: Vector, asked: Vector, fastest: float, most: float) -> bool:
    """Whether `asked` is allowed, and no more than `most` away from `before`."""
    return math.hypot(*asked) <= fastest and math.dist(before, asked) <= most


def closing_in(way: Vector, course: Vector, acceleration: float, period: float) -> Vector:
    """The velocity that makes up for `way` so that it can go over into the target's own velocity `course`.

    The largest v with v h + v²/(2 a) no longer than the way: after the next setpoint braking still fits.
    """
    apart = (way[0] - course[0] * period, way[1] - course[1] * period, way[2] - course[2] * period)
    slack = acceleration * period
    fastest = math.sqrt(slack * slack + 2 * acceleration * math.hypot(*apart)) - slack
    nearer = shortened(scaled(apart, 1 / period), fastest)
    return course[0] + nearer[0], course[1] + nearer[1], course[2] + nearer[2]


def clip_place(place: Vector, limits: ToolLimits) -> Vector:
    """The nearest place inside of the workspace."""
    x, y, z = (min(max(p, a), b) for p, a, b in zip(place, limits.low, limits.high, strict=True))
    return x, y, z


def way_between(start: Vector, end: Vector) -> Vector:
    """From `start` to `end`."""
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def scaled(vector: Vector, factor: float) -> Vector:
    """`vector` times `factor`."""
    return vector[0] * factor, vector[1] * factor, vector[2] * factor


def onward(position: Vector, velocity: Vector, period: float) -> Vector:
    """Where a constant velocity leads in one period."""
    px, py, pz = position
    vx, vy, vz = velocity
    return px + vx * period, py + vy * period, pz + vz * period


def stopping_inside(
    position: Vector, before: Vector, wanted: Vector, box: tuple[Vector, Vector], most: float, period: float
) -> Vector:
    """The velocity nearest to `wanted` from which braking at `most` m/s² ends inside of the box.

    Braking keeps the direction, so it ends |v|²/(2 most) ahead; that bound, one period later, holds for the
    braked velocity too, so once it holds it can always be kept. Outside of the box only the way back is open.
    """
    if _ends_inside(position, wanted, box, most, period):
        return wanted
    wanted = approached(before, along_walls(position, wanted, box, most, period), most * period)
    if _ends_inside(position, wanted, box, most, period):
        return wanted
    safe = approached(before, NOTHING, most * period)
    for _ in range(HALVINGS):
        middle = _between(safe, wanted)
        if _ends_inside(position, middle, box, most, period):
            safe = middle
        else:
            wanted = middle
    return safe


def along_walls(
    position: Vector, velocity: Vector, box: tuple[Vector, Vector], most: float, period: float
) -> Vector:
    """`velocity` with each component that leads out of the box made as small as it must be.

    A tool that is pressed against a wall slides along it: just above a table, say, it must not stop because
    it is asked to go a little lower as well.
    """
    ahead = period + math.hypot(*velocity) / (2 * most)
    x, y, z = (
        min(max(v, min(0.0, (low - p) / ahead)), max(0.0, (high - p) / ahead))
        for p, v, low, high in zip(position, velocity, *box, strict=True)
    )
    return x, y, z


def _ends_inside(
    position: Vector, velocity: Vector, box: tuple[Vector, Vector], most: float, period: float
) -> bool:
    ahead = period + math.hypot(*velocity) / (2 * most)
    for p, v, low, high in zip(position, velocity, *box, strict=True):
        end = p + v * ahead
        if (v > 0 and end > high + 1e-9) or (v < 0 and end < low - 1e-9):
            return False
    return True


def _between(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2
