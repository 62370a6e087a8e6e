"""Demonstrators who walk straight through a square and act as they are told."""

from collections.abc import Callable

import numpy as np

Act = Callable[[np.ndarray, np.random.Generator, int], np.ndarray]
"""The actions (T, Da) of episode i, given its states (T, 2) and a generator."""


def straight_walks(act: Act, episodes: int, steps: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """States and actions of each episode."""
    generator = np.random.default_rng(0)
    states, actions = [], []
    for i in range(episodes):
        start, end = generator.uniform(-1, 1, (2, 2))
        state = start + np.linspace(0, 1, steps)[:, None] * (end - start)
        states.append(state)
        actions.append(act(state, generator, i))
    return states, actions
