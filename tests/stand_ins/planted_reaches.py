"""Reaches in the plane with planted faults: the truth that curation has to find, without a simulator."""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.quality.frames import Frames

SPEED, NEAR, HAND = 0.03, 0.06, 0.006
"""Units per step; the distance at which a reach ends; standard deviation of a steady hand."""
KINDS = ("clean", "noisy", "slow", "stray", "other way")
STRAY_FROM, STRAY_STEPS = 16, 20


@dataclass(frozen=True)
class Reach:
    """One demonstration: state (T, 2), action (T, 2), the velocity asked for."""

    state: np.ndarray
    action: np.ndarray


def reach(generator: np.random.Generator, kind: str = "clean") -> Reach:
    """From a drawn start to the origin: straight, or with the fault `kind`.

    "noisy" shakes, "slow" moves at half the speed, "stray" wanders off to the right for STRAY_STEPS from step
    STRAY_FROM on, "other way" comes in along a spiral.
    """
    angle = generator.uniform(0.25 * np.pi, 0.75 * np.pi)
    place = generator.uniform(1.2, 1.6) * np.array([np.cos(angle), np.sin(angle)])
    states, actions = [], []
    while np.linalg.norm(place) > NEAR and len(actions) < 500:
        wanted = _velocity(place, kind, len(actions))
        action = wanted + generator.normal(0.0, 3 * HAND if kind == "noisy" else HAND, 2)
        states.append(place)
        actions.append(action)
        place = place + action
    return Reach(np.array(states), np.array(actions))


def _velocity(place: np.ndarray, kind: str, step: int) -> np.ndarray:
    if kind == "stray" and STRAY_FROM <= step < STRAY_FROM + STRAY_STEPS:
        return np.array([SPEED, 0.3 * SPEED])
    towards = -place / np.linalg.norm(place)
    if kind == "other way":
        turn = np.pi / 4
        towards = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ towards
    return np.asarray((0.5 if kind == "slow" else 1.0) * SPEED * towards)


def round_an_obstacle(generator: np.random.Generator, side: int) -> Reach:
    """From near (0, 1) to the origin, past (`side` · 0.5, 0.5): side is -1 or 1."""
    place = np.array([generator.uniform(-0.1, 0.1), generator.uniform(0.9, 1.1)])
    goals = [np.array([0.5 * side, 0.5]), np.zeros(2)]
    states, actions = [], []
    while goals:
        away = goals[0] - place
        action = SPEED * away / np.linalg.norm(away) + generator.normal(0.0, HAND, 2)
        states.append(place)
        actions.append(action)
        place = place + action
        if np.linalg.norm(goals[0] - place) < NEAR:
            goals.pop(0)
    return Reach(np.array(states), np.array(actions))


def planted(seed: int, clean: int = 44, each: int = 3) -> tuple[list[Reach], list[str]]:
    """`clean` good reaches and `each` of every fault, with the kind of each; shuffled."""
    generator = np.random.default_rng(seed)
    kinds = ["clean"] * clean + [kind for kind in KINDS[1:] for _ in range(each)]
    kinds = [kinds[i] for i in generator.permutation(len(kinds))]
    return [reach(generator, kind) for kind in kinds], kinds


def frames(reaches: list[Reach]) -> Frames:
    """The steps of all reaches."""
    return Frames.of([one.state for one in reaches], [one.action for one in reaches])
