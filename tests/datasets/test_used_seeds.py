"""Which starts a policy has met: ranges of seeds, by environment, from what episodes say."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_pages import SPEC, episode

from imitate.datasets.store import DemoStore
from imitate.datasets.used_seeds import UsedSeeds, seeds_of
from imitate.types import Episode

REACH, PUSH = {"_target_": "suite.Reach", "max_steps": 3}, {"_target_": "suite.Push"}


def store(path: Path, metadata: list[dict], **about) -> DemoStore:
    made = DemoStore.create(path, SPEC, "sample", about)
    for index, known in enumerate(metadata):
        plain = episode(index, steps=5)
        made.append(Episode(f"e{index}", plain.obs, plain.action, success=True, rate_hz=10.0, metadata=known))
    made.close()
    return made


@given(st.sets(st.integers(0, 60)), st.lists(st.integers(0, 80), max_size=30))
def test_ranges_hold_the_seeds_and_no_others(used: set[int], asked: list[int]) -> None:
    made = UsedSeeds.of("demonstrations", "suite.Reach", used)
    assert made.common("suite.Reach", asked) == [seed for seed in asked if seed in used]
    assert made.common("suite.Push", asked) == []
    assert len(made.ranges) == sum(seed - 1 not in used for seed in used)
    assert UsedSeeds.from_json(json.loads(json.dumps(asdict(made)))) == made


def test_seeds_are_read_from_the_episodes_by_environment(tmp_path: Path) -> None:
    made = store(
        tmp_path / "d.zarr",
        [
            {"seed": 4, "env": REACH},
            {"seed": 5, "env": {**REACH, "max_steps": 9}},
            {"seed": 5, "env": PUSH},
            {"seed": "five", "env": PUSH},
            {"seed": True},
            {},
        ],
    )
    assert seeds_of(made, range(6)) == (
        UsedSeeds("demonstrations", "suite.Reach", ((4, 5),)),
        UsedSeeds("demonstrations", "suite.Push", ((5, 5),)),
        UsedSeeds("demonstrations", None, (), without_seed=3),
    )
    assert seeds_of(made, [0]) == (UsedSeeds("demonstrations", "suite.Reach", ((4, 4),)),)


def test_a_recorded_rollout_says_its_environment_once_for_all(tmp_path: Path) -> None:
    made = store(tmp_path / "d.zarr", [{"seed": 60_000, "score": 0.5}], env=REACH)
    assert seeds_of(made, [0])[0].env == "suite.Reach"


def test_seeds_of_an_unknown_environment_count_everywhere(tmp_path: Path) -> None:
    made = store(tmp_path / "d.zarr", [{"seed": 7}])
    assert seeds_of(made, [0])[0].common("suite.Any", range(10)) == [7]


@pytest.mark.parametrize("malformed", [{}, {"purpose": "x", "env": None, "ranges": [3], "without_seed": 0}])
def test_a_malformed_entry_is_an_error(malformed: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        UsedSeeds.from_json(malformed)
