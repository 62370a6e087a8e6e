"""Judges a robot's limits from what was sent alone, with arithmetic of its own.

Setpoints of one group are kept in segments. A segment begins at the measured state, at rest, when
the group was at rest in a hold before, or when nothing was sent for three periods, of rates for a second.
"""

import numpy as np
from scipy.spatial.transform import Rotation

RELATIVE, ABSOLUTE = 1e-6, 1e-7


def too_much(value: np.ndarray | float, most: np.ndarray | float) -> bool:
    return bool(np.any(np.abs(value) > np.asarray(most) * (1 + RELATIVE) + ABSOLUTE))


class History:
    """What was sent to one group, each segment behind `copies` of the state at rest that it began from."""

    def __init__(self, period: float, copies: int, silent_s: float, start: list[float] | None = None) -> None:
        """start: what segments of rates begin from; those of positions begin where they are measured."""
        self.h, self.copies, self.silent_s, self.start = period, copies, silent_s, start
        self.rows: list[list[float]] = []
        self.segments: list[int] = []
        self.starts: list[list[float]] = []
        self.sent_s, self.was_held = -np.inf, False

    def add(self, value: list[float], measured: list[float], now_s: float, is_hold: bool) -> None:
        start = self.start or measured
        silent = now_s - self.sent_s > self.silent_s
        rows, n = self.rows, self.copies
        rests = self.silent_s < np.inf and self.was_held and rows[-1:] * n == rows[-n:]
        if not rows or (not is_hold and (silent or rests)):
            self._begin(start, start)
        elif is_hold and silent:
            self._begin(self.start or rows[-1], self.starts[-1])
        rows.append(value)
        self.segments.append(len(self.starts) - 1)
        self.sent_s, self.was_held = now_s, is_hold

    def _begin(self, value: list[float], start: list[float]) -> None:
        self.starts.append(start)
        self.rows += [value] * self.copies
        self.segments += [len(self.starts) - 1] * self.copies

    def differences(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """The n-th differences per s^n of rows of one segment, and the number of each one's segment."""
        rows, segments = np.array(self.rows), np.array(self.segments)
        for _ in range(order):
            rows = np.diff(rows, axis=0) / self.h
        whole = segments[order:] == segments[: len(segments) - order]
        return rows[whole], segments[order:][whole]


def broken_by_positions(history: History, lower, upper, *most) -> set[str]:
    """`most`: velocity, acceleration and jerk (D,)."""
    found = broken_by_rates(history, 1, *most)
    rows, segments = history.differences(0)
    starts = np.array(history.starts)[segments]
    low, high = np.minimum(lower, starts) - ABSOLUTE, np.maximum(upper, starts) + ABSOLUTE
    return found | ({"position"} if np.any(rows < low) or np.any(rows > high) else set())


def broken_by_rates(history: History, order: int, *most) -> set[str]:
    """`most`: (D,) of the differences of `order` and the next ones."""
    rules = ("velocity", "acceleration", "jerk")[: len(most)]
    found = {
        rule
        for i, (rule, limit) in enumerate(zip(rules, most, strict=True))
        if too_much(history.differences(order + i)[0], limit)
    }
    return found if np.isfinite(np.array(history.rows)).all() else {"finite"}


def broken_by_twists(
    history: History, straight: int, speed, acceleration, turn, turn_acceleration
) -> set[str]:
    """Lengths of the straight part, which is the first columns, and of the turning part."""
    found = set()
    for order, limits in enumerate(
        (
            ("speed", speed, "turn", turn),
            ("acceleration", acceleration, "turn_acceleration", turn_acceleration),
        )
    ):
        rates = history.differences(order)[0]
        for rule, limit, part in (
            (limits[0], limits[1], rates[:, :straight]),
            (limits[2], limits[3], rates[:, straight:]),
        ):
            found |= {rule} if too_much(np.linalg.norm(part, axis=1), limit) else set()
    return found if np.isfinite(np.array(history.rows)).all() else {"finite"}


def broken_by_poses(
    history: History, low, high, speed, acceleration, turn, turn_acceleration, step
) -> set[str]:
    rows, segments = np.array(history.rows), np.array(history.segments)
    if not np.isfinite(rows).all() or np.abs(np.linalg.norm(rows[:, 3:], axis=1) - 1).max() > 1e-6:
        return {"finite"}
    rotations = Rotation.from_quat(rows[:, 3:])
    turns = (rotations[1:] * rotations[:-1].inv()).as_rotvec()
    moves = np.diff(rows[:, :3], axis=0)
    once = segments[1:] == segments[:-1]
    twice = once[1:] & once[:-1]
    h = history.h
    checks = (
        ("speed", moves[once] / h, speed),
        ("turn", turns[once] / h, turn),
        ("step", moves[once], step[0]),
        ("step", turns[once], step[1]),
        ("acceleration", np.diff(moves, axis=0)[twice] / h**2, acceleration),
        ("turn_acceleration", np.diff(turns, axis=0)[twice] / h**2, turn_acceleration),
    )
    found = {rule for rule, vectors, most in checks if too_much(np.linalg.norm(vectors, axis=1), most)}
    starts = np.array(history.starts)[segments][:, :3]
    outside = (rows[:, :3] < np.minimum(low, starts) - ABSOLUTE) | (
        rows[:, :3] > np.maximum(high, starts) + ABSOLUTE
    )
    return found | ({"workspace"} if outside.any() else set())


def broken_by_grippers(history: History, low: float, high: float, speed: float) -> set[str]:
    rows = np.array(history.rows)
    found = {"velocity"} if too_much(history.differences(1)[0], speed) else set()
    inside = np.isfinite(rows).all() and rows.min() >= low and rows.max() <= high
    return found | (set() if inside else {"position"})


class TrajectoryJudge:
    """Follows the cubic of the last trajectory, as a controller does, and samples the new one."""

    SAMPLES = np.linspace(0, 1, 9)

    def __init__(self, lower, upper, velocity, acceleration) -> None:
        self.lower, self.upper = np.asarray(lower), np.asarray(upper)
        self.velocity, self.acceleration = np.asarray(velocity), np.asarray(acceleration)
        self.course = None
        self.rested = False

    def at(self, now_s: float):
        times, points, slopes = self.course
        if now_s >= times[-1]:
            return points[-1], np.zeros_like(points[-1])
        i = max(0, int(np.searchsorted(times, now_s, side="right")) - 1)
        curve = self._cubic(points[i], points[i + 1], slopes[i], slopes[i + 1], times[i + 1] - times[i])
        u = np.array([max(0.0, now_s - times[i]) / (times[i + 1] - times[i])])
        return tuple(derivative(u)[0] for derivative in curve[:2])

    def broken(self, command, measured, now_s: float, is_hold: bool) -> list[str]:
        here, moving = np.array(measured), np.zeros(len(measured))
        if self.course is not None:
            here, moving = self.at(now_s)
        if self.rested and not is_hold:
            here, moving = np.array(measured), np.zeros(len(measured))
        self.rested = is_hold and np.abs(moving).max() <= 1e-9
        times = now_s + np.concatenate([[0.0], command.times_s])
        if np.any(np.diff(times) <= 0) or command.velocities is None:
            return ["times"]
        points = np.vstack([here, command.values])
        slopes = np.vstack([moving, command.velocities])
        self.course = times, points, slopes
        if not all(np.isfinite(x).all() for x in self.course):
            return ["finite"]
        if np.any(slopes[-1] != 0):
            return ["times"]
        low, high = np.minimum(self.lower, here) - 1e-6, np.maximum(self.upper, here) + 1e-6
        found = set()
        for i in range(len(times) - 1):
            width = times[i + 1] - times[i]
            curve = self._cubic(points[i], points[i + 1], slopes[i], slopes[i + 1], width)
            place, rate, change = (derivative(self.SAMPLES) for derivative in curve)
            found |= {"position"} if np.any(place < low) or np.any(place > high) else set()
            found |= {"velocity"} if too_much(rate, self.velocity) else set()
            found |= {"acceleration"} if too_much(change, self.acceleration * 1.0001) else set()
        return sorted(found)

    @staticmethod
    def _cubic(p0, p1, v0, v1, width):
        """Position, velocity and acceleration of the Bézier curve through these, of u in 0 to 1."""
        a, b = p0 + v0 * width / 3, p1 - v1 * width / 3
        control = np.array([p0, a, b, p1])
        rate = np.diff(control, axis=0) * 3 / width
        change = np.diff(rate, axis=0) * 2 / width

        def curve(points):
            def at(u):
                rows = [points] * len(u)
                u = u[:, None, None]
                stack = np.array(rows)
                while stack.shape[1] > 1:
                    stack = stack[:, :-1] * (1 - u) + stack[:, 1:] * u
                return stack[:, 0]

            return at

        return curve(control), curve(rate), curve(change)
