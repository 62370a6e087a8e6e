"""The physics of a tabletop task: the arm's model with the task's bodies added, and how to read them."""

from pathlib import Path
from typing import Any

import numpy as np

from imitate.envs.offscreen import mujoco
from imitate.envs.tabletop.arm import Arm

ARM_XML = Path(__file__).with_name("arm.xml")


class Builder:
    """Adds a task's bodies to the arm's model before it is compiled. Sizes are half lengths in m."""

    def __init__(self) -> None:
        self._spec = mujoco.MjSpec.from_file(str(ARM_XML))

    def add_free_body(self, name: str) -> Any:
        """A body that moves freely; its pose is set at every reset."""
        body = self._spec.worldbody.add_body(name=name)
        body.add_freejoint(name=name)
        return body

    def add_placed_body(self, name: str) -> Any:
        """A body that stays where every reset puts it: a fixture or a mark."""
        return self._spec.worldbody.add_body(name=name, mocap=True)

    def add_box(self, body: Any, kind: str, half_size: tuple[float, float, float], **more: Any) -> None:
        """A box of the default class `kind` ("object", "fixture", "mark")."""
        self._add(body, kind, type=mujoco.mjtGeom.mjGEOM_BOX, size=half_size, **more)

    def add_sphere(self, body: Any, kind: str, radius: float, **more: Any) -> None:
        """A sphere of the default class `kind`."""
        self._add(body, kind, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(radius, 0.0, 0.0), **more)

    def add_disc(self, body: Any, kind: str, radius: float, half_height: float, **more: Any) -> None:
        """An upright cylinder of the default class `kind`."""
        self._add(body, kind, type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=(radius, half_height, 0.0), **more)

    def _add(self, body: Any, kind: str, **settings: Any) -> None:
        body.add_geom(self._spec.find_default(kind), **settings)

    def compile(self) -> mujoco.MjModel:
        """The finished model."""
        return self._spec.compile()


class Scene:
    """One running simulation: arm and bodies. Positions in m, yaw in rad, all in the world frame."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.arm = Arm(model, self.data)

    def clear(self) -> None:
        """Back to the model's defaults, warm start and actuator states included."""
        mujoco.mj_resetData(self.model, self.data)

    def forward(self) -> None:
        """Bring everything derived from positions up to date, without moving time."""
        mujoco.mj_forward(self.model, self.data)

    def advance(self, physics_steps: int) -> None:
        """Move time by so many physics steps."""
        mujoco.mj_step(self.model, self.data, physics_steps)
        # mj_step leaves derived positions one physics step behind the state.
        mujoco.mj_forward(self.model, self.data)

    def place(self, name: str, position: np.ndarray, yaw: float = 0.0) -> None:
        """Put the body `name` somewhere, at rest."""
        turn = [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        body = self.model.body(name)
        if body.mocapid[0] >= 0:
            self.data.mocap_pos[body.mocapid[0]] = position
            self.data.mocap_quat[body.mocapid[0]] = turn
        else:
            start = self.model.joint(name).qposadr[0]
            self.data.qpos[start : start + 7] = [*position, *turn]

    def position(self, name: str) -> np.ndarray:
        """The origin (3,) of the body `name`."""
        return self.data.body(name).xpos.copy()

    def yaw(self, name: str) -> float:
        """Turn of the body `name` about the vertical, in (-π, π]."""
        matrix = self.data.body(name).xmat
        return float(np.arctan2(matrix[3], matrix[0]))

    def uprightness(self, name: str) -> float:
        """Cosine of the angle between the body's z axis and the vertical."""
        return float(self.data.body(name).xmat[8])

    def speed(self, name: str) -> float:
        """How fast the free body `name` moves, m/s."""
        start = self.model.joint(name).dofadr[0]
        return float(np.linalg.norm(self.data.qvel[start : start + 3]))
