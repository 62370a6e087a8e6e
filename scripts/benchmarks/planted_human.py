"""Push-T's human demonstrations, some of them spoilt: known faults in what people did.

Spoilt are people's own actions, changed and played in the simulator from the recorded start, so that states
and actions belong together. Nobody corrects what follows: a push that goes wrong stays wrong.
"""

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.envs.pusht import ACTION, RATE_HZ, TABLE_PX, PushT, PushTConfig
from imitate.types import Episode

SPOILT = {"noisy": 27, "slow": 27, "extraneous segment": 27}
"""How many of the 206 recordings, 39 % together."""
NOISE_PX = 0.2 * TABLE_PX / 2
"""As in the scripted tasks a fifth of half the action range."""
WANDER_STEPS, WANDER_PX = 20, 150.0
TRIES = 50


def plant_human(recordings: Path, seed: int, out: Path) -> list[str]:
    """Write the recordings, some spoilt, in an order that `seed` draws, to `out`; the kind of each.

    Raises DataError for recordings that cannot be opened.
    """
    unfinished = out.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with open_store(str(recordings)) as store, closing(PushTConfig().build()) as env:
        kinds = [kind for kind, count in SPOILT.items() for _ in range(count)]
        kinds = [*["clean"] * (len(store) - len(kinds)), *kinds]
        if out.exists():
            return kinds
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(store))
        with closing(DemoStore.create(unfinished, env.data_spec, "people, some of them spoilt")) as planted:
            for index, kind in zip(chosen, kinds, strict=True):
                planted.append(_spoilt(env, store, int(index), kind, rng))
    unfinished.rename(out)
    return kinds


def _spoilt(env: PushT, store: EpisodeStore, index: int, kind: str, rng: np.random.Generator) -> Episode:
    episode = store.episode(index)
    states, actions = episode.obs["state"], episode.action
    if kind == "noisy":
        states, actions = _played(env, states[0], actions + NOISE_PX * rng.standard_normal(actions.shape))
    elif kind == "slow":
        between = (actions + np.concatenate([states[:1, :2], actions[:-1]])) / 2
        states, actions = _played(env, states[0], np.stack([between, actions], axis=1).reshape(-1, 2))
    elif kind == "extraneous segment":
        states, actions = _wandering(env, states, actions, rng)
    return Episode(
        id=f"{episode.id}-{kind.replace(' ', '-')}",
        obs={"state": states.astype(np.float32)},
        action=actions.astype(np.float32),
        source="people",
        rate_hz=RATE_HZ,
        metadata={"kind": kind},
    )


def _played(env: PushT, start: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (T, 5) seen before each of `actions` (T, 2), which are kept on the table, and these."""
    actions = np.clip(actions, ACTION.low, ACTION.high).astype(np.float32)
    seen, _ = env.restore(start)
    states = []
    for action in actions:
        states.append(seen["state"])
        seen, *_ = env.step(action)
    return np.stack(states), actions


def _wandering(
    env: PushT, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """With an excursion of two seconds away from the block, at a moment where there is room for it."""
    swing = np.sin(np.linspace(0, np.pi, WANDER_STEPS))[:, None]
    for _ in range(TRIES):
        at = int(rng.integers(3, len(actions) - 3))
        away = states[at, :2] - states[at, 2:4]
        angle = np.arctan2(away[1], away[0]) + rng.uniform(-np.pi / 4, np.pi / 4)
        aside = WANDER_PX * np.array([np.cos(angle), np.sin(angle)])
        there = states[at, :2] + aside
        if np.all(there > 0) and np.all(there < TABLE_PX):
            break
    excursion = actions[at] + swing * aside
    return _played(env, states[0], np.concatenate([actions[:at], excursion, actions[at:]]))
