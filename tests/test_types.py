"""DataSpec, Episode and Batch: what is lost never, what is compared, and errors that name the key."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import SpecError
from imitate.types import ArraySpec, Batch, DataSpec, Episode, require_match

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def array_specs(draw: st.DrawFn) -> ArraySpec:
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    size = math.prod(shape)

    def some(values: st.SearchStrategy) -> tuple:
        return tuple(draw(st.just([]) | st.lists(values, min_size=size, max_size=size)))

    circular = draw(st.lists(st.integers(0, size - 1), unique=True))
    dtype = draw(st.sampled_from(["float32", "uint8"]))
    return ArraySpec(
        shape, dtype, some(st.text()), some(st.text()), some(NUMBERS), some(NUMBERS), tuple(circular)
    )


SPECS = st.builds(
    DataSpec,
    st.dictionaries(st.text(), array_specs(), max_size=3),
    array_specs(),
    st.none() | st.floats(0.1, 1000),
)

SPEC = DataSpec(
    {
        "arm/angle": ArraySpec((2,), names=("q1", "q2"), units=("rad", "rad")),
        "camera": ArraySpec((4, 4, 3), dtype="uint8"),
    },
    ArraySpec((2,), names=("dx", "dy"), units=("m", "m")),
    rate_hz=10.0,
)


def with_obs(key: str, array: ArraySpec) -> DataSpec:
    return replace(SPEC, obs={**SPEC.obs, key: array})


@given(SPECS)
def test_json_round_trip(spec: DataSpec) -> None:
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(SPECS)
def test_a_spec_matches_itself_and_knows_nothing_more_from_itself(spec: DataSpec) -> None:
    require_match(spec, spec, "here")
    assert spec.filled_from(spec) == spec


@pytest.mark.parametrize(
    "broken", [{}, {"obs": {}}, {"obs": 3, "action": {}}, {"obs": {}, "action": {"x": 1}}]
)
def test_malformed_json_is_a_spec_error(broken: dict) -> None:
    with pytest.raises(SpecError, match="malformed data spec"):
        DataSpec.from_json(broken)


@pytest.mark.parametrize("label", ["names", "units", "low", "high"])
def test_an_array_has_one_entry_per_element(label: str) -> None:
    with pytest.raises(SpecError, match=f"{label} has 1 entries, expected 2"):
        ArraySpec((2,), **{label: ("one",)})


@pytest.mark.parametrize("index", [-1, 2])
def test_a_circular_element_exists(index: int) -> None:
    with pytest.raises(SpecError, match="circular"):
        ArraySpec((2,), circular=(index,))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (replace(SPEC, obs={"camera": SPEC.obs["camera"]}), r"'arm/angle' is missing; found \['camera'\]"),
        (with_obs("arm/angle", ArraySpec((3,))), r"'arm/angle': shape is \(3,\), expected \(2,\)"),
        (with_obs("camera", ArraySpec((4, 4, 3))), "'camera': dtype is float32, expected uint8"),
        (
            with_obs("arm/angle", ArraySpec((2,), units=("deg", "deg"))),
            r"'arm/angle': units are \['deg', 'deg'\], expected \['rad', 'rad'\]",
        ),
        (
            replace(SPEC, action=ArraySpec((2,), names=("dy", "dx"))),
            r"action: names are \['dy', 'dx'\], expected \['dx', 'dy'\]",
        ),
        (replace(SPEC, rate_hz=20.0), "rate is 20 Hz, expected 10 Hz"),
    ],
)
def test_a_mismatch_names_place_key_and_both_sides(found: DataSpec, message: str) -> None:
    with pytest.raises(SpecError, match=f"^robot: .*{message}"):
        require_match(found, SPEC, "robot")


def test_what_either_side_does_not_know_is_not_compared() -> None:
    bare = DataSpec({"arm/angle": ArraySpec((2,)), "camera": SPEC.obs["camera"]}, ArraySpec((2,)))
    require_match(bare, SPEC, "file")
    require_match(SPEC, bare, "file")
    assert bare.filled_from(SPEC) == SPEC


def test_more_observations_than_expected_are_fine() -> None:
    require_match(with_obs("extra", ArraySpec((1,))), SPEC, "file")


def test_a_part_of_an_array_keeps_what_is_known_of_its_elements() -> None:
    whole = ArraySpec((3,), names=("a", "b", "c"), units=("m", "m", "rad"), low=(0, 1, 2), circular=(2,))
    part = whole.part((2, 0))
    assert part == ArraySpec((2,), names=("c", "a"), units=("rad", "m"), low=(2, 0), circular=(0,))
    assert ArraySpec((3,)).part((1,)) == ArraySpec((1,))


def test_select_keeps_order_and_names_an_absent_key() -> None:
    assert list(SPEC.select(["camera", "arm/angle"]).obs) == ["camera", "arm/angle"]
    with pytest.raises(SpecError, match="'velocity' is not there"):
        SPEC.select(["velocity"])


def test_an_episode_has_steps_and_as_many_in_each_array() -> None:
    action = np.zeros((5, 2))
    assert len(Episode("a", {"x": np.zeros((5, 1))}, action)) == 5
    with pytest.raises(SpecError, match="'a': observation 'x' has 4 steps, the action has 5"):
        Episode("a", {"x": np.zeros((4, 1))}, action)
    for empty in (np.zeros((0, 2)), np.zeros(5)):
        with pytest.raises(SpecError, match="expected \\(T, Da\\)"):
            Episode("a", {}, empty)


def test_an_episode_prints_shapes_and_no_numbers() -> None:
    text = repr(Episode("a", {"x": np.full((5, 1), 0.125)}, np.zeros((5, 2)), success=True))
    assert text == "Episode('a', x (5, 1) float64, action (5, 2) float64, success=True)"


def test_a_batch_moves_as_a_whole() -> None:
    batch = Batch({"x": torch.zeros(3, 2, 4)}, torch.zeros(3, 8, 2), torch.zeros(3, 8).bool(), torch.ones(3))
    moved = batch.to("meta")
    arrays = [*moved.obs.values(), moved.action, moved.is_pad, moved.weight]
    assert {array.device.type for array in arrays} == {"meta"}
    assert len(moved) == 3 and moved.is_pad.dtype == torch.bool
