"""Demonstration sets with known faults: most are good, and some of each kind that curation has to find."""

from dataclasses import dataclass
from pathlib import Path

from imitate.collection import Recipe, collect
from imitate.config import compose
from imitate.datasets.opening import open_store

CLEAN = "clean"
FAULTS = ("noisy", "wrong style", "slow", "extraneous segment")
"""In the words of the report."""


@dataclass(frozen=True)
class Task:
    """How each kind of demonstration of an environment is made, in settings of Recipe."""

    env: str
    usual: str
    wrong: str
    slow: str
    noise: float = 0.2
    wander_steps: int = 12

    def recipe(self, kind: str) -> Recipe:
        styles = {"wrong style": self.wrong, "slow": self.slow}
        noise = self.noise if kind == "noisy" else 0.0
        wander = self.wander_steps if kind == "extraneous segment" else 0
        env = compose("collect", [f"env={self.env}", "out=unused"]).env
        return Recipe(env, (styles.get(kind, self.usual),), expert_noise=noise, wander_steps=wander)


TASKS = {
    "point_obstacle": Task("point_obstacle", "left", "right", "slow_left"),
    "tabletop/push": Task("tabletop/push", "direct", "left", "slow"),
    "tabletop/pick_place": Task("tabletop/pick_place", "direct", "left", "slow"),
}


def plant(task: str, seed: int, out: Path, clean: int = 60, each: int = 10) -> list[str]:
    """Write the set of `seed` to `out`; the kind of each episode, in the order of the store."""
    kinds = [CLEAN] * clean + [fault for fault in FAULTS for _ in range(each)]
    for number, kind in enumerate((CLEAN, *FAULTS)):
        # Far apart, so that no two kinds and no two sets share a scene.
        first = 1_000_000 * (seed + 1) + 10_000 * number
        collect(TASKS[task].recipe(kind), kinds.count(kind), first, out, append=True)
    with open_store(str(out)) as store:
        assert len(store) == len(kinds)
    return kinds


HUMAN = "pusht"
"""The task of which there are demonstrations by people; see planted_human."""


def env_of(task: str) -> str:
    """The environment of a task, as the command line names it."""
    return task if task == HUMAN else TASKS[task].env


CONTROLS = {
    "point_obstacle, left": ("point_obstacle", ("left",)),
    "point_obstacle, left and right": ("point_obstacle", ("left", "right")),
    "tabletop/push": ("tabletop/push", ("direct",)),
    "tabletop/pick_place": ("tabletop/pick_place", ("direct",)),
    "tabletop/pick_place, left and right": ("tabletop/pick_place", ("left", "right")),
    "tabletop/peg_insertion": ("tabletop/peg_insertion", ("direct",)),
}
"""Sets without a fault: an environment and the styles that each episode draws one of."""


def control(name: str, seed: int, out: Path, episodes: int = 60) -> None:
    """Write the set without faults of `seed` to `out`."""
    env, styles = CONTROLS[name]
    recipe = Recipe(compose("collect", [f"env={env}", "out=unused"]).env, styles)
    collect(recipe, episodes, 1_000_000 * (seed + 1) + 500_000, out, append=True)


NO_NOISE, POLICY_NOISE, SYSTEM_NOISE, BOTH = "no noise", "policy noise", "system noise", "both"
NOISES: dict[str, dict[str, float]] = {
    NO_NOISE: {},
    POLICY_NOISE: {"expert_noise": 0.4},
    SYSTEM_NOISE: {"system_noise": 0.4},
    BOTH: {"expert_noise": 0.4, "system_noise": 0.4},
}
"""Noise on the recorded action, and on what is executed of it, as settings of Recipe."""


def disturb(task: str, kind: str, episodes: int, seed: int, out: Path) -> None:
    """Write demonstrations of the usual style with the noise `kind` of NOISES to `out`."""
    usual = TASKS[task].recipe(CLEAN)
    recipe = Recipe(usual.env, usual.styles, **NOISES[kind])
    collect(recipe, episodes, 1_000_000 * (seed + 1) + 700_000, out, append=True)
