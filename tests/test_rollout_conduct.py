"""What a rollout says about how an episode went: smoothness, violations, collisions, where it ended."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_env import SPEC, LineConfig, LineEnv
from line_policy import LinePolicy

from imitate.datasets.quality.smoothness import spectral_arc_length, speed_profile
from imitate.rollout import rollout
from imitate.rollout.conduct import Conduct, action_smoothness, violations
from imitate.types import ArraySpec, DataSpec

METRES_AND_RADIANS = ArraySpec((2,), low=(-1.0, -10.0), high=(1.0, 10.0))
FREE = ArraySpec((2,))


def reach(steps: int = 60, noise: float = 0.0) -> np.ndarray:
    """Two dimensions that go along a minimum-jerk path, (T, 2)."""
    t = np.linspace(0, 1, steps)
    path = 10 * t**3 - 15 * t**4 + 6 * t**5
    return np.stack([path, -path], axis=1) + noise * np.random.default_rng(0).normal(size=(steps, 2))


def test_smoothness_is_the_arc_length_of_the_quality_report() -> None:
    assert action_smoothness(reach(), FREE, 20.0) == spectral_arc_length(speed_profile(reach()), 20.0)


def test_trembling_is_less_smooth() -> None:
    found = [action_smoothness(reach(noise=noise), FREE, 20.0) for noise in (0.0, 0.01, 0.1)]
    assert found[0] > found[1] > found[2]
    assert found[0] > -2.0


def test_each_dimension_counts_in_parts_of_its_range() -> None:
    scaled = reach() * [1.0, 10.0]
    assert action_smoothness(scaled, METRES_AND_RADIANS, 20.0) == pytest.approx(
        action_smoothness(reach(), FREE, 20.0)
    )


def test_smoothness_is_that_of_what_is_executed() -> None:
    beyond = reach() * 100
    inside = np.clip(beyond, (-1, -10), (1, 10))
    assert action_smoothness(beyond, METRES_AND_RADIANS, 20.0) == action_smoothness(
        inside, METRES_AND_RADIANS, 20.0
    )


def test_a_turn_past_pi_is_no_jump() -> None:
    angle = np.linspace(0, 6, 60)[:, None] ** 2 / 3
    spec = ArraySpec((1,), circular=(0,))
    assert action_smoothness(np.angle(np.exp(1j * angle)), spec, 20.0) == pytest.approx(
        action_smoothness(angle, spec, 20.0), rel=1e-6
    )


@pytest.mark.parametrize("actions", [reach(4), np.ones((30, 2))])
def test_nothing_is_said_where_there_is_nothing_to_measure(actions: np.ndarray) -> None:
    assert action_smoothness(actions, FREE, 20.0) is None


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20))
def test_violations_are_the_steps_outside_the_range(values: list[float]) -> None:
    actions = np.array([[value, 0.0] for value in values])
    outside = sum(abs(value) > 1.0 + 2e-5 for value in values)
    at_the_edge = sum(1.0 < abs(value) <= 1.0 + 2e-5 for value in values)
    assert outside <= violations(actions, METRES_AND_RADIANS) <= outside + at_the_edge
    assert violations(actions, FREE) is None


def test_a_bound_that_float32_cannot_hold_is_no_violation() -> None:
    spec = ArraySpec((1,), low=(-0.05,), high=(0.05,))
    assert float(np.float32(0.05)) > 0.05
    assert violations(np.array([[0.05]], np.float32), spec) == 0
    assert violations(np.array([[0.0501]], np.float32), spec) == 1


def test_a_range_without_an_end_is_left_at_its_end_only() -> None:
    spec = ArraySpec((1,), low=(0.0,), high=(math.inf,))
    assert violations(np.array([[-1.0], [1e9], [0.0]]), spec) == 1


def test_collisions_are_counted_where_the_environment_says_so() -> None:
    conduct = Conduct(SPEC)
    obs = {"position": np.zeros(1), "velocity": np.zeros(2)}
    conduct.see(obs, {})
    assert conduct.collisions is None
    for hit in (False, True, np.True_):
        conduct.see(obs, {"collision": hit})
    assert conduct.collisions == 2


def test_the_end_is_kept_without_images_and_as_plain_numbers() -> None:
    spec = DataSpec({**SPEC.obs, "camera": ArraySpec((8, 8, 3), "uint8")}, SPEC.action, 10.0)
    conduct = Conduct(spec)
    conduct.see({"position": np.array([0.1]), "velocity": np.zeros(2), "camera": np.zeros((8, 8, 3))}, {})
    assert conduct.final_obs == {"position": (float(np.float32(0.1)),), "velocity": (0.0, 0.0)}
    assert type(conduct.final_obs["position"][0]) is float


def test_a_rollout_counts_the_actions_that_leave_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: dict[int, list[float]] = {}
    plain = LineEnv.step

    def watched(self: LineEnv, action: np.ndarray):
        wanted.setdefault(self.seed, []).append(float(action[0]))
        return plain(self, action)

    monkeypatch.setattr(LineEnv, "step", watched)
    played = rollout(LinePolicy(SPEC), LineConfig(), range(100_000, 100_006), workers=0, batch=3).episodes
    counted = {seed: sum(abs(value) > 1 + 1e-4 for value in values) for seed, values in wanted.items()}
    assert {episode.seed: episode.violations for episode in played} == counted
    assert 0 < sum(counted.values()) < sum(episode.length for episode in played)
    assert {episode.collisions for episode in played} == {None}


def test_an_environment_that_says_so_has_its_collisions_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LineEnv._info
    monkeypatch.setattr(LineEnv, "_info", lambda self: plain(self) | {"collision": self.steps == 2})
    done = rollout(LinePolicy(SPEC, gain=0.0), LineConfig(), [100_000], workers=0, batch=1)
    assert done.episodes[0].collisions == 1


def test_results_still_hash() -> None:
    episode = rollout(LinePolicy(SPEC), LineConfig(), [100_000], workers=0, batch=1).episodes[0]
    assert len({episode, dataclasses.replace(episode)}) == 1
