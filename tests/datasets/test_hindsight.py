"""Moving pieces of demonstrations so that they reach the goal at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.alignment import Alignment
from imitate.datasets.hindsight import Hindsight
from imitate.datasets.rows import MemoryRows
from imitate.datasets.windows import Windows, WindowSampler
from imitate.errors import ConfigError
from imitate.types import ArraySpec, Batch

GOAL = (5.0, -2.0, 0.5)
ALIGNMENT = Alignment(
    points={"state": ((0, 1), (2, 3)), "action": ((0, 1),)},
    angles={"state": (4,)},
    anchor=("state", 2, 3, 4),
    goal=GOAL,
)
FREE = ArraySpec(shape=(2,))
ENDS = np.array([30, 75, 80])


def recorded(seed: int) -> dict[str, MemoryRows]:
    rng = np.random.default_rng(seed)
    state = np.cumsum(rng.normal(size=(80, 5)), axis=0).astype(np.float32)
    state[:, 4] %= 2 * np.pi
    return {
        "state": MemoryRows(torch.from_numpy(state)),
        "action": MemoryRows(torch.from_numpy(state[:, :2] + 1)),
    }


def relabelled(
    rows: dict[str, MemoryRows], seed: int, share: float = 1.0, action: ArraySpec = FREE, least: float = 1e-6
) -> tuple[Windows, Batch, Batch]:
    """All windows, and the batch of them before and after."""
    sampler = WindowSampler(ENDS, 2, 8)
    windows = sampler.windows(np.arange(len(sampler)))
    batch = Batch(
        obs={"state": rows["state"].take(windows.obs_rows)},
        action=rows["action"].take(windows.action_rows),
        is_pad=torch.from_numpy(windows.is_pad),
        weight=torch.ones(len(sampler)),
    )
    move = Hindsight(rows, ALIGNMENT, action, share, reach=6, least=least)
    return windows, batch, move(batch, windows, ENDS[windows.episodes] - 1, np.random.default_rng(seed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_moved_reaches_the_goal_where_its_padding_begins(seed: int) -> None:
    rows = recorded(seed)
    windows, before, after = relabelled(rows, seed)
    states = rows["state"].take(np.arange(80)[None])[0].double().numpy()
    for number in range(len(windows.episodes)):
        was, is_now = (batch.obs["state"][number, -1].double().numpy() for batch in (before, after))
        if np.array_equal(was, is_now):
            continue
        real = ~after.is_pad[number].numpy()
        now, last = windows.obs_rows[number, -1], ENDS[windows.episodes[number]] - 1
        turn = is_now[4] - was[4]
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        reached = [
            end
            for end in range(now + 1, min(now + 6, last) + 1)
            if np.allclose(turned @ (states[end, 2:4] - was[2:4]) + is_now[2:4], GOAL[:2], atol=1e-3)
            and abs(np.angle(np.exp(1j * (states[end, 4] + turn - GOAL[2])))) < 1e-3
        ]
        assert any(np.array_equal(real, real & (windows.action_rows[number] < end)) for end in reached)
        # The scene moves as one: agent, block and action keep their distances.
        distances = [
            np.linalg.norm(batch.action[number, real] - batch.obs["state"][number, -1, 2:4], axis=1)
            for batch in (before, after)
        ]
        assert np.allclose(distances[0], distances[1], atol=1e-3)


def test_the_share_says_how_many_are_moved_and_the_rest_stays() -> None:
    rows = recorded(1)
    _, before, after = relabelled(rows, 3, share=0.0)
    assert torch.equal(before.obs["state"], after.obs["state"]) and torch.equal(before.is_pad, after.is_pad)
    _, before, after = relabelled(rows, 3, share=0.5)
    moved = (before.action != after.action).any(dim=-1).any(dim=-1)
    assert 0.3 < moved.float().mean() < 0.7
    assert torch.equal(before.is_pad[~moved], after.is_pad[~moved])
    assert torch.equal(before.obs["state"][~moved], after.obs["state"][~moved])


def test_it_repeats_from_its_generator() -> None:
    rows = recorded(2)
    (_, _, one), (_, _, two), (_, _, other) = (relabelled(rows, seed) for seed in (5, 5, 6))
    assert torch.equal(one.action, two.action) and not torch.equal(one.action, other.action)


def test_what_does_not_move_the_block_or_leaves_the_range_of_actions_stays() -> None:
    rows = recorded(4)
    _, before, after = relabelled(rows, 0, least=1e9)
    assert torch.equal(before.action, after.action)
    near = ArraySpec(shape=(2,), low=(0.0, -8.0), high=(12.0, 6.0))
    _, before, after = relabelled(rows, 0, action=near)
    moved = (before.action != after.action).any(dim=-1).any(dim=-1)
    assert moved.any() and not moved.all()
    counts = after.action[moved][~after.is_pad[moved]]
    assert (counts >= torch.tensor(near.low)).all() and (counts <= torch.tensor(near.high)).all()


def test_arrays_that_nobody_knows_how_to_move_are_refused() -> None:
    rows = recorded(0)
    with pytest.raises(ConfigError, match="'img' moves with the scene"):
        Hindsight({**rows, "img": rows["state"]}, replace(ALIGNMENT), FREE, 0.5)
