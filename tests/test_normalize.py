"""Normalisation: there and back is identity, constants stay finite, wrapping angles have no seam."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from imitate.errors import ConfigError, SpecError
from imitate.normalize import MODES, ArrayStatistics, Mode, Normalizer, StateEncoder, VectorNormalizer
from imitate.types import ArraySpec, DataSpec

VALUES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
    elements=st.floats(-1e3, 1e3, width=32),
)


def statistics(values: np.ndarray) -> ArrayStatistics:
    values = values.astype(np.float64)
    return ArrayStatistics(values.min(0), values.max(0), values.mean(0), values.std(0))


def fitted(values: np.ndarray, mode: Mode) -> VectorNormalizer:
    normalizer = VectorNormalizer(values.shape[1], mode)
    normalizer.fit(statistics(values))
    return normalizer


@given(VALUES, st.sampled_from(MODES))
def test_normalise_then_invert_is_identity(values: np.ndarray, mode: Mode) -> None:
    normalizer = fitted(values, mode)
    back = normalizer.inverse(normalizer(torch.from_numpy(values))).numpy()
    # What float32 can keep of a value beside its offset.
    assert np.all(np.abs(back - values) <= 1e-5 * np.maximum(1.0, np.abs(values).max(0)))


@given(VALUES)
def test_minmax_reaches_exactly_from_minus_one_to_one(values: np.ndarray) -> None:
    spread = np.ptp(values.astype(np.float64), axis=0)
    assume(np.all(spread > 1e-2 * np.maximum(1.0, np.abs(values).max(0))))
    scaled = fitted(values, "minmax")(torch.from_numpy(values)).numpy()
    assert np.allclose(scaled.min(0), -1, atol=1e-3) and np.allclose(scaled.max(0), 1, atol=1e-3)


@given(arrays(np.float32, (3, 2, 5), elements=st.floats(-100, 100, width=32)), st.sampled_from(MODES))
def test_states_and_back_are_the_same_states(values: np.ndarray, mode: Mode) -> None:
    """Angles come back in [0, 2π], and the last element has the shape of its observation."""
    obs = {"pose": ArraySpec((4,), circular=(1, 3)), "pair.of": ArraySpec((1, 1))}
    encoder = StateEncoder(obs, mode)
    raw = {"pose": values[..., :4], "pair.of": values[..., 4:, None]}
    encoder.fit({key: statistics(each.reshape(6, -1)) for key, each in raw.items()})
    back = encoder.inverse(encoder({key: torch.from_numpy(each) for key, each in raw.items()}))
    assert all(tuple(each.shape) == raw[key].shape for key, each in back.items())
    size = np.maximum(1.0, np.abs(values).max())
    assert np.allclose(back["pair.of"], raw["pair.of"], atol=1e-5 * size)
    assert np.allclose(back["pose"][..., [0, 2]], raw["pose"][..., [0, 2]], atol=1e-5 * size)
    angles = back["pose"][..., [1, 3]].numpy().astype(float)
    assert angles.min() >= 0 and angles.max() <= 2 * math.pi + 1e-6
    apart = (angles - raw["pose"][..., [1, 3]] + math.pi) % (2 * math.pi) - math.pi
    assert np.abs(apart).max() < 1e-4


def test_the_direction_of_sine_and_cosine_counts_not_their_length() -> None:
    encoder = StateEncoder({"turn": ArraySpec((1,), circular=(0,))})
    said = torch.tensor([[0.2, 0.0], [0.0, -3.0], [-0.1, 0.1]])
    expected = torch.tensor([[0.5], [1.0], [1.75]]) * math.pi
    torch.testing.assert_close(encoder.inverse(said)["turn"], expected)


def test_gaussian_gives_mean_zero_and_deviation_one() -> None:
    values = np.random.default_rng(0).normal([3.0, -50.0], [0.1, 20.0], (5000, 2)).astype(np.float32)
    scaled = fitted(values, "gaussian")(torch.from_numpy(values)).numpy()
    assert np.allclose(scaled.mean(0), 0, atol=1e-3) and np.allclose(scaled.std(0), 1, atol=1e-3)


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from(["minmax", "gaussian"]))
def test_a_constant_dimension_becomes_zero_and_comes_back(constant: float, mode: Mode) -> None:
    values = np.full((7, 1), constant, np.float32)
    # float32 rounding noise on a constant is no signal: it must not be blown up.
    values[0] = np.nextafter(np.float32(constant), np.float32(np.inf))
    normalizer = fitted(values, mode)
    scaled = normalizer(torch.from_numpy(values))
    assert scaled.abs().max() <= 1e-2
    assert torch.allclose(normalizer.inverse(scaled), torch.from_numpy(values), rtol=1e-6, atol=1e-6)
    # Whatever a network says about a dimension that never changed, it stays where it was.
    assert torch.allclose(normalizer.inverse(scaled + 0.7), torch.from_numpy(values), rtol=1e-6, atol=1e-6)


def test_an_unknown_mode_and_foreign_statistics_are_refused() -> None:
    with pytest.raises(ConfigError, match="normalisation is 'max', expected one of minmax"):
        VectorNormalizer(2, "max")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="for a vector of 3"):
        VectorNormalizer(3).fit(statistics(np.zeros((5, 2))))


OBS = {
    "pose.block": ArraySpec((3,), units=("m", "m", "rad"), circular=(2,)),
    "gripper": ArraySpec((1,)),
    "camera": ArraySpec((2, 2, 3), dtype="uint8"),
}


def encoder(mode: Mode = "minmax") -> StateEncoder:
    encoder = StateEncoder(OBS, mode)
    values = np.random.default_rng(0).uniform(0, 2 * math.pi, (100, 3))
    encoder.fit({"pose.block": statistics(values), "gripper": statistics(values[:, :1])})
    return encoder


def observed(angle: float) -> dict[str, torch.Tensor]:
    pose = torch.tensor([1.0, 2.0, angle]).expand(5, 2, 3)
    return {"pose.block": pose, "gripper": torch.ones(5, 2, 1), "camera": torch.zeros(5, 2, 2, 2, 3)}


@given(st.floats(-10, 10), st.integers(-3, 3), st.sampled_from(MODES))
def test_an_angle_and_the_same_angle_a_turn_later_look_alike(angle: float, turns: int, mode: Mode) -> None:
    here, there = (encoder(mode)(observed(a)) for a in (angle, angle + turns * 2 * math.pi))
    assert torch.allclose(here, there, atol=1e-5)


@given(st.floats(0, 6.28), st.floats(0, 6.28))
def test_different_angles_look_different(one: float, other: float) -> None:
    assume(abs(one - other) > 1e-2)
    assert not torch.allclose(encoder()(observed(one)), encoder()(observed(other)), atol=1e-4)


def test_states_become_one_vector_and_images_are_left_out() -> None:
    assert encoder().size == 3 + 1 + 1
    assert encoder()(observed(0.3)).shape == (5, 2, 5)


def test_missing_statistics_name_the_observation() -> None:
    with pytest.raises(SpecError, match=r"no statistics for observation 'pose.block'"):
        StateEncoder(OBS).fit({"action": statistics(np.zeros((5, 2)))})


def test_a_fitted_normalizer_survives_its_state_dict() -> None:
    spec = DataSpec(OBS, ArraySpec((2,)))
    values = np.random.default_rng(0).normal(size=(50, 3))
    one, other = Normalizer(spec), Normalizer(spec)
    one.fit(
        {
            "pose.block": statistics(values),
            "gripper": statistics(values[:, :1]),
            "action": statistics(values[:, :2]),
        }
    )
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.state(observed(0.3)), other.state(observed(0.3)))
    assert torch.equal(one.action(torch.ones(2)), other.action(torch.ones(2)))
