"""Changes of the world: each does what its size says, draws nothing from the start, and can be undone."""

import numpy as np
import pytest
from episode_digest import episode_digest

from imitate.env import PERTURBATIONS, Env
from imitate.envs.metaworld import MetaworldConfig
from imitate.envs.metaworld_multitask import MetaworldMultitaskConfig
from imitate.envs.mujoco_changes import loose_bodies
from imitate.envs.point_obstacle import LAG_S, PointObstacleConfig
from imitate.envs.pushes import Pushes
from imitate.envs.tabletop.env import TabletopEnv
from imitate.envs.tabletop.push import BLOCK_HIGH, BLOCK_KG, BLOCK_LOW, PushConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import EnvError, MissingExtraError

LARGE = {"friction": 1.0, "mass": 40.0, "lighting": 0.5, "camera": 20.0, "start_range": 0.8, "push": 2.0}


def pushing() -> TabletopEnv:
    return PushConfig(cameras=("front",), image_size=(16, 16)).build()


def pictured(env: Env) -> bytes:
    return env.reset(seed=5)[0]["front"].tobytes()


def shown(name: str, env: Env) -> bytes | str:
    """What tells whether a change is there: the picture, or an episode."""
    if name in ("lighting", "camera"):
        return pictured(env)
    env.reset(seed=5)
    expert, seen = env.expert(), []
    for _ in range(60):
        obs, *_ = env.step(expert.act())
        seen.append(obs["object"].tobytes())
    return b"".join(seen)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_change_shows_and_is_undone_bitwise(name: str) -> None:
    env = PushConfig(
        cameras=("front",) if name in ("lighting", "camera") else (), image_size=(16, 16)
    ).build()
    plain = shown(name, env)
    env.perturb(name, LARGE[name])
    changed = shown(name, env)
    assert changed != plain
    assert shown(name, env) == changed
    env.perturb(name, 0.0)
    assert shown(name, env) == plain
    env.close()


def test_sizes_are_what_they_are_called() -> None:
    env = pushing()
    model = env._scene.model
    block = model.body("block").id
    friction, light = model.geom_friction.copy(), model.light_diffuse.copy()
    own_inertia, all_mass = model.body_inertia[block].copy(), model.body_subtreemass[0]
    for name, size in (("friction", 0.25), ("mass", 3.0), ("lighting", 0.5), ("camera", 7.0)):
        env.perturb(name, size)
    front = model.cam_quat[model.camera("front").id].copy()
    scene = model.cam_quat[model.camera("scene").id].copy()
    env.reset(seed=0)
    assert np.allclose(model.geom_friction, 0.75 * friction)
    assert np.isclose(model.body_mass[block], 4 * BLOCK_KG)
    assert np.allclose(model.body_inertia[block], 4 * own_inertia)
    assert np.isclose(model.body_subtreemass[0], all_mass + 3 * BLOCK_KG)
    assert np.allclose(model.light_diffuse, 0.5 * light)
    cosine = abs(model.cam_quat[model.camera("front").id] @ front)
    assert np.isclose(np.degrees(2 * np.arccos(cosine)), 7.0)
    assert np.array_equal(model.cam_quat[model.camera("scene").id], scene)
    env.close()


def test_without_light_everything_is_black() -> None:
    env = pushing()
    plain = env.reset(seed=5)[0]["front"], env.render()
    env.perturb("lighting", 1.0)
    assert env.reset(seed=5)[0]["front"].max() == 0
    assert env.render().max() == 0
    env.perturb("lighting", 0.5)
    half = env.reset(seed=5)[0]["front"]
    assert np.abs(half - plain[0] / 2).mean() < 1  # but where highlights are cut off at white
    env.perturb("lighting", 0.0)
    assert np.array_equal(env.reset(seed=5)[0]["front"], plain[0])
    assert np.array_equal(env.render(), plain[1])
    env.close()


def test_a_heavier_body_is_one_that_was_built_so() -> None:
    import mujoco

    xml = '<mujoco><worldbody><body><freejoint/><geom size=".1 .2 .3" type="box" mass="{}"/></body>\
        <body pos="1 0 0"><joint/><geom size=".1" mass="2"/></body></worldbody></mujoco>'
    from imitate.envs.mujoco_changes import MASS, ModelChanges

    light, heavy = (mujoco.MjModel.from_xml_string(xml.format(mass)) for mass in (0.5, 2.0))
    ModelChanges(light).apply({"mass": 3.0}, np.random.default_rng(0))
    for name in MASS:
        assert np.allclose(getattr(light, name), getattr(heavy, name)), name


def test_a_wider_range_of_starts_keeps_every_draw() -> None:
    plain, wide = PushConfig().build(), PushConfig().build()
    wide.perturb("start_range", 0.5)
    middle = (np.array(BLOCK_LOW) + BLOCK_HIGH) / 2
    beyond = 0
    for seed in range(40):
        near, far = (env.reset(seed=seed)[0]["object"] for env in (plain, wide))
        assert np.allclose(far - middle, 1.5 * (near - middle), atol=1e-5)
        beyond += bool(np.any((far < BLOCK_LOW) | (far > BLOCK_HIGH)))
    assert 20 < beyond < 40


def test_pushes_come_once_a_second_in_all_directions_whatever_their_size() -> None:
    def drawn(speed: float, seed: int = 0) -> list[np.ndarray | None]:
        pushes = Pushes(np.random.default_rng(seed), 10.0, speed)
        return [pushes.next() for _ in range(20_000)]

    weak, strong = drawn(0.5), drawn(2.0)
    pairs = [(a, b) for a, b in zip(weak, strong, strict=True) if a is not None or b is not None]
    assert all(a is not None and b is not None and np.allclose(4 * a, b) for a, b in pairs)
    assert 1800 < len(pairs) < 2200  # 2000 s
    pushed = np.array([a for a, _ in pairs])
    assert np.allclose(np.hypot(*pushed.T), 0.5)
    assert np.abs(pushed.mean(axis=0)).max() < 0.03
    assert drawn(0.0) == [None] * 20_000


def test_a_push_moves_what_is_loose() -> None:
    env = PushConfig().build()
    env.perturb("push", 1.0)
    env.reset(seed=1)
    hold = np.zeros(env.data_spec.action.size)
    hold[-1] = env.action_space.high[-1]
    before = env.step(hold)[0]["object"][:2]
    for _ in range(60):
        after = env.step(hold)[0]["object"][:2]
    assert np.hypot(*(after - before)) > 0.02


def test_what_an_environment_cannot_do_is_refused() -> None:
    reach = ReachConfig().build()
    with pytest.raises(EnvError, match="nothing here is loose: mass"):
        reach.perturb("mass", 1.0)
    with pytest.raises(EnvError, match=r"size of friction is 1\.2, expected 0 to 1"):
        reach.perturb("friction", 1.2)
    with pytest.raises(EnvError, match="size of camera is -1, expected 0 or more"):
        reach.perturb("camera", -1.0)
    with pytest.raises(EnvError, match=r"no perturbation 'frictoin' \(did you mean 'friction'"):
        reach.perturb("frictoin", 0.5)
    with pytest.raises(EnvError, match=r"PointObstacle cannot change camera \(it can change: mass, start"):
        PointObstacleConfig().build().perturb("camera", 1.0)


def test_point_obstacle() -> None:
    env = PointObstacleConfig().build()
    plain = episode_digest(env, 5)
    for name, size in (("mass", 4.0), ("start_range", 0.5), ("push", 0.5)):
        env.perturb(name, size)
        assert episode_digest(env, 5) != plain, name
        env.perturb(name, 0.0)
        assert episode_digest(env, 5) == plain
    env.perturb("mass", 4.0)
    env.reset(seed=0)
    obs, *_ = env.step(np.array([0.5, 0.0]))
    assert np.isclose(obs["velocity"][0], 0.5 * (1 - np.exp(-0.1 / (5 * LAG_S))))
    env.perturb("push", 5.0)
    env.reset(seed=0)
    for _ in range(60):
        obs, *_ = env.step(np.zeros(2))
        assert env.observation_space.contains(obs)


def test_metaworld() -> None:
    try:
        env = MetaworldConfig("push-v3").build()
    except MissingExtraError as error:
        pytest.skip(str(error))
    steps = {"friction": 20, "mass": 20, "start_range": 20, "push": 200}  # about a push a second, at 80 Hz
    plain = {count: episode_digest(env, 5, count) for count in set(steps.values())}
    for name, size in (("friction", 0.9), ("mass", 4.0), ("start_range", 0.5), ("push", 1.0)):
        env.perturb(name, size)
        changed = episode_digest(env, 5, steps[name])
        if name in ("start_range", "push"):  # the sweep of the hand touches nothing
            assert changed != plain[steps[name]], name
        env.perturb(name, 0.0)
        assert episode_digest(env, 5, steps[name]) == plain[steps[name]]
    assert len(loose_bodies(env._task.model)) == 1


def test_metaworld_shows_a_goal_beyond_its_range() -> None:
    try:
        env = MetaworldConfig("reach-v3").build()
    except MissingExtraError as error:
        pytest.skip(str(error))
    goals = np.array([env.reset(seed=seed)[0]["state"][36:] for seed in range(10)])
    env.perturb("start_range", 1.0)
    wide = np.array([env.reset(seed=seed)[0]["state"][36:] for seed in range(10)])
    middle = np.array([0.0, 0.85, 0.175])
    assert np.allclose(wide - middle, 2 * (goals - middle), atol=1e-5)
    with pytest.raises(EnvError, match="cannot change camera"):
        env.perturb("camera", 1.0)


def test_several_tasks_of_metaworld_change_as_one_does() -> None:
    try:
        several, one = MetaworldMultitaskConfig(("reach-v3",)).build(), MetaworldConfig("reach-v3").build()
    except MissingExtraError as error:
        pytest.skip(str(error))
    for size in (0.8, 0.0):
        for env in (several, one):
            env.perturb("start_range", size)
        assert np.array_equal(several.reset(seed=4)[0]["state"], one.reset(seed=4)[0]["state"])
