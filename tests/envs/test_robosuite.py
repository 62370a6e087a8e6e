"""robosuite's tasks: environments rebuilt from recordings act, observe and end as the recorded ones."""

import json
import warnings
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hdf5_samples import write_minari, write_robosuite

from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.envs.robosuite import TASKS, Robosuite, RobosuiteConfig
from imitate.envs.robosuite_recorded import composite, env_args_of, is_old, suite_settings, version_of
from imitate.errors import ConfigError, EnvError, MissingExtraError
from imitate.parts import from_json, to_json
from imitate.types import require_match

OFFICIAL = Path(__file__).parents[3] / "shared/data/robosuite_v14_lift_official/demo.hdf5"
OLD = OFFICIAL.parents[1] / "robosuite_v10_panda_demos"
ENV_ARGS = {
    "env_name": "PickPlaceCan",
    "env_version": "1.4.1",
    "type": 1,
    "env_kwargs": {"robots": ["Panda"], "control_freq": 20, "camera_heights": 84, "reward_shaping": False},
}
SHAPES = {"object": (14,), "robot0_eef_pos": (3,), "robot0_eef_vel_lin": (3,), "robot0_gripper_qpos": (2,)}


def built(**settings: Any) -> Robosuite:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return RobosuiteConfig(**settings).build()
    except MissingExtraError as error:
        pytest.skip(str(error))


def recording(folder: Path, **changes: Any) -> Path:
    """A file as robomimic makes it, with the observations of SHAPES."""
    with h5py.File(folder / "low_dim.hdf5", "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({**ENV_ARGS, **changes})
        demo = data.create_group("demo_0")
        demo["actions"] = np.zeros((5, 7))
        for key, shape in SHAPES.items():
            demo[f"obs/{key}"] = np.zeros((5, *shape))
    return folder / "low_dim.hdf5"


@pytest.fixture(scope="module")
def official() -> Iterator[Robosuite]:
    if not OFFICIAL.exists():
        pytest.skip(f"{OFFICIAL} is not here")
    with closing(built(dataset=str(OFFICIAL))) as env:
        yield env


@pytest.fixture(scope="module")
def can(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robosuite]:
    """Can as robosuite 1.4 made it."""
    with closing(built(dataset=str(recording(tmp_path_factory.mktemp("can"))))) as env:
        yield env


def test_a_recording_of_another_version_plays_again_exactly_until_it_touches_something(
    official: Robosuite,
) -> None:
    with h5py.File(OFFICIAL) as file:
        demo = file["data/demo_2"]
        states, actions, scene = demo["states"][:61], demo["actions"][:60], demo.attrs["model_file"]
    obs, info = official.reset(seed=0, options={"state": states[0], "model": scene})
    assert np.array_equal(obs["states"], states[0]) and not info["success"]
    for action, expected in zip(actions, states[1:], strict=True):
        obs, *_ = official.step(action)
        assert np.abs(obs["states"] - expected).max() < 1e-9


def test_a_recorded_end_is_a_success_at_once(official: Robosuite) -> None:
    with h5py.File(OFFICIAL) as file:
        demo = file["data/demo_1"]
        options = {"state": demo["states"][-1], "model": demo.attrs["model_file"]}
    _, info = official.reset(seed=0, options=options)
    assert info["success"] and info["score"] == 1.0


def test_a_policy_trained_on_the_import_fits_without_further_settings(
    official: Robosuite, tmp_path: Path
) -> None:
    store = DemoStore.open(import_file(OFFICIAL, tmp_path / "lift.zarr").out)
    require_match(official.data_spec, store.spec, "the environment")
    assert list(official.data_spec.obs) == list(store.spec.obs)
    again = RobosuiteConfig(dataset=str(tmp_path / "lift.zarr"))
    assert again.env_args == RobosuiteConfig(dataset=str(OFFICIAL)).env_args
    (tmp_path / "lift.zarr").rename(tmp_path / "gone.zarr")
    assert from_json(to_json(again)) == again


def test_what_is_not_as_recorded_is_said(official: Robosuite) -> None:
    assert official.differences[-1].startswith("recorded with robosuite 1.4.0, played with")
    with pytest.warns(UserWarning, match=r"recorded with robosuite 1\.4\.0, played with"):
        RobosuiteConfig(dataset=str(OFFICIAL)).build().close()


def test_observations_have_the_order_and_the_meaning_of_the_recording(can: Robosuite) -> None:
    spec = can.data_spec
    assert list(spec.obs) == [key for key in SHAPES if key != "robot0_eef_vel_lin"]
    assert any("robot0_eef_vel_lin" in text for text in can.differences)
    names = spec.obs["object"].names
    assert [name.rpartition("_")[0] for name in names[::3][:3]] == ["Can_pos", "Can_quat", "Can_quat"]
    assert names[7:10] == tuple(f"Can_to_robot0_eef_pos_{axis}" for axis in "xyz")
    can.reset(seed=3)
    for _ in range(5):
        obs, *_ = can.step(np.array([0.5, -0.5, -1.0, 0.0, 0.0, 0.0, 1.0]))
    data, model = can._suite.sim.data, can._suite.sim.model
    hand = model.body_name2id("robot0_right_hand")
    site = model.site_name2id("gripper0_right_grip_site")
    offset = data.body_xpos[model.body_name2id("Can_main")] - data.site_xpos[site]
    frame = np.array(data.body_xmat[hand]).reshape(3, 3)
    assert np.allclose(obs["object"][7:10], frame.T @ offset, atol=1e-9)


def test_the_hand_keeps_its_orientation_and_fingers_their_speed_as_before(can: Robosuite) -> None:
    can.reset(seed=0)
    robot = can._suite.robots[0]
    goal = np.array(robot.part_controllers["right"].goal_ori)
    for _ in range(3):
        can.step(np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    assert np.array_equal(robot.part_controllers["right"].goal_ori, goal)
    assert np.allclose(np.abs(robot.gripper["right"].current_action), 3 * 25 * 0.01)
    can.step(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 1.0]))
    assert not np.array_equal(robot.part_controllers["right"].goal_ori, goal)


def test_an_old_controller_becomes_a_composite_one_in_the_frame_of_the_world() -> None:
    arm = {"type": "OSC_POSE", "kp": 150, "damping": 1, "control_delta": False, "position_limits": None}
    right = composite(arm)["body_parts"]["right"]
    assert (right["input_ref_frame"], right["input_type"]) == ("world", "absolute")
    assert right["damping_ratio"] == 1 and "damping" not in right and right["gripper"] == {"type": "GRIP"}
    assert composite({"type": "JOINT_VELOCITY"})["body_parts"]["right"]["input_type"] == "delta"


@pytest.mark.parametrize(
    ("arm", "named"),
    [
        ({"type": "IK_POSE"}, "IK_POSE"),
        ({"type": "OSC_POSE", "position_limits": [0, 1]}, "position_limits"),
    ],
)
def test_a_controller_that_cannot_be_made_again_is_refused(arm: dict[str, Any], named: str) -> None:
    with pytest.raises(EnvError, match=named):
        composite(arm)


def test_a_setting_that_is_no_longer_there_is_refused_by_its_name() -> None:
    args = {**ENV_ARGS, "env_kwargs": {"robots": "Panda", "table_colour": "red"}}
    with pytest.raises(EnvError, match=r"env_kwargs\.table_colour"):
        suite_settings(args, {"robots", "controller_configs"}, lambda name: {"type": name})


@pytest.mark.parametrize(
    ("text", "version", "old"),
    [("1.4.1", (1, 4), True), ("1.5.2", (1, 5), False), ("1.10.0", (1, 10), False)],
)
def test_versions_are_numbers(text: str, version: tuple[int, int], old: bool) -> None:
    assert version_of(text) == version
    assert is_old({"env_version": text}) == old


def test_what_a_raw_recording_says_of_its_environment(tmp_path: Path) -> None:
    said = env_args_of(str(write_robosuite(tmp_path / "demo.hdf5")))
    assert said == {
        "env_name": "Lift",
        "env_version": "1.4.0",
        "env_kwargs": {"env_name": "Lift", "robots": "Panda"},
        "rate_hz": 20.0,
        "obs": {"states": {"shape": [32], "dtype": "float64"}},
    }


OSC_POSE = {
    "type": "OSC_POSE", "input_max": 1, "input_min": -1, "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
    "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5], "kp": 150, "damping": 1, "impedance_mode": "fixed",
    "kp_limits": [0, 300], "damping_limits": [0, 10], "position_limits": None, "orientation_limits": None,
    "uncouple_pos_ori": True, "control_delta": True, "interpolation": None, "ramp_ratio": 0.2,
}  # fmt: skip
PUBLISHED = {
    "has_renderer": False, "has_offscreen_renderer": False, "ignore_done": True, "use_object_obs": True,
    "use_camera_obs": False, "control_freq": 20, "controller_configs": OSC_POSE, "robots": ["Panda"],
    "camera_depths": False, "camera_heights": 84, "camera_widths": 84, "reward_shaping": False,
}  # fmt: skip
"""Settings of robomimic's sets of 2021, which were made with robosuite 1.2 and name no version."""
TWO_ARMS = {"robots": ["Panda", "Panda"], "env_configuration": "single-arm-opposed"}
COMPOSITE = {"type": "BASIC", "body_parts": {"right": {**OSC_POSE, "input_ref_frame": "world"}}}


def published(
    folder: Path, version: str | None = None, name: str = "Lift", size: int = 10, **more: Any
) -> Path:
    """A file with the env_args of a published set, whose `object` has `size` elements."""
    args = {"env_name": name, "type": 1, "env_kwargs": {**PUBLISHED, **more}}
    with h5py.File(folder / "low_dim.hdf5", "w") as file:
        file.create_group("data").attrs["env_args"] = json.dumps(
            args if version is None else {**args, "env_version": version}
        )
        file["data/demo_0/actions"] = np.zeros((5, 7))
        file["data/demo_0/obs/object"] = np.zeros((5, size))
    return folder / "low_dim.hdf5"


@pytest.mark.parametrize(
    ("name", "size", "more"),
    [
        ("Lift", 10, {}),
        pytest.param("PickPlaceCan", 14, {}, marks=pytest.mark.slow),
        pytest.param("NutAssemblySquare", 14, {}, marks=pytest.mark.slow),
        pytest.param("TwoArmTransport", 41, TWO_ARMS, marks=pytest.mark.slow),
        pytest.param("ToolHang", 44, {}, marks=pytest.mark.slow),
    ],
)
def test_a_published_set_without_a_version_acts_as_robosuite_did_before_composite_controllers(
    tmp_path: Path, name: str, size: int, more: dict[str, Any]
) -> None:
    with closing(built(dataset=str(published(tmp_path, None, name, size, **more)))) as env:
        assert env.data_spec.obs["object"].shape == (size,)
        for robot in env._suite.robots:
            arm = robot.part_controllers["right"]
            assert (arm.input_ref_frame, arm.input_type) == ("world", "delta")
            assert np.array_equal(arm.output_max, OSC_POSE["output_max"]) and arm.kp[0] == 150
            assert robot.gripper["right"].speed == 0.01
        assert any(
            text.startswith("recorded with robosuite of an unknown version") for text in env.differences
        )
        assert any("do not play again exactly" in text for text in env.differences)


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.2.0", "1.3.2", "1.4.1"])
def test_every_version_before_composite_controllers_gets_the_same_one(tmp_path: Path, version: str) -> None:
    here = env_args_of(str(published(tmp_path, version, use_indicator_object=False)))
    accepted = {"robots", "controller_configs", "reward_shaping"}
    made = suite_settings(here, accepted, lambda name: {"type": name})
    assert is_old(here) and made["controller_configs"] == composite(OSC_POSE) and not made["lite_physics"]
    assert made["robots"] == ["Panda"] and made["reward_shaping"] is False


def test_where_no_version_is_said_the_controller_tells(tmp_path: Path) -> None:
    assert is_old(env_args_of(str(published(tmp_path))))
    assert not is_old(env_args_of(str(published(tmp_path, controller_configs=COMPOSITE))))
    assert is_old(env_args_of(str(published(tmp_path, controller_configs=[OSC_POSE, OSC_POSE]))))


@pytest.mark.parametrize(
    ("version", "more", "message"),
    [
        (
            None,
            {"controller_configs": None},
            r"names neither a robosuite version \(env_version\) nor a controller .* set env\.task",
        ),
        ("0.3.0", {}, r"recorded with robosuite 0\.3\.0, expected 1\.0 or newer.* set env\.task"),
        (
            "1.4.1",
            {"controller_configs": COMPOSITE},
            r"says robosuite 1\.4\.1, but its controller has body_parts, .* 1\.5: correct env_version",
        ),
    ],
)
def test_a_version_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, version: str | None, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as found:
        RobosuiteConfig(dataset=str(published(tmp_path, version, **more)))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("Stack_D0", {}, r"'Stack_D0' is unknown"),
        ("Lift", {"controller_configs": {**OSC_POSE, "type": "IK_POSE"}}, r"'IK_POSE'.*expected OSC_POSE"),
        ("Lift", {"controller_configs": ["OSC_POSE"]}, r"controller 'OSC_POSE' of the dataset is none"),
        ("Lift", {"table_colour": "red"}, r"env_kwargs\.table_colour"),
        ("Lift", {"robots": ["Pandora"]}, r"Pandora"),
        ("TwoArmTransport", {"robots": ["Panda", "Panda"], "env_configuration": "bimanual"}, r"bimanual"),
    ],
)
def test_what_cannot_be_made_again_names_both_versions_and_the_way_out(
    tmp_path: Path, name: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(EnvError, match=message) as found:
        built(dataset=str(published(tmp_path, "1.2.0", name, **more)))
    said = str(found.value)
    assert "recorded with robosuite 1.2.0" in said and "played with 1.5" in said and "env.task" in said
    assert "\n" not in said


def test_a_dataset_that_says_nothing_of_an_environment_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.hdf5", write_minari(tmp_path / "minari.hdf5")):
        with pytest.raises(ConfigError, match=r"env\.dataset"):
            RobosuiteConfig(dataset=str(path))
    with pytest.raises(EnvError, match="SawyerLift"):
        built(dataset=str(recording(tmp_path, env_name="SawyerLift")))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"task": "Lfit"}, r"env\.task.*Lift"),
        ({"robots": ("Panda", "Panda")}, r"env\.robots"),
        ({"robots": ("Pandas",)}, r"env\.robots.*Panda"),
        ({"controller": "OSC"}, r"env\.controller"),
        ({"image_px": 0}, r"env\.image_px"),
    ],
)
def test_a_wrong_setting_is_answered_with_its_key(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RobosuiteConfig(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_as_long_as_robomimic_plays_it_and_fixed_by_its_seed(task: str) -> None:
    env = built(task=task)
    assert env.max_steps == TASKS[task][2] and env.data_spec.rate_hz == 20.0
    assert env.data_spec.action.shape == (7 * TASKS[task][1],)
    first, _ = env.reset(seed=7)
    other, _ = env.reset(seed=8)
    env.step(np.ones(env.data_spec.action.shape))
    again, _ = env.reset(seed=7)
    env.close()
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["object"], other["object"])


def test_an_episode_leaves_no_memory_behind() -> None:
    """The scene of the last one is 120 MB: 16 rows of a rollout worker once held 8 GB of them."""
    env, scenes = built(task="Lift"), []
    for seed in range(3):
        env.reset(seed=seed)
        scenes.append(weakref.ref(env._suite.sim.model))
    assert [scene() is None for scene in scenes] == [True, True, False]
    env.close()
    assert scenes[-1]() is None
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["Can", "Square"])
def test_the_expert_demonstrates(task: str) -> None:
    env = built(task=task)
    env.reset(seed=0)
    expert, ended, info, steps = env.expert(), False, {"success": False}, 0
    while not ended:
        _, _, terminated, truncated, info = env.step(expert.act())
        ended, steps = terminated or truncated, steps + 1
    env.close()
    assert info["success"]
    assert steps < 200, "it waits where its arm comes no nearer: who learns from it learns to wait"


def test_a_controller_that_robosuite_breaks_off_with_is_answered_in_one_line() -> None:
    """Its JOINT_VELOCITY of 1.5.2 sets an attribute that cannot be set (ARISE-Initiative/robosuite#794)."""
    with pytest.raises(EnvError, match=r"robosuite 1\.5\.2 cannot make Lift with .*JOINT_VELOCITY: .*setter"):
        built(controller="JOINT_VELOCITY")


def test_an_observation_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="robot0_eef_pos"):
        built(obs=("robot0_eef_poss",))
