"""Failure groups that were planted are found, and none are found where there are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from imitate.evaluation.failures import clusters, counts, group_failures, silhouette
from imitate.rollout import EpisodeResult
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec(
    {
        "object": ArraySpec((3,), names=("x", "y", "z"), units=("m", "m", "m")),
        "gripper": ArraySpec((1,), units=("m",)),
        "yaw": ArraySpec((1,), units=("rad",), circular=(0,)),
        "goal": ArraySpec((2,), names=("goal_x", "goal_y"), units=("m", "m")),
    },
    ArraySpec((2,)),
)
DROPPED, MISSED, STUCK = 0, 1, 2


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Hubert & Arabie 1985: 1 for the same partition, 0 on average for unrelated ones."""
    table = np.array([[np.sum((a == i) & (b == j)) for j in np.unique(b)] for i in np.unique(a)])
    pairs = lambda n: (n * (n - 1) / 2).sum()  # noqa: E731
    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * columns / pairs(np.array([len(a)]))
    return float((both - chance) / ((rows + columns) / 2 - chance))


def episode(seed: int, kind: int | None, random: np.random.Generator) -> EpisodeResult:
    """A success, or a failure of a kind: object on the floor, gripper closed on nothing, or arm turned."""
    place = random.normal((0.5, 0.0, 0.3), 0.02)
    gripper, yaw = random.normal(0.02, 0.002), random.normal(0.0, 0.05)
    if kind == DROPPED:
        place[2] = random.normal(0.0, 0.005)
    elif kind == MISSED:
        place[2], gripper = 0.02, random.normal(0.0, 0.0005)
    elif kind == STUCK:
        yaw = random.normal(1.5, 0.05)
    seen = {"object": place, "gripper": [gripper], "yaw": [yaw], "goal": random.uniform(-0.3, 0.3, 2)}
    final = {key: tuple(float(value) for value in values) for key, values in seen.items()}
    won = kind is None
    return EpisodeResult(seed, won, float(won), 100, 0.0, 50 if won else None, final_obs=final)


def planted(seed: int, sizes: tuple[int, ...]) -> tuple[list[EpisodeResult], np.ndarray]:
    """Shuffled episodes, 40 of them successes, and the kind of each (-1 for success)."""
    random = np.random.default_rng(seed)
    kinds = random.permutation([-1] * 40 + [kind for kind, size in enumerate(sizes) for _ in range(size)])
    return [episode(i, None if k < 0 else int(k), random) for i, k in enumerate(kinds)], kinds


@pytest.mark.parametrize("sizes", [(20, 12, 8), (30, 8, 8)])
@pytest.mark.parametrize("seed", range(2))
def test_planted_groups_are_found(sizes: tuple[int, ...], seed: int) -> None:
    episodes, kinds = planted(seed, sizes)
    found = group_failures(episodes, SPEC)
    members = np.array([i for group in found.groups for i in group.members])
    place = np.array([n for n, group in enumerate(found.groups) for _ in group.members])
    assert sorted(members) == [i for i, one in enumerate(episodes) if not one.success]
    assert adjusted_rand(kinds[members], place) > 0.85 and len(found.groups) == 3
    assert found.by == "final observations" and found.against == "successes"


def test_a_group_is_told_by_what_sets_it_apart_in_units() -> None:
    episodes, kinds = planted(0, (20, 12, 8))
    found = group_failures(episodes, SPEC)
    by_kind = {int(kinds[group.members[0]]): group.differences[0] for group in found.groups}
    dropped, missed, stuck = by_kind[DROPPED], by_kind[MISSED], by_kind[STUCK]
    assert (dropped.name, dropped.unit) == ("object z", "m")
    assert dropped.failed == pytest.approx(0.0, abs=0.01) and dropped.compared == pytest.approx(0.3, abs=0.01)
    assert dropped.spreads < -1
    assert missed.name == "gripper" and missed.failed == pytest.approx(0.0, abs=0.003)
    assert (stuck.name, stuck.unit) == ("yaw", "rad") and stuck.spreads > 1


@pytest.mark.parametrize("shape", ["normal", "long", "uniform", "flat"])
def test_one_cloud_is_one_group(shape: str) -> None:
    split = 0
    for seed in range(5):
        random = np.random.default_rng(seed)
        size = (40, 6)
        points = random.uniform(-1, 1, size) if shape == "uniform" else random.standard_normal(size)
        points *= {"long": [5, 1, 1, 1, 1, 1], "flat": [3, 3, 0.01, 0.01, 0, 0]}.get(shape, [1] * 6)
        split += len(np.unique(clusters(points)[0])) > 1
    # Each of 19 such clouds has to be beaten: by chance once in 20 times.
    assert split <= 1


@settings(max_examples=3)
@given(st.integers(0, 10_000), st.permutations(range(24)))
def test_order_does_not_matter_to_what_is_found(seed: int, order: list[int]) -> None:
    random = np.random.default_rng(seed)
    points = np.concatenate([random.normal(centre, 0.1, (8, 2)) for centre in ((0, 0), (5, 0), (0, 5))])
    truth = np.repeat([0, 1, 2], 8)[list(order)]
    assert adjusted_rand(truth, clusters(points[list(order)])[0]) == 1.0


@given(st.integers(0, 1000))
def test_silhouette_is_the_textbook_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    points, found = random.standard_normal((12, 2)), random.integers(0, 3, 12)
    distances = cdist(points, points)
    expected = []
    for i in range(12):
        others = {k: [distances[i, j] for j in range(12) if found[j] == k and j != i] for k in set(found)}
        own = others.pop(found[i])
        if not others:
            expected.append(0.0)
            continue
        a, b = np.mean(own) if own else 0.0, min(np.mean(far) for far in others.values())
        expected.append((b - a) / max(a, b) if own else 0.0)
    assert silhouette(distances, found) == pytest.approx(np.mean(expected))


def test_angles_that_wrap_are_near() -> None:
    random = np.random.default_rng(0)
    angles = np.pi + random.normal(0, 0.1, 20)
    wrapped = (angles + np.pi) % (2 * np.pi) - np.pi
    spec = DataSpec({"yaw": ArraySpec((1,), circular=(0,))}, ArraySpec((1,)))
    rows = [EpisodeResult(i, False, 0, 9, 0, None, final_obs={"yaw": (a,)}) for i, a in enumerate(wrapped)]
    assert len(group_failures(rows, spec).groups) == 1
    assert len(group_failures(rows, None).groups) == 2


def test_without_final_observations_length_and_score_are_compared() -> None:
    rows = [
        EpisodeResult(i, i % 3 == 0, 0.1 * (i % 3), 10 if i % 3 == 1 else 100, 0, None) for i in range(30)
    ]
    found = group_failures(rows, None)
    assert found.by == "length and score"
    assert sorted(sorted(g.members) for g in found.groups) == [list(range(k, 30, 3)) for k in (1, 2)]
    assert {d.name for g in found.groups for d in g.differences} == {"length", "score"}


def test_episodes_of_another_form_bring_all_down_to_length_and_score() -> None:
    episodes, _ = planted(0, (8, 8))
    episodes[3] = EpisodeResult(3, False, 0, 100, 0, None)
    assert group_failures(episodes, SPEC).by == "length and score"


def test_few_failures_are_one_group_and_none_are_none() -> None:
    episodes, _ = planted(0, (3,))
    (group,) = group_failures(episodes, SPEC).groups
    assert len(group.members) == 3 and group.differences[0].name == "object z"
    assert group_failures(planted(0, ())[0], SPEC).groups == ()


def test_without_successes_groups_are_set_against_the_rest() -> None:
    rows = [
        EpisodeResult(i, False, 0, 9, 0, None, final_obs={"x": (i % 2 + 0.01 * i, 1.0)}) for i in range(20)
    ]
    found = group_failures(rows, None)
    assert found.against == "other failures" and len(found.groups) == 2
    assert all(group.differences for group in found.groups)


def test_what_is_not_finite_is_a_group_of_its_own() -> None:
    episodes, _ = planted(0, (3, 2))
    broken = EpisodeResult(99, False, 0, 100, 0, None, final_obs={**episodes[0].final_obs, "yaw": (np.nan,)})
    found = group_failures([*episodes, broken], SPEC)
    assert [len(g.members) for g in found.groups] == [5, 1]
    assert found.groups[-1].members == (45,) and found.groups[-1].differences == ()


def test_the_most_typical_member_comes_first() -> None:
    rows = [EpisodeResult(i, False, 0, 9, 0, None, final_obs={"x": (x,)}) for i, x in enumerate((0, 4, 5, 9))]
    (group,) = group_failures(rows, None).groups
    assert set(group.members[:2]) == {1, 2} and set(group.members[2:]) == {0, 3}


def test_counts_by_run() -> None:
    assert counts((0, 2, 3), ["a", "a", "b", "b", "c"]) == {"a": 1, "b": 2, "c": 0}
