"""Unit quaternions x, y, z, w and rotation vectors in rad, as tuples of plain floats."""

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def times(a: Quaternion, b: Quaternion) -> Quaternion:
    """The Hamilton product: first the rotation b, then a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def turn_between(start: Quaternion, end: Quaternion) -> Vector:
    """The rotation vector in the fixed frame that leads from `start` to `end` along the shorter arc."""
    x, y, z, w = times(end, (-start[0], -start[1], -start[2], start[3]))
    if w < 0:
        x, y, z, w = -x, -y, -z, -w
    sine = math.hypot(x, y, z)
    factor = 2 * math.atan2(sine, w) / sine if sine > 1e-12 else 2.0
    return x * factor, y * factor, z * factor


def turned(start: Quaternion, turn: Vector) -> Quaternion:
    """`start` after the rotation vector `turn` of the fixed frame."""
    angle = math.hypot(*turn)
    factor = math.sin(angle / 2) / angle if angle > 1e-12 else 0.5
    x, y, z = turn
    return unit(times((x * factor, y * factor, z * factor, math.cos(angle / 2)), start))


def unit(quaternion: Quaternion) -> Quaternion:
    """`quaternion` at length 1; its length must not be 0."""
    x, y, z, w = quaternion
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length
