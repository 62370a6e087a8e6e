"""The kinds of things that go wrong in a sweep, what their size means, and which sizes are tried."""

import math
from dataclasses import dataclass

from imitate.env import PERTURBATIONS
from imitate.errors import ConfigError, nearest

PLAIN = "none"
"""The kind of the unperturbed episodes."""


@dataclass(frozen=True)
class Kind:
    """`unit` stands behind a size, and `meaning` explains it; `sizes` are those tried by default.

    No size is above `largest`. Sizes of a kind that counts `steps` are whole numbers.
    """

    title: str
    unit: str
    meaning: str
    sizes: tuple[float, ...]
    largest: float = math.inf
    steps: bool = False


KINDS = {
    "noise": Kind(
        "Noise of observations",
        "× spread",
        "standard deviation of white noise on every observation, in units of its spread",
        (0.02, 0.05, 0.1, 0.2, 0.4),
    ),
    "delay": Kind(
        "Delay of observations",
        "steps",
        "control steps by which all observations are late; the first one stands for those before it",
        (1, 2, 3, 5, 8),
        steps=True,
    ),
    "drop": Kind(
        "Dropped observations",
        "of all steps",
        "share of control steps whose observation is lost: the one before is seen again",
        (0.2, 0.4, 0.6, 0.8, 0.9),
        largest=1.0,
    ),
    "action_delay": Kind(
        "Delay of actions",
        "steps",
        "control steps by which every action is late; until the second one arrives the first is executed",
        (1, 2, 3, 5, 8),
        steps=True,
    ),
    "action_lag": Kind(
        "Lag of actions",
        "steps",
        "time constant, in control steps, of a first-order lag between the wanted and the executed action",
        (0.5, 1, 2, 4, 8),
    ),
    "friction": Kind(
        "Less friction", "taken away", PERTURBATIONS["friction"], (0.5, 0.75, 0.9, 0.97, 0.99), largest=1.0
    ),
    "mass": Kind("More mass", "× heavier", PERTURBATIONS["mass"], (0.5, 1, 3, 9, 19)),
    "lighting": Kind(
        "Less light", "taken away", PERTURBATIONS["lighting"], (0.2, 0.4, 0.6, 0.8, 0.9), largest=1.0
    ),
    "camera": Kind("Turned cameras", "°", PERTURBATIONS["camera"], (1, 2, 4, 8, 16)),
    "start_range": Kind(
        "Starts beyond training", "wider", PERTURBATIONS["start_range"], (0.1, 0.25, 0.5, 0.75, 1.0)
    ),
    "push": Kind("Pushes", "m/s", PERTURBATIONS["push"], (0.1, 0.2, 0.4, 0.8, 1.6)),
}
"""Those of PERTURBATIONS change the world; the others change what passes between policy and environment."""

SEEN_ONLY_IN_IMAGES = ("lighting", "camera")


def kind_of(name: str, where: str) -> Kind:
    """The kind called `name`; raises ConfigError naming the setting `where` it stands."""
    if name not in KINDS:
        raise ConfigError(f"{where} has {name!r}: there is no such perturbation{nearest(name, KINDS)}")
    return KINDS[name]


def require_size(name: str, size: float, where: str) -> None:
    """Raise ConfigError, naming the setting `where`, for a size that a kind cannot have."""
    kind = KINDS[name]
    if not (math.isfinite(size) and 0.0 <= size <= kind.largest):
        limit = f"0 to {kind.largest:g}" if math.isfinite(kind.largest) else "0 or more"
        raise ConfigError(f"{where} has {size:g}, expected {limit}: {kind.meaning}")
    if kind.steps and size != int(size):
        raise ConfigError(f"{where} has {size:g}, expected a whole number: {kind.meaning}")
