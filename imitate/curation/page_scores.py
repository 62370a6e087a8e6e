"""What the scores are called on the page, in which unit, and which way is better."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScoreLabel:
    """One score in words; `unit` is "" for a plain number, `better` "" where neither way is."""

    label: str
    text: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""


KNOWN = {
    "steps": ScoreLabel("steps", "length of the episode", "steps"),
    "duration_s": ScoreLabel("duration", "length of the episode", "s"),
    "idle_start": ScoreLabel("idle start", "steps of waiting at the start", "steps", "lower"),
    "idle_end": ScoreLabel("idle end", "steps of waiting at the end", "steps", "lower"),
    "jerk": ScoreLabel("jerk", "mean squared jerk of the action in its standard deviations", "", "lower"),
    "disagreement": ScoreLabel(
        "disagreement", "difference from the actions of similar states, random states being 1", "", "lower"
    ),
    "divergence": ScoreLabel(
        "divergence",
        "how far actions lie from those of others in similar states, random being 1",
        "",
        "lower",
    ),
    "mode_divergence": ScoreLabel(
        "divergence within modes", "the same, compared only with those who chose the same way", "", "lower"
    ),
    "diversity": ScoreLabel("transition diversity", "spread of what follows similar states and actions"),
    "novelty": ScoreLabel("novelty", "distance to the nearest states of other episodes"),
    "progress": ScoreLabel("progress", "how fast the task advances, 1 being usual", "", "higher"),
    "noise": ScoreLabel("noise", "how shaky the actions are from step to step", "", "lower"),
    "odd_dynamics": ScoreLabel(
        "odd dynamics", "how unlike others what follows a state and an action is", "", "lower"
    ),
    "surprise": ScoreLabel("surprise", "how unlike what the others would do the actions are", "", "lower"),
    "deviation": ScoreLabel(
        "deviation",
        "how far a fifth of the episode stays from what the others would do",
        "",
        "lower",
    ),
    "turning": ScoreLabel(
        "turning", "how much more its way turns than the median one, where that is most", "×", "lower"
    ),
    "excess": ScoreLabel("excess length", "its length over what the others would need", "×", "lower"),
    "pace": ScoreLabel("pace", "median speed through the states in their standard deviations"),
    "badness": ScoreLabel(
        "distance from the ordinary", "the strongest sign of a fault, in standard deviations", "", "lower"
    ),
    "mutual_information": ScoreLabel(
        "mutual information", "how much its states tell about its actions", "", "higher"
    ),
    "sparc": ScoreLabel("spectral smoothness", "spectral arc length of the speed", "", "higher"),
}


def score_label(name: str) -> ScoreLabel:
    """The label of a score; one that is not known is called by its own name."""
    return KNOWN.get(name) or ScoreLabel(name.replace("_", " "), "")


def headed(name: str) -> str:
    """The label with its unit, for a table head or an axis."""
    one = score_label(name)
    return f"{one.label} [{one.unit}]" if one.unit and one.unit != one.label else one.label
