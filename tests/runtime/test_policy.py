"""The policy in a bundle: what it computes, what it refuses, and that it needs next to nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import dataclasses
import threading

import small_bundle

from imitate.errors import BundleError, SpecError
from imitate.runtime import BundlePolicy, open_bundle
from imitate.types import ArraySpec


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> BundlePolicy:
    return open_bundle(small_bundle.written(tmp_path_factory.mktemp("b") / "linear.imitate")).policy(
        warm_up=3
    )


def test_chunks_are_those_of_the_graph(policy: BundlePolicy) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        obs, noise = small_bundle.observation(rng), rng.standard_normal(policy.noise_size).astype(np.float32)
        chunk = policy.predict_with(obs, noise)
        assert chunk.shape == (3, 2) and chunk.dtype == np.float32
        np.testing.assert_allclose(chunk, small_bundle.expected(obs, noise), atol=1e-5)


def test_it_says_what_it_is(policy: BundlePolicy) -> None:
    assert policy.horizons == (2, 4, 3) and policy.horizons.action_steps == 3
    assert policy.control_period_s == pytest.approx(0.1)
    assert policy.noise_size == small_bundle.NOISE_SIZE
    assert policy.spec == small_bundle.SPEC


def test_the_generator_decides_and_nothing_else(policy: BundlePolicy) -> None:
    obs = small_bundle.observation(np.random.default_rng(2))
    first, again, other = (policy.predict(obs, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_several_threads_may_ask_at_once(policy: BundlePolicy) -> None:
    rng = np.random.default_rng(3)
    rows = [small_bundle.observation(rng) for _ in range(8)]
    noise = np.zeros(policy.noise_size, np.float32)
    answers: dict[int, np.ndarray] = {}

    def ask(index: int) -> None:
        for _ in range(20):
            answers[index] = policy.predict_with(rows[index], noise)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(rows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for index, row in enumerate(rows):
        np.testing.assert_allclose(answers[index], small_bundle.expected(row, noise), atol=1e-5)


def changed(**values: object) -> dict[str, object]:
    whole = {**small_bundle.observation(np.random.default_rng(4)), **values}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        (changed(cam=None), "'cam' is missing"),
        (changed(**{"arm.joints": np.zeros((1, 2))}), r"shape \(1, 2\), expected \(To, …\) = \(2, 2\)"),
        (changed(**{"arm.joints": np.array([[0, np.nan], [0, 0]])}), "'arm.joints' is not finite"),
        (changed(**{"arm.joints": np.array([[0, 1e300], [0, 0]])}), "'arm.joints' is not finite"),
        (changed(**{"arm.joints": np.array([["a", "b"], ["c", "d"]])}), "expected numbers"),
        (changed(**{"arm.joints": np.array([[None, None], [None, None]])}), "expected numbers"),
        (changed(cam=np.zeros((2, 2, 2, 3))), "'cam' is float64, expected an RGB image of uint8"),
        (changed(cam=np.zeros((2, 3, 2, 2), np.uint8)), "shape"),
    ],
)
def test_wrong_observations_are_named(policy: BundlePolicy, obs, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        policy.predict(obs, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_numbers_of_other_kinds_are_taken(policy: BundlePolicy) -> None:
    obs = small_bundle.observation(np.random.default_rng(6))
    noise = np.zeros(policy.noise_size, np.float32)
    double = {**obs, "arm.joints": obs["arm.joints"].astype(np.float64).tolist()}
    assert np.array_equal(policy.predict_with(obs, noise), policy.predict_with(double, noise))


@pytest.mark.parametrize("noise", [np.zeros(5), np.full(6, np.nan), np.zeros((1, 6))])
def test_wrong_noise_is_refused(policy: BundlePolicy, noise: np.ndarray) -> None:
    with pytest.raises(SpecError, match="noise"):
        policy.predict_with(small_bundle.observation(np.random.default_rng(0)), noise)


def test_a_robot_that_does_not_fit_is_refused(policy: BundlePolicy) -> None:
    policy.require_fit(small_bundle.SPEC)
    swapped = ArraySpec((2,), names=("b", "a"), units=("rad", "rad"))
    other = dataclasses.replace(small_bundle.SPEC, obs={**small_bundle.SPEC.obs, "arm.joints": swapped})
    with pytest.raises(SpecError, match=r"left arm: observation 'arm.joints': names are \['b', 'a'\]"):
        policy.require_fit(other, "left arm")


def test_threads_are_counted_from_one(tmp_path: Path) -> None:
    bundle = open_bundle(small_bundle.written(tmp_path / "b"))
    with pytest.raises(BundleError, match="threads is 0"):
        bundle.policy(threads=0)


BLOCKED = ("torch", "hydra", "omegaconf", "gymnasium", "zarr", "scipy", "diffusers", "onnx", "cryptography")

ALONE = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Block())
import numpy as np
from imitate.runtime import open_bundle
policy = open_bundle({path!r}).policy(warm_up=2)
dtypes = {{key: "uint8" if array.is_image else "float32" for key, array in policy.spec.obs.items()}}
obs = {{key: np.zeros((2, *array.shape), dtypes[key]) for key, array in policy.spec.obs.items()}}
assert np.isfinite(policy.predict(obs, np.random.default_rng(0))).all()
loaded = {{name.partition(".")[0] for name in sys.modules}}
assert not loaded & set({blocked!r}), loaded
ours = {{".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("imitate.")}}
known = {{"errors", "history", "instruction", "spec", "runtime"}}
assert ours <= {{"imitate." + name for name in known}}, ours
"""


def test_it_runs_where_there_is_no_torch(tmp_path: Path) -> None:
    path = small_bundle.written(tmp_path / "b.imitate")
    code = ALONE.format(blocked=BLOCKED, path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
