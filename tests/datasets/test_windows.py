"""Facts about windows: they stay in their episode, and point at the steps that the time convention names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.windows import WindowSampler

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=6)
horizon = st.integers(1, 9)


@given(lengths, horizon, horizon, st.data())
def test_windows_never_leave_their_episode_and_count_one_per_step(
    sizes: list[int], obs_steps: int, pred_steps: int, data: st.DataObject
) -> None:
    ends = np.cumsum(sizes)
    chosen = data.draw(st.lists(st.sampled_from(range(len(sizes))), unique=True, min_size=1))
    sampler = WindowSampler(ends, obs_steps, pred_steps, chosen)
    every = np.arange(len(sampler))
    episodes = sampler.windows(every).episodes
    first, last = (ends - sizes)[episodes, None], ends[episodes, None] - 1
    assert len(sampler) == sum(sizes[e] for e in chosen)
    for rows in (sampler.obs_rows(every), sampler.action_rows(every)):
        assert ((first <= rows) & (rows <= last)).all()
    assert set(episodes.tolist()) == set(chosen)


@given(lengths, horizon, horizon)
def test_rows_are_the_convention_clamped_and_padding_is_what_was_clamped(
    sizes: list[int], obs_steps: int, pred_steps: int
) -> None:
    sampler = WindowSampler(np.cumsum(sizes), obs_steps, pred_steps)
    index = 0
    start = 0
    for size in sizes:
        for t in range(size):
            observed = [start + max(0, t - obs_steps + 1 + k) for k in range(obs_steps)]
            wanted = [t - obs_steps + 1 + k for k in range(pred_steps)]
            one = np.array([index])
            assert sampler.obs_rows(one)[0].tolist() == observed
            assert sampler.action_rows(one)[0].tolist() == [start + min(max(0, w), size - 1) for w in wanted]
            assert sampler.is_pad(one)[0].tolist() == [not 0 <= w < size for w in wanted]
            index += 1
        start += size


def test_example_of_the_docstring() -> None:
    sampler = WindowSampler(np.array([4]), obs_steps=2, pred_steps=4)
    ends = np.array([0, 3])
    assert sampler.obs_rows(ends).tolist() == [[0, 0], [2, 3]]
    assert sampler.action_rows(ends).tolist() == [[0, 0, 1, 2], [2, 3, 3, 3]]
    assert sampler.is_pad(ends).astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 1, 1]]
