"""Parts as JSON: round trips, and errors that name the full key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.parts import from_json, to_json


@dataclass(frozen=True)
class Inner:
    width: int = 3
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = ()
    betas: tuple[float, float] = (0.9, 0.95)
    mode: Literal["fast", "slow"] = "fast"
    limit: int | None = None
    other: Inner | None = None
    flag: bool = False
    named: Mapping[str, Inner] = field(default_factory=dict)


OUTER = to_json(Outer("x"))


@given(
    st.builds(
        Outer,
        name=st.text(),
        inner=st.builds(Inner, st.integers(), st.floats(allow_nan=False)),
        sizes=st.lists(st.integers()).map(tuple),
        betas=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
        mode=st.sampled_from(["fast", "slow"]),
        limit=st.none() | st.integers(),
        other=st.none() | st.builds(Inner),
        flag=st.booleans(),
        named=st.dictionaries(st.text(), st.builds(Inner)),
    )
)
def test_round_trip(part: Outer) -> None:
    assert from_json(to_json(part)) == part


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": "y"}, "unknown key policy.nmae (did you mean 'name'?)"),
        ({"flag": 1}, "policy.flag is 1, expected true or false"),
        ({"limit": "many"}, "policy.limit is 'many', expected a whole number"),
        ({"limit": True}, "policy.limit is True, expected a whole number"),
        ({"mode": "medium"}, "policy.mode is 'medium', expected one of fast, slow"),
        ({"betas": [0.9]}, "policy.betas has 1 entries, expected 2"),
        ({"sizes": [1, "b"]}, "policy.sizes[1] is 'b', expected a whole number"),
        ({"inner": 3}, "policy.inner is 3, expected the settings of a Inner"),
        ({"inner": {**OUTER["inner"], "widht": 1}}, "unknown key policy.inner.widht (did you mean 'width'?)"),
        ({"inner": {"_target_": "os.system"}}, "expected the import path of a config dataclass"),
        ({"inner": {"_target_": "no.such.module.X"}}, "cannot be imported"),
        ({"named": {"a": {**OUTER["inner"], "widht": 1}}}, "unknown key policy.named.a.widht"),
        ({"named": {"a": 3}}, "policy.named.a is 3, expected the settings of a Inner"),
        ({"inner": OUTER}, "policy.inner names a Outer, expected a Inner"),
    ],
)
def test_mistakes_name_the_full_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_json({**OUTER, **change}, "policy")
    assert message in str(caught.value)


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"policy\.name is missing"):
        from_json({"_target_": OUTER["_target_"]}, "policy")


def test_whole_numbers_serve_as_floats() -> None:
    part = from_json({**OUTER, "betas": [1, 0]})
    assert part.betas == (1.0, 0.0) and all(isinstance(b, float) for b in part.betas)
