"""What is drawn with what, and that the drawn numbers are those of the data."""

from pathlib import Path

import numpy as np
import pytest
import sample_pages
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.store import DemoStore
from imitate.inspection import curves
from imitate.inspection.curves import Element, curve_data, panels
from imitate.inspection.survey import Survey, survey
from imitate.types import ArraySpec, DataSpec, Episode


def paired(spec: DataSpec) -> list[tuple[str, ...]]:
    return [tuple(f"{e.key}.{e.label}" for e in panel.elements) for panel in panels(spec)]


def array(*names: str, unit: str = "") -> ArraySpec:
    return ArraySpec((len(names),), names=names, units=(unit,) * len(names) if unit else ())


def test_an_action_is_drawn_with_the_state_of_its_name() -> None:
    spec = DataSpec({"joints": array("a", "b", "grip")}, array("b", "c"))
    assert paired(spec) == [("action.b", "joints.b"), ("action.c",), ("joints.a",), ("joints.grip",)]


def test_the_unit_decides_between_states_of_one_name() -> None:
    obs = {"position": array("a", unit="rad"), "velocity": array("a", unit="rad/s")}
    assert paired(DataSpec(obs, array("a", unit="rad/s")))[0] == ("action.a", "velocity.a")
    assert paired(DataSpec(obs, array("a", unit="Nm")))[0] == ("action.a",)
    assert paired(DataSpec(obs, array("a")))[0] == ("action.a",), "either may be meant"


def test_what_has_no_name_follows_nothing() -> None:
    assert paired(DataSpec({"state": ArraySpec((2,))}, ArraySpec((1,)))) == [
        ("action.action[0]",),
        ("state.state[0]",),
        ("state.state[1]",),
    ]


SPECS = st.builds(
    lambda obs, action: DataSpec(obs, action, 10.0),
    st.dictionaries(
        st.sampled_from(["p", "q", "r"]),
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4).map(lambda names: array(*names)),
    ),
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5).map(lambda names: array(*names)),
)


@settings(max_examples=80)
@given(SPECS)
def test_every_action_is_drawn_once_and_every_observation_at_least_once(spec: DataSpec) -> None:
    drawn = [one for panel in panels(spec) for one in panel.elements]
    actions = [one for one in drawn if one.key == "action"]
    assert len(actions) == len(set(actions)) == spec.action.size
    states = {one for one in drawn if one.key != "action"}
    assert states == {Element(k, i, n, "") for k, one in spec.obs.items() for i, n in enumerate(one.names)}


def surveyed(folder: Path, action: np.ndarray) -> Survey:
    spec = DataSpec({}, ArraySpec((action.shape[1],)), 20.0)
    with DemoStore.create(folder / "d.zarr", spec) as store:
        store.append(Episode("one", {}, action.astype(np.float32), success=False))
        return survey(store, store.path, "t")


def test_curves_are_the_numbers_of_the_data(tmp_path: Path) -> None:
    action = np.random.default_rng(0).normal(0, 3, (50, 2)).astype(np.float32)
    action[7, 1] = np.nan
    data = curve_data(surveyed(tmp_path, action))
    episode = data["episodes"][0]
    assert episode["at"] == list(range(50)) and episode["rate"] == 20.0 and episode["outcome"] == "failure"
    assert episode["lines"][1][0][7] is None
    np.testing.assert_allclose(episode["lines"][0][0], action[:, 0], rtol=1e-3)


def test_long_episodes_are_thinned_from_first_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "MAX_VALUES", 200)
    data = curve_data(surveyed(tmp_path, np.zeros((5000, 2))))
    at = data["episodes"][0]["at"]
    assert len(at) == 100 and at[0] == 0 and at[-1] == 4999


def test_panels_say_name_and_arrays() -> None:
    spec = sample_pages.SPEC
    assert [panel.title for panel in panels(spec)][:2] == ["vx (action)", "vy (action)"]
