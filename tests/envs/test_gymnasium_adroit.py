"""Adroit: recordings and published experts play here, and the elements are what they are called."""

from pathlib import Path

import numpy as np
import pytest

from imitate.envs.gymnasium_adroit import TASKS, Adroit, AdroitConfig
from imitate.types import DataSpec, require_match

pytest.importorskip("gymnasium_robotics")
SHARED = Path(__file__).resolve().parents[3] / "shared/data"


@pytest.fixture(params=sorted(TASKS))
def env(request: pytest.FixtureRequest) -> Adroit:
    return AdroitConfig(request.param).build()


def test_joints_are_named_as_in_the_model(env: Adroit) -> None:
    model = env._suite.unwrapped.model  # type: ignore[attr-defined]
    action = env.data_spec.action
    assert tuple(f"A_{name}" for name in action.names) == tuple(
        model.actuator(index).name for index in range(model.nu)
    )
    obs, _ = env.reset(seed=4)
    env.step(np.linspace(-1, 1, action.size))
    obs, *_ = env.step(np.linspace(1, -1, action.size))
    data, spec = env._suite.unwrapped.data, env.data_spec.obs["observation"]  # type: ignore[attr-defined]
    known = {model.joint(index).name for index in range(model.njnt)}
    shared = [name for name in spec.names if name in known]
    assert len(shared) >= 24
    for name in shared:
        assert obs["observation"][spec.names.index(name)] == pytest.approx(data.joint(name).qpos[0], abs=1e-6)
        slides = model.joint(name).type[0] == 2
        assert spec.units[spec.names.index(name)] == ("m" if slides else "rad")


def test_differences_are_named_by_what_they_lie_between() -> None:
    env = AdroitConfig("door").build()
    obs, _ = env.reset(seed=0)
    names = env.data_spec.obs["observation"].names
    palm, handle, between = (
        obs["observation"][names.index(f"{name}_x") :][:3] for name in ("palm", "handle", "handle_to_palm")
    )
    np.testing.assert_allclose(palm - handle, between, atol=1e-6)


def expert(name: str) -> dict[str, np.ndarray]:
    file = SHARED / f"adroit_policies/{name}_mlp.npz"
    if not file.exists():
        pytest.skip(f"the experts are not at {file}")
    with np.load(file) as arrays:
        return dict(arrays)


def acted(weights: dict[str, np.ndarray], obs: np.ndarray) -> np.ndarray:
    """The mean action of a tanh network."""
    x = (obs - weights["in_shift"]) / (weights["in_scale"] + 1e-8)
    for layer in (0, 1):
        x = np.tanh(weights[f"w{layer}"] @ x + weights[f"b{layer}"])
    return (weights["w2"] @ x + weights["b2"]) * weights["out_scale"] + weights["out_shift"]


def test_the_published_expert_succeeds_on_every_task(env: Adroit) -> None:
    # Measured over 100 episodes: door 1.00, hammer 1.00, pen 0.89, relocate 1.00.
    weights = expert(next(name for name, task in TASKS.items() if task.id == env._suite.spec.id))  # type: ignore[union-attr]
    successes = 0
    for seed in range(4):
        obs, info = env.reset(seed=seed)
        over = False
        while not over:
            obs, _, terminated, truncated, info = env.step(acted(weights, obs["observation"]))
            over = terminated or truncated
        successes += info["success"]
    assert successes >= 3


def test_recorded_actions_open_the_door_as_far_as_in_the_recording() -> None:
    file = SHARED / "adroit_door/door_human.npz"
    if not file.exists():
        pytest.skip(f"the demonstrations are not at {file}")
    with np.load(file) as arrays:
        recorded = dict(arrays)
    env = AdroitConfig("door", max_steps=300).build()
    names = env.data_spec.obs["observation"].names
    hinge, handle = names.index("door_hinge"), names.index("handle_x")
    ends = recorded["episode_ends"]
    for episode in (0, 12, 24):
        rows = slice(ends[episode - 1] if episode else 0, ends[episode])
        expected = recorded["obs"][rows]
        states = {key: recorded[f"init_{key}"][episode] for key in ("qpos", "qvel", "door_body_pos")}
        # init_qpos has zeros where the arm is; the first observation tells all but how far out it reaches.
        states["qpos"][1:28] = expected[0, :27]
        seen = [env.restore(states)["observation"]]
        seen += [env.step(action)[0]["observation"] for action in recorded["action"][rows][:-1]]
        apart = np.abs(np.array(seen) - expected)
        # Measured: hinge 0.042 rad at most, joints 0.024 rad on average, and the door where it stood.
        assert apart[:, hinge].max() < 0.06 and apart[:, :27].mean() < 0.03
        assert apart[0, handle : handle + 3].max() < 0.005
        assert np.array(seen)[:, hinge].max() > 1.0


def test_imported_demonstrations_train_a_policy_that_fits(tmp_path: Path) -> None:
    file = SHARED / "adroit_door/door_human.npz"
    if not file.exists():
        pytest.skip(f"the demonstrations are not at {file}")
    from imitate.datasets.importing import import_file
    from imitate.datasets.opening import open_store

    import_file(file, tmp_path / "human.zarr")
    spec = open_store(tmp_path / "human.zarr").spec
    # The file calls it obs; `imitate data rename observations={obs: observation}` says otherwise.
    data = DataSpec({"observation": spec.obs["obs"]}, spec.action, spec.rate_hz)
    require_match(AdroitConfig("door").build().data_spec, data, "Adroit door")
