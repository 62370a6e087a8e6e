"""An exported policy at work: raw observations in, a chunk of physical actions out, on onnxruntime."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from imitate.errors import BundleError, SpecError
from imitate.history import PLAN, ahead
from imitate.instruction import repeated
from imitate.runtime.compiled import CompiledGraph
from imitate.runtime.manifest import FLOAT32, Horizons, Manifest
from imitate.spec import ArraySpec, DataSpec, require_match

NOISE, ACTION = "noise", "action"
"""Names of the graph's last input and of its output; the other inputs are called as the observations."""

OBS_PREFIX = "obs."
"""In golden.npz, before the name of an observation."""


CHECKED = 3
"""Of the recorded inputs: a machine that computes otherwise does so with each, and a start must not wait."""

UNREADABLE = (
    KeyError, ValueError, EOFError, OSError, IndexError, MemoryError, zipfile.BadZipFile, SpecError,
)  # fmt: skip
"""What numpy raises for arrays that it cannot read, and what arrays raise that do not fit."""


class BundlePolicy:
    """A policy without torch; made by `Bundle.policy`. It holds no state between two calls."""

    def __init__(
        self, manifest: Manifest, model: bytes, threads: int = 1, compiled: bytes | None = None
    ) -> None:
        """Load the graph `model`, or what was `compiled` from it, which must come from somebody trusted.

        Raises BundleError where it cannot be loaded, or is not what `manifest` says.
        """
        if threads < 1:
            raise BundleError(f"threads is {threads}, expected at least 1")
        self.manifest = manifest
        self._session: Any
        if compiled is not None:
            made_for = manifest.compiled or {}
            self._session = CompiledGraph(compiled, made_for, made_for.get("inputs", ()), threads)
            return
        self._session = _session(model, threads, _optimization(manifest))
        _require_graph(manifest, self._session)

    def warm_up(self, runs: int) -> None:
        """Run so many chunks for nobody."""
        steps = self.horizons.obs_steps
        blank: dict[str, np.ndarray] = {
            key: np.zeros((steps, *array.shape), _dtype(array)) for key, array in self.spec.obs.items()
        }
        if self.plan_steps:
            blank[PLAN] = self._planned({})
        for _ in range(runs):
            self._run(blank, np.zeros(self.noise_size, np.float32))

    def require_recorded(self, golden: bytes) -> None:
        """Raise BundleError unless the first observations in `golden` give the chunks recorded there."""
        try:
            with np.load(io.BytesIO(golden), allow_pickle=False) as file:
                recorded = {name: file[name] for name in file.files}
            pairs = len(recorded[ACTION])
            for index in range(min(pairs, CHECKED)):
                obs = {key: recorded[OBS_PREFIX + key][index] for key in self.observed}
                chunk = self.predict_with(obs, recorded[NOISE][index])
                self._require_close(chunk, recorded[ACTION][index])
        except UNREADABLE as error:
            raise BundleError(f"the recorded inputs do not fit the policy: {error}") from error
        if not pairs:
            raise BundleError("no inputs and outputs were recorded to check the policy with")

    @property
    def spec(self) -> DataSpec:
        """What it observes and does."""
        return self.manifest.spec

    @property
    def horizons(self) -> Horizons:
        """To, Tp and Ta."""
        return self.manifest.horizons

    @property
    def control_period_s(self) -> float | None:
        """Seconds from one action of a chunk to the next; None where the data does not say."""
        return self.manifest.control_period_s

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers a chunk takes."""
        return self.manifest.noise_size

    @property
    def plan_steps(self) -> int:
        """P, of how many steps it may be told what is planned already; 0: of none."""
        return self.manifest.plan_steps

    @property
    def observed(self) -> tuple[str, ...]:
        """The names of what it observes, and that of its last plan where it takes one."""
        return (*self.spec.obs, *([PLAN] if self.plan_steps else []))

    def require_fit(self, spec: DataSpec, where: str = "robot") -> None:
        """Raise SpecError, naming `where` and the key, unless `spec` has what this policy needs."""
        require_match(spec, self.spec, where)

    def predict(self, obs: Mapping[str, np.ndarray | str], rng: np.random.Generator) -> np.ndarray:
        """The chunk (Ta, Da) float32 after observing {name: (To, …)}, both in physical units.

        A sentence is given as a vector or as text. The chunk's first action belongs to the newest
        observation's step. Where there are `plan_steps`, obs may hold
        "plan" (P, Da): what the last chunk says from this step on, NaN where nothing. Raises SpecError for
        observations that are missing, of a wrong shape or kind, or not finite, and BundleError should the
        graph give no finite chunk.
        """
        return self.predict_with(obs, rng.standard_normal(self.noise_size, np.float32))

    def predict_with(self, obs: Mapping[str, np.ndarray | str], noise: np.ndarray) -> np.ndarray:
        """The same with given noise (noise_size,)."""
        if np.shape(noise) != (self.noise_size,):
            raise SpecError(f"noise has shape {np.shape(noise)}, expected ({self.noise_size},)")
        drawn = np.asarray(noise, np.float32)
        if not np.isfinite(drawn).all():
            raise SpecError("noise is not finite")
        seen = {key: self._checked(key, obs) for key in self.spec.obs}
        chunk = self._run({**seen, PLAN: self._planned(obs)} if self.plan_steps else seen, drawn)
        if not np.isfinite(chunk).all():
            raise BundleError("the policy gave an action that is not finite")
        return chunk

    def _run(self, obs: Mapping[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
        fed = {key: value[None] for key, value in obs.items()}
        if self.noise_size:
            fed[NOISE] = noise[None]
        chunk: np.ndarray = self._session.run(None, fed)[0][0]
        return chunk

    def _planned(self, obs: Mapping[str, np.ndarray | str]) -> np.ndarray:
        """The plan as the graph takes it; without one, nothing is known."""
        shape = self.plan_steps, self.spec.action.size
        plan = np.asarray(obs.get(PLAN, ahead((), *shape)))
        if plan.shape != shape or plan.dtype.kind != "f":
            raise SpecError(f"{PLAN} is {plan.dtype} {plan.shape}, expected floats of (steps, Da) = {shape}")
        return plan.astype(np.float32, copy=False)

    def _checked(self, key: str, obs: Mapping[str, np.ndarray | str]) -> np.ndarray:
        """The observation `key` as the graph takes it."""
        shape, dtype = (self.horizons.obs_steps, *self.spec.obs[key].shape), _dtype(self.spec.obs[key])
        if key not in obs:
            raise SpecError(f"observation {key!r} is missing; found {sorted(obs)}")
        said = obs[key]
        if isinstance(said, str) and self.spec.obs[key].encoder:
            said = repeated(said, self.spec.obs[key], self.horizons.obs_steps)
        value = np.asarray(said)
        if value.shape != shape:
            raise SpecError(f"observation {key!r} has shape {value.shape}, expected (To, …) = {shape}")
        if dtype is np.uint8 and value.dtype != np.uint8:
            raise SpecError(f"observation {key!r} is {value.dtype}, expected an RGB image of uint8")
        if value.dtype.kind not in "fiub":
            raise SpecError(f"observation {key!r} is {value.dtype}, expected numbers")
        with np.errstate(over="ignore"):  # too large for float32 is not finite
            value = value.astype(dtype, copy=False)
        if dtype is not np.uint8 and not np.isfinite(value).all():
            raise SpecError(f"observation {key!r} is not finite")
        return value

    def _require_close(self, chunk: np.ndarray, expected: np.ndarray) -> None:
        if chunk.shape != expected.shape:
            raise BundleError(f"a chunk has shape {chunk.shape}, recorded was {expected.shape}")
        error = np.abs(chunk - expected).max(axis=0)
        worst = int(np.argmax(error - np.array(self.manifest.tolerance)))
        if not error[worst] <= self.manifest.tolerance[worst]:
            raise BundleError(
                "on this machine the policy acts otherwise than recorded: "
                f"{_element(self.spec, worst)} differs by {error[worst]:.3g}, allowed is "
                f"{self.manifest.tolerance[worst]:.3g}; "
                "another version of onnxruntime may help"
            )


def _dtype(array: ArraySpec) -> type:
    return np.uint8 if array.is_image else np.float32


def _element(spec: DataSpec, index: int) -> str:
    return f"action {spec.action.names[index] if spec.action.names else index!r}"


def _optimization(manifest: Manifest) -> Any:
    """How much onnxruntime should still do to the graph.

    Exporting has simplified it already. What is left gains where there are images to convolve; where there
    are none it makes the start of a long sampling loop four times slower, and nothing faster. Weights that
    are kept small are widened once, by folding constants.
    """
    levels = ort.GraphOptimizationLevel
    if manifest.images:
        return levels.ORT_ENABLE_ALL
    return levels.ORT_DISABLE_ALL if manifest.precision == FLOAT32 else levels.ORT_ENABLE_BASIC


def _session(model: bytes, threads: int, optimization: Any) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = optimization
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait by spinning take the core away from the rest of a controller.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no common base
        what = " ".join(str(error).split())[:200]
        raise BundleError(f"onnxruntime {ort.__version__} cannot load the policy: {what}") from error


def _require_graph(manifest: Manifest, session: Any) -> None:
    """Raise BundleError unless inputs and output of the graph are those of the manifest."""
    horizons, spec = manifest.horizons, manifest.spec
    expected: dict[str, Sequence[int]] = {k: [1, horizons.obs_steps, *a.shape] for k, a in spec.obs.items()}
    if manifest.plan_steps:
        expected[PLAN] = [1, manifest.plan_steps, spec.action.size]
    if manifest.noise_size:
        expected[NOISE] = [1, manifest.noise_size]
    found = {each.name: list(each.shape) for each in session.get_inputs()}
    actions = [list(each.shape) for each in session.get_outputs()]
    if found != expected or actions != [[1, horizons.action_steps, spec.action.size]]:
        raise BundleError(f"the graph takes {found} and gives {actions}, the manifest says otherwise")
