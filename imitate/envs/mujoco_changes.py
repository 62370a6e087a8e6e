"""Changes of a MuJoCo model for robustness sweeps: slippery, heavy, dark, misaligned; see Env.perturb.

A model is changed in place, since arm, cameras and drawing contexts refer to it, and put back to its own
values bitwise before every change.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from imitate.envs.offscreen import mujoco
from imitate.errors import EnvError

FRICTION = ("geom_friction", "pair_friction")
MASS = (
    "body_mass",
    "body_inertia",
    "body_subtreemass",
    "body_invweight0",
    "dof_M0",
    "dof_invweight0",
)
LIGHTS = ("light_ambient", "light_diffuse", "light_specular")
CAMERAS = ("cam_quat",)
NEED_SOMETHING_LOOSE = ("mass", "push")


class ModelChanges:
    """A model's own values, and how to replace them; `cameras` are the ones that are turned (all: None)."""

    def __init__(self, model: mujoco.MjModel, cameras: Sequence[str] | None = None) -> None:
        self._model = model
        self._cameras = range(model.ncam) if cameras is None else [model.camera(name).id for name in cameras]
        self._own = [array.copy() for array in self._arrays()]
        self._is_changed = False
        self._darkness = 0.0

    def apply(self, sizes: Mapping[str, float], rng: np.random.Generator) -> bool:
        """Bring the model to `sizes` {perturbation: size}, with draws from `rng`; all else is undone.

        Returns whether the sky changed, of which whoever draws it has a copy (Offscreen.renew_textures).
        """
        if self._is_changed:
            for array, own in zip(self._arrays(), self._own, strict=True):
                array[...] = own
        self._is_changed = any(sizes.values())
        if size := sizes.get("friction"):
            self._scale(FRICTION, 1.0 - size)
        if size := sizes.get("mass"):
            self._make_heavier(1.0 + size)
        if size := sizes.get("lighting"):
            for light in [*self._lights(), *self._skies()]:
                np.multiply(light, 1.0 - size, out=light, casting="unsafe")
        if size := sizes.get("camera"):
            self._turn_cameras(size, rng)
        before, self._darkness = self._darkness, sizes.get("lighting", 0.0)
        return self._darkness != before

    def _arrays(self) -> list[np.ndarray]:
        changed = [getattr(self._model, name) for name in (*FRICTION, *MASS, *CAMERAS)]
        return [*changed, *self._lights(), *self._skies()]

    def _lights(self) -> list[np.ndarray]:
        headlight = self._model.vis.headlight
        lights = [getattr(self._model, name) for name in LIGHTS]
        return [*lights, headlight.ambient, headlight.diffuse, headlight.specular]

    def _skies(self) -> list[np.ndarray]:
        """The colours of what is behind everything, which no light falls on."""
        model = self._model
        bounds = [*model.tex_adr, len(model.tex_data)]
        skies = np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        return [model.tex_data[bounds[sky] : bounds[sky + 1]] for sky in skies]

    def _scale(self, names: Sequence[str], factor: float) -> None:
        for name in names:
            values = getattr(self._model, name)
            values *= factor

    def _make_heavier(self, factor: float) -> None:
        """Masses, and what the solver derives from them: a loose body's own inverse weights scale exactly."""
        model = self._model
        bodies = np.isin(model.body_rootid, loose_bodies(model))
        dofs = bodies[model.dof_bodyid]
        added = float(model.body_mass[bodies].sum()) * (factor - 1.0)
        model.body_mass[bodies] *= factor
        model.body_inertia[bodies] *= factor
        model.body_subtreemass[bodies] *= factor
        model.body_subtreemass[0] += added
        model.body_invweight0[bodies] /= factor
        model.dof_M0[dofs] *= factor
        model.dof_invweight0[dofs] /= factor

    def _turn_cameras(self, degrees: float, rng: np.random.Generator) -> None:
        for camera in self._cameras:
            axis = rng.standard_normal(3)
            turn, turned = np.empty(4), np.empty(4)
            mujoco.mju_axisAngle2Quat(turn, axis / np.linalg.norm(axis), np.radians(degrees))
            mujoco.mju_mulQuat(turned, self._model.cam_quat[camera], turn)
            self._model.cam_quat[camera] = turned


def loose_bodies(model: mujoco.MjModel) -> np.ndarray:
    """The numbers of the bodies that move freely."""
    return model.jnt_bodyid[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]


def require_possible(model: mujoco.MjModel, name: str) -> None:
    """Raise EnvError for a perturbation of loose things where the model has none."""
    if name in NEED_SOMETHING_LOOSE and not len(loose_bodies(model)):
        raise EnvError(f"nothing here is loose: {name} has nothing to act on")


def push(model: mujoco.MjModel, data: mujoco.MjData, change: np.ndarray) -> None:
    """Change the level velocity of everything loose by `change` (2,) m/s, at once."""
    for start in model.jnt_dofadr[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]:
        data.qvel[start : start + 2] += change
