"""The arm in a running simulation: what its sensors read, where its servos go, and its inverse kinematics."""

import numpy as np

from imitate.envs.offscreen import mujoco

JOINTS = tuple(f"joint{number}" for number in range(1, 7))
MAX_OPENING_M = 0.08
HOME_RAD = np.array([0.0, 0.366, 1.836, 0.0, 0.94, 0.0])
"""Tool straight down at about (0.45, 0, 0.25) m; far from every limit, which picks the elbow-up branch."""

FULL_GRIP_M = 0.025
"""How far the gripper's set-point may be inside an object: enough for the servo's greatest force."""

ARM_CONTYPE = 2
DAMPING = 0.02
ITERATIONS = 20
POSITION_TOLERANCE_M = 1e-5
MAX_TURN_RAD = 0.25


class Arm:
    """Six joints (rad), one gripper opening (m), and the grip point between the fingers.

    Every pose has the tool pointing straight down, so it is a position (3,) in m in the world frame (origin
    at the arm's foot on the table, x forwards, y left, z up) and a yaw in rad about z. The arm is told where
    to be at the end of the control step; its servos get there along a straight line in joint space, no
    faster than the joints' velocity limits.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._data = model, data
        self._scratch = mujoco.MjData(model)
        # The arm is declared before any object, so its joints and servos come first.
        self._joints = slice(0, len(JOINTS))
        self._fingers = slice(len(JOINTS), len(JOINTS) + 2)
        self._site = model.site("grip").id
        self._pads = (model.geom("pad_left").id, model.geom("pad_right").id)
        # In arm.xml, what belongs to the arm has this type of contact; table and fixtures cannot move.
        self._is_arm = model.geom_contype == ARM_CONTYPE
        self._is_fixed = (model.body_dofnum[model.geom_bodyid] == 0) & ~self._is_arm
        self.low, self.high = model.jnt_range[self._joints].T.copy()
        self._speed = model.actuator_ctrlrange[:, 1].copy()

    @property
    def joints(self) -> np.ndarray:
        """Joint angles (6,) rad."""
        return self._data.qpos[self._joints].copy()

    @property
    def joint_speed(self) -> float:
        """How fast the fastest joint turns, rad/s."""
        return float(np.abs(self._data.qvel[self._joints]).max())

    @property
    def opening(self) -> float:
        """Distance between the finger pads, m."""
        return float(self._data.qpos[self._fingers].sum())

    @property
    def position(self) -> np.ndarray:
        """The grip point (3,) m."""
        return self._data.site_xpos[self._site].copy()

    @property
    def yaw(self) -> float:
        """Turn of the gripper about the vertical, rad in (-π, π]; at 0 the fingers move along y."""
        matrix = self._data.site_xmat[self._site]
        return float(np.arctan2(matrix[3], matrix[0]))

    def place(self, position: np.ndarray, yaw: float, opening: float) -> None:
        """Put the arm there at rest, as an episode starts."""
        joints = self.solve(position, yaw, HOME_RAD)
        self._data.qpos[self._joints] = joints
        self._data.qpos[self._fingers] = opening / 2
        self._data.act[:] = [*joints, opening]

    def drive(self, joints: np.ndarray, opening: float, step_s: float) -> None:
        """Send the servos to `joints` (6,) rad and `opening` m, to arrive in `step_s` if speed allows."""
        # A set-point further inside a held object adds no force, and would delay letting go.
        opening = max(opening, self.opening - FULL_GRIP_M)
        goal = np.clip([*joints, opening], [*self.low, 0.0], [*self.high, MAX_OPENING_M])
        self._data.ctrl[:] = np.clip((goal - self._data.act) / step_s, -self._speed, self._speed)

    def touches(self, geom: int) -> int:
        """How many of the two finger pads touch the shape `geom`."""
        contacts = self._data.contact.geom
        return sum(bool(np.any((contacts == pad).any(1) & (contacts == geom).any(1))) for pad in self._pads)

    @property
    def is_colliding(self) -> bool:
        """Whether any part of the arm touches the table or a fixture."""
        pairs = self._data.contact.geom
        return bool(np.any(self._is_arm[pairs].any(1) & self._is_fixed[pairs].any(1)))

    def solve(self, position: np.ndarray, yaw: float, start: np.ndarray | None = None) -> np.ndarray:
        """Joint angles (6,) inside their ranges that bring the grip point to a pose, nearest to `start`.

        Damped least squares (Wampler 1986), from the present joints unless `start` is given. Where the pose
        is out of reach the result is as near as the damped steps come.
        """
        scratch = self._scratch
        scratch.qpos[:] = self._data.qpos
        joints = self.joints if start is None else start.copy()
        cos, sin = np.cos(yaw), np.sin(yaw)
        wanted = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        jacobian = np.zeros((6, self._model.nv))
        for _ in range(ITERATIONS):
            scratch.qpos[self._joints] = joints
            mujoco.mj_kinematics(self._model, scratch)
            error = self._pose_error(position, wanted)
            if np.abs(error).max() < POSITION_TOLERANCE_M:
                break
            mujoco.mj_comPos(self._model, scratch)
            mujoco.mj_jacSite(self._model, scratch, jacobian[:3], jacobian[3:], self._site)
            joints = np.clip(joints + _damped_step(jacobian[:, self._joints], error), self.low, self.high)
        return joints

    def _pose_error(self, position: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        found = self._scratch.site_xmat[self._site].reshape(3, 3)
        # The skew part of the remaining turn is its axis times sin(angle): a rotation vector when small.
        left = wanted @ found.T
        turn = 0.5 * np.array([left[2, 1] - left[1, 2], left[0, 2] - left[2, 0], left[1, 0] - left[0, 1]])
        return np.concatenate([position - self._scratch.site_xpos[self._site], turn])


def _damped_step(jacobian: np.ndarray, error: np.ndarray) -> np.ndarray:
    # Damping shrinks with the error: steady far away, exact at the end.
    damping = DAMPING * min(1.0, float(np.linalg.norm(error)) + 1e-3)
    step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + damping**2 * np.eye(6), error)
    return step * min(1.0, MAX_TURN_RAD / max(float(np.abs(step).max()), 1e-9))
