"""What policies see: normalised states, disturbed in training alone."""

import pytest
import torch

from imitate.errors import ConfigError, SpecError
from imitate.normalize import StateEncoder
from imitate.policies.nets.observation import ObservationConfig, ObservationEncoder
from imitate.types import ArraySpec, DataSpec

OBS = {"joints": ArraySpec((3,), circular=(1,)), "task": ArraySpec((2,))}
SPEC = DataSpec(OBS, ArraySpec((2,)))


def encoder(spec: DataSpec = SPEC, **settings: object) -> ObservationEncoder:
    return ObservationConfig(**settings).build(spec, StateEncoder(spec.obs), "bc")  # type: ignore[arg-type]


def test_acting_sees_the_states_themselves() -> None:
    states = torch.randn(8, 2, 6)
    assert torch.equal(encoder(noise=0.5, goal=("task",)).eval()(states), states)


def test_noise_has_its_deviation() -> None:
    torch.manual_seed(0)
    added = encoder(noise=0.1)(torch.zeros(2000, 2, 6))
    assert added.std() == pytest.approx(0.1, rel=0.05)
    assert added.mean().abs() < 0.01


def test_goals_are_dropped_whole_for_a_share_of_the_windows() -> None:
    torch.manual_seed(0)
    seen = encoder(goal=("task",), goal_dropout=0.25)(torch.ones(4000, 2, 6))
    states, goal = seen[..., :4], seen[..., 4:]
    assert (states == 1).all()
    assert ((goal == 0).flatten(1).all(1) | (goal == 1).flatten(1).all(1)).all()
    assert (goal[:, 0, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.03)


def test_columns_follow_the_order_of_the_vector() -> None:
    states = StateEncoder(OBS)
    assert states.columns() == {"joints": [0, 1, 2, 3], "task": [4, 5]}
    seen = states({"joints": torch.zeros(1, 1, 3), "task": torch.full((1, 1, 2), 7.0)})
    assert (seen[..., states.columns()["task"]] == 7).all()


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"policy\.observation\.noise is -0\.1, expected 0 or more"):
        ObservationConfig(noise=-0.1)
    with pytest.raises(ConfigError, match=r"policy\.observation\.goal_dropout is 1, expected"):
        ObservationConfig(goal_dropout=1)
    with pytest.raises(ConfigError, match=r"policy\.observation\.goal names 'tsk' \(did you mean 'task'\?\)"):
        encoder(goal=("tsk",))


def test_a_policy_of_states_refuses_images_and_nothing() -> None:
    action = ArraySpec((2,))
    with pytest.raises(SpecError, match=r"policy bc reads states only, .*\['camera'\]"):
        encoder(DataSpec({"x": ArraySpec((3,)), "camera": ArraySpec((8, 8, 3), "uint8")}, action))
    with pytest.raises(SpecError, match="at least one state"):
        encoder(DataSpec({}, action))
