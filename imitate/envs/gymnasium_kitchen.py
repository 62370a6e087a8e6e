"""Franka Kitchen: an arm that operates several things in a kitchen (adapter of Gymnasium-Robotics).

Gupta et al. 2019 (arXiv 1910.11956). Minari's D4RL/kitchen data sets are of this environment with the goals
microwave, kettle, bottom burner and light switch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imitate.envs.gymnasium_robotics import XYZ, Elements, GymnasiumRobotics, Task, along
from imitate.envs.gymnasium_success import AllOf
from imitate.errors import ConfigError, nearest

QUATERNION = ("qw", "qx", "qy", "qz")
KETTLE = [*along("kettle", "m"), *along("kettle", "1", QUATERNION)]
ARM = [*[(f"joint{number}", "rad") for number in range(1, 8)], ("finger1", "m"), ("finger2", "m")]
FITTINGS = [
    ("bottom_right_knob", "rad"), ("bottom_right_burner", "m"), ("bottom_left_knob", "rad"),
    ("bottom_left_burner", "m"), ("top_right_knob", "rad"), ("top_right_burner", "m"),
    ("top_left_knob", "rad"), ("top_left_burner", "m"), ("light_switch", "rad"), ("light", "m"),
    ("slide_cabinet", "m"), ("left_hinge_cabinet", "rad"), ("right_hinge_cabinet", "rad"),
    ("microwave", "rad"),
]  # fmt: skip
GOALS: Mapping[str, Elements] = {
    "bottom burner": FITTINGS[2:4],
    "top burner": FITTINGS[6:8],
    "light switch": FITTINGS[8:10],
    "slide cabinet": FITTINGS[10:11],
    "hinge cabinet": FITTINGS[11:13],
    "microwave": FITTINGS[13:14],
    "kettle": KETTLE,
}


def moving(elements: Elements) -> Elements:
    """The velocities that go with positions."""
    return [(f"{name}_velocity", f"{unit}/s") for name, unit in elements]


OBSERVATION = [
    *ARM,
    *moving(ARM),
    *FITTINGS,
    *KETTLE,
    *moving(FITTINGS),
    *along("kettle_velocity", "m/s", XYZ),
    *along("kettle_turning", "rad/s", XYZ),
]


@dataclass(frozen=True)
class KitchenConfig:
    """`goals` are the things to bring into their wanted state, in any order."""

    goals: tuple[str, ...] = field(
        default=("microwave", "kettle", "bottom burner", "light switch"), metadata={"choices": tuple(GOALS)}
    )
    max_steps: int = 280

    def __post_init__(self) -> None:
        if not self.goals or len(set(self.goals)) < len(self.goals):
            raise ConfigError(f"env.goals is {list(self.goals)}, expected at least one goal and none twice")
        for goal in self.goals:
            if goal not in GOALS:
                raise ConfigError(f"env.goals names {goal!r}: there is no such goal{nearest(goal, GOALS)}")
        if self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")

    def build(self) -> "Kitchen":
        """Make the environment; raises MissingExtraError without the extra `gymnasium-robotics`."""
        return Kitchen(self)


class Kitchen(GymnasiumRobotics):
    """A Franka arm in a kitchen, 12.5 Hz (its videos and registered rate say 12).

    | observation         | meaning |
    |---------------------|---------|
    | observation (59)    | arm, its velocities, fittings and kettle, their velocities; with a little noise |
    | achieved_goal.GOAL  | the state of what GOAL is about, such as achieved_goal.light_switch (2) |
    | desired_goal.GOAL   | the state to bring it into, always the same |

    An action element of −1 to 1 is a joint velocity of −2 to 2 rad/s (fingers m/s), cut to what the joint
    can do. A goal is reached within a distance of 0.3, and then stays reached.
    """

    def __init__(self, config: KitchenConfig) -> None:
        goals = {
            f"{kind}.{goal.replace(' ', '_')}": GOALS[goal]
            for kind in ("achieved_goal", "desired_goal")
            for goal in config.goals
        }
        number = len(config.goals)
        rule = AllOf(
            "episode_task_completions",
            config.goals,
            f"all {number} goals were reached, each at any step: {', '.join(config.goals)}",
            f"share of the {number} goals that were reached",
        )
        task = Task(
            "FrankaKitchen-v1",
            {"observation": OBSERVATION, **goals},
            [(name, "2 rad/s" if unit == "rad" else "2 m/s") for name, unit in ARM],
            rate_hz=12.5,
            rule=rule,
            kwargs={"tasks_to_complete": list(config.goals)},
        )
        super().__init__(task, config.max_steps)
