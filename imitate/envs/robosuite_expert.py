"""A scripted demonstrator of robosuite's Lift, Can and Square, which sees the simulator's poses.

Every movement asks the controller OSC_POSE for more than the way that is left, at most what one action can
ask for, so the hand slows down as it arrives. Fingers close along the second axis of the hand.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from imitate.errors import EnvError
from imitate.types import ArraySpec

OPEN, CLOSED = -1.0, 1.0
FINGERS_STEPS = 12
"""Control steps in which fingers open or close: they move a tenth of their way in each."""
ARRIVED_M = 0.008
ALIGNED_RAD = 0.05
PROGRESS_M, METRES_PER_RAD, STUCK_STEPS = 0.001, 0.1, 15
"""A movement that comes no nearer by PROGRESS_M in STUCK_STEPS ends: to wait would be to teach waiting."""
GAIN = 2.5
"""Of the way that is asked for over that which is left: an arm stops short of it, by up to 4 cm."""
ABOVE_M = 0.08
CARRY_M = 0.15
Point = Callable[[], np.ndarray]
Axes = Callable[[], np.ndarray]
Plan = Iterator[np.ndarray]


def expert_of(name: str, suite: Any, action: ArraySpec) -> "PlannedExpert":
    """The demonstrator of the task that robosuite calls `name`; raises EnvError where there is none."""
    plans = {"Lift": _lift, "PickPlaceCan": _can, "NutAssemblySquare": _square}
    if name not in plans or len(suite.robots) != 1 or "dz" not in action.names or "rz" not in action.names:
        raise EnvError(
            f"robosuite's {name} has no scripted expert with these arms and this controller: "
            "Lift, Can and Square have one with env.controller=OSC_POSE; import demonstrations instead"
        )
    return PlannedExpert(plans[name](_Hand(suite)))


class PlannedExpert:
    """Follows a plan, and holds still once it is done."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._last = np.zeros(7)

    def act(self) -> np.ndarray:
        """The next action (7,)."""
        self._last = next(self._plan, np.r_[np.zeros(6), self._last[6:]])
        return self._last


class _Hand:
    """The hand of the only robot, and movements of it as sequences of actions."""

    def __init__(self, suite: Any) -> None:
        self.suite = suite
        self._robot = suite.robots[0]
        self._controller = self._robot.part_controllers["right"]
        self._reach = np.asarray(self._controller.output_max)

    @property
    def position(self) -> np.ndarray:
        return np.array(self.suite.sim.data.site_xpos[self._robot.eef_site_id["right"]])

    @property
    def axes(self) -> np.ndarray:
        """The hand's axes as columns, in the world: across, along the fingers' way, and forward."""
        return np.array(self.suite.sim.data.site_xmat[self._robot.eef_site_id["right"]]).reshape(3, 3)

    def wait(self, grip: float, steps: int = FINGERS_STEPS) -> Plan:
        for _ in range(steps):
            yield np.r_[np.zeros(6), grip]

    def move(
        self, grip: float, way: Point, turn: Callable[[], float] = lambda: 0.0, tolerance: float = ARRIVED_M
    ) -> Plan:
        """Go until the way that is left (3,) m and the turn about the vertical (rad) are small, or stuck."""
        best, since = np.inf, 0
        while since < STUCK_STEPS:
            left, angle = way(), turn()
            distance = float(np.linalg.norm(left))
            if distance < tolerance and abs(angle) < ALIGNED_RAD:
                return
            to_do = distance + METRES_PER_RAD * abs(angle)
            best, since = (to_do, 0) if to_do < best - PROGRESS_M else (best, since + 1)
            yield self._action(GAIN * left, angle, grip)

    def _action(self, way: np.ndarray, angle: float, grip: float) -> np.ndarray:
        turn = np.cross(self.axes[:, 2], (0.0, 0.0, -1.0))
        turn[2] += angle
        if self._controller.input_ref_frame == "base":
            frame = np.asarray(self._controller.origin_ori)
            way, turn = frame.T @ way, frame.T @ turn
        return np.r_[np.clip(np.r_[way, turn] / self._reach, -1.0, 1.0), grip]

    def to(self, target: Point) -> Point:
        return lambda: target() - self.position

    def turn_fingers(self, directions: Axes) -> Callable[[], float]:
        """The smallest turn (rad) that lays the fingers' way along one of `directions` (n, 3)."""

        def left() -> float:
            now = np.arctan2(self.axes[1, 1], self.axes[0, 1])
            wanted = np.array([np.arctan2(d[1], d[0]) for d in directions()])
            turns = (wanted - now + np.pi / 2) % np.pi - np.pi / 2
            return float(turns[np.argmin(np.abs(turns))])

        return left


def _body(suite: Any, name: str) -> tuple[Point, Axes]:
    """Where a body is, and its axes as rows."""
    index = suite.sim.model.body_name2id(name)
    data = suite.sim.data
    return (
        lambda: np.array(data.body_xpos[index]),
        lambda: np.array(data.body_xmat[index]).reshape(3, 3).T,
    )


def _up(point: Point, height: float) -> Point:
    return lambda: point() + np.array((0.0, 0.0, height))


def _grasp(hand: _Hand, at: Point, turn: Callable[[], float]) -> Plan:
    yield from hand.move(OPEN, hand.to(_up(at, ABOVE_M)), turn, tolerance=0.02)
    yield from hand.move(OPEN, hand.to(at), turn)
    yield from hand.wait(CLOSED)


def _lift(hand: _Hand) -> Plan:
    cube, axes = _body(hand.suite, hand.suite.cube.root_body)
    yield from _grasp(hand, cube, hand.turn_fingers(lambda: axes()[:2]))
    top = hand.position + np.array((0.0, 0.0, 0.1))
    yield from hand.move(CLOSED, hand.to(lambda: top))


def _can(hand: _Hand) -> Plan:
    suite = hand.suite
    can = suite.objects[suite.object_id]
    at, _ = _body(suite, can.root_body)
    yield from _grasp(hand, at, lambda: 0.0)
    # The middle of the can's part of the bin is as far as the arm reaches.
    place = np.array(suite.target_bin_placements[suite.object_id]) - (0.05, 0.05, 0.0)
    high = float(hand.position[2]) + CARRY_M
    up = np.r_[hand.position[:2], high]
    yield from hand.move(CLOSED, hand.to(lambda: up), tolerance=0.03)
    low = float(place[2]) + 0.08
    yield from hand.move(CLOSED, lambda: np.r_[place[:2] - at()[:2], high - hand.position[2]], tolerance=0.02)
    yield from hand.move(CLOSED, lambda: np.r_[place[:2] - at()[:2], low - at()[2]], tolerance=0.02)
    yield from hand.wait(OPEN)
    yield from hand.move(OPEN, hand.to(lambda: np.r_[place[:2], high]))


def _square(hand: _Hand) -> Plan:
    suite = hand.suite
    nut = suite.nuts[suite.nut_id]
    at, axes = _body(suite, nut.root_body)
    handle = suite.sim.model.site_name2id(nut.important_sites["handle"])
    grip_at: Point = lambda: np.array(suite.sim.data.site_xpos[handle])  # noqa: E731
    across: Axes = lambda: np.cross(grip_at() - at(), (0.0, 0.0, 1.0))[None]  # noqa: E731
    yield from _grasp(hand, grip_at, hand.turn_fingers(across))
    peg = np.array(suite.sim.data.body_xpos[suite.peg1_body_id])
    top = float(suite.table_offset[2]) + 0.17  # 4 cm above the peg; higher is out of reach

    def turn() -> float:
        yaw = np.arctan2(axes()[0, 1], axes()[0, 0])
        return float((-yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)

    up = np.r_[hand.position[:2], top]
    yield from hand.move(CLOSED, hand.to(lambda: up), tolerance=0.03)
    yield from hand.move(CLOSED, lambda: np.r_[peg[:2] - at()[:2], top - at()[2]], turn, tolerance=0.004)
    low = float(suite.table_offset[2]) + 0.03
    yield from hand.move(CLOSED, lambda: np.r_[peg[:2] - at()[:2], low - at()[2]], turn, tolerance=0.01)
    yield from hand.wait(OPEN)
    yield from hand.move(OPEN, hand.to(lambda: np.r_[peg[:2], top]))
