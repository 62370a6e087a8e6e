"""Observations that are unlike the training data, with a threshold from episodes that were held out."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.deploy.safety.distribution import DistributionConfig, DistributionGate
from imitate.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
TRAIN, HELD_OUT = RNG.normal(size=(1000, 5)), RNG.normal(size=(500, 5))


def gate(**settings) -> DistributionGate:
    return DistributionGate(TRAIN, HELD_OUT, DistributionConfig(**settings))


def test_distances_are_those_of_the_nearest_neighbour() -> None:
    found = gate().check(HELD_OUT[7]).distance
    scaled = (TRAIN - HELD_OUT[7]) / TRAIN.std(axis=0)
    assert found == pytest.approx(np.linalg.norm(scaled, axis=1).min(), rel=1e-9)


def test_the_threshold_leaves_the_set_share_outside() -> None:
    judged = gate(quantile=0.9)
    assert np.mean([judged.check(x).outside for x in HELD_OUT]) == pytest.approx(0.1, abs=0.005)
    fresh = np.random.default_rng(1).normal(size=(2000, 5))
    assert np.mean([judged.check(x).outside for x in fresh]) == pytest.approx(0.1, abs=0.05)


def test_a_single_strange_observation_is_let_pass() -> None:
    judged = gate(mode="hold", consecutive=3)
    strange = np.full(5, 50.0)
    assert [judged.check(strange).action for _ in range(3)] == ["none", "none", "hold"]
    assert judged.check(TRAIN[0]).action == "none"
    assert judged.check(strange).action == "none"


@pytest.mark.parametrize(("mode", "scale"), [("warn", 1.0), ("slow", 0.25), ("hold", 0.0)])
def test_modes_say_how_much_speed_is_left(mode: str, scale: float) -> None:
    found = gate(mode=mode, consecutive=1, slow=0.25).check(np.full(5, 50.0))
    assert (found.action, found.scale) == (mode, scale)


def test_reset_starts_counting_anew() -> None:
    judged = gate(mode="hold", consecutive=2)
    judged.check(np.full(5, 50.0))
    judged.reset()
    assert judged.check(np.full(5, 50.0)).action == "none"


@pytest.mark.parametrize("strange", [np.full(5, np.nan), np.full(5, np.inf), np.zeros(4), np.zeros((5, 1))])
def test_what_is_no_observation_is_outside(strange: np.ndarray) -> None:
    assert gate(mode="hold", consecutive=1).check(strange).action == "hold"


@settings(max_examples=20)
@given(st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_units_do_not_matter(scale: float, shift: float) -> None:
    train, held_out = TRAIN[:50], HELD_OUT[:10]
    moved = DistributionGate(train * scale + shift, held_out * scale + shift)
    found = moved.check(held_out[3] * scale + shift).distance
    assert found == pytest.approx(DistributionGate(train, held_out).check(held_out[3]).distance, rel=1e-5)


def test_a_dimension_that_never_changed_counts_when_it_does() -> None:
    train, held_out = TRAIN.copy(), HELD_OUT.copy()
    train[:, 0] = held_out[:, 0] = 3.0
    judged = DistributionGate(train, held_out)
    usual = train[0].copy()
    assert judged.check(usual).distance == pytest.approx(0.0, abs=1e-5)
    usual[0] = 10.0
    assert judged.check(usual).outside


@pytest.mark.parametrize(
    "arrays",
    [
        (TRAIN, HELD_OUT[:, :3]),
        (TRAIN[:0], HELD_OUT),
        (TRAIN, np.full((3, 5), np.nan)),
        (TRAIN[0], HELD_OUT),
    ],
)
def test_data_that_does_not_fit_is_refused(arrays) -> None:
    with pytest.raises(DataError, match="distribution"):
        DistributionGate(*arrays)


@pytest.mark.parametrize("setting", [{"mode": "stop"}, {"quantile": 1.0}, {"consecutive": 0}, {"slow": 1.0}])
def test_settings_are_checked(setting) -> None:
    with pytest.raises(ConfigError, match="distribution"):
        DistributionConfig(**setting)


def test_a_query_of_2048_observations_takes_little_of_a_tick() -> None:
    rng = np.random.default_rng(2)
    judged = DistributionGate(rng.normal(size=(2048, 20)), rng.normal(size=(100, 20)))
    query, seconds = rng.normal(size=20), []
    for _ in range(200):
        start = time.perf_counter()
        judged.check(query)
        seconds.append(time.perf_counter() - start)
    # The bar is 0.3 ms; other work on a test machine must not fail this.
    assert min(seconds) < 0.0003


def test_an_element_that_only_trembled_in_training_may_move_a_little() -> None:
    # Seen with a joint that stood still but for 5e-6 rad: everything a policy did was called unfamiliar.
    rng = np.random.default_rng(2)
    noise = 5e-6 * rng.normal(size=(1500, 1))
    trembling = np.hstack([np.vstack([TRAIN, HELD_OUT]), noise])
    judged = DistributionGate(trembling[:1000], trembling[1000:], DistributionConfig())
    before = gate()
    for row in HELD_OUT[:100]:
        assert judged.check(np.append(row, 0.02)).distance == pytest.approx(
            np.hypot(before.check(row).distance, 0.4), rel=0.05
        )
    assert judged.check(np.append(HELD_OUT[0], 0.5)).outside
