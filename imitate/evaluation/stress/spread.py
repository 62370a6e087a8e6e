"""How far each observation spread in training: the unit of noise."""

from dataclasses import dataclass

import numpy as np

from imitate.errors import ConfigError
from imitate.normalize import VectorNormalizer
from imitate.policy import Policy

SPREAD = "spread"
GREY_LEVELS = 127.5
"""The spread of an image: half of its range."""

WORDS = {"minmax": "half the range in training", "gaussian": "the standard deviation in training"}


@dataclass(frozen=True)
class Spread:
    """`values`: {observation: standard deviation of noise of size 1}, for each element of a state.

    For an image there is one value, in grey levels. `unit` is that of a size, `words` explain it.
    """

    values: dict[str, tuple[float, ...]]
    unit: str
    words: str


def spread_of(policy: Policy, unit: str = SPREAD) -> Spread:
    """The unit of noise for `policy`: what it knows of its data, or one physical `unit` such as "m".

    In the second case only elements that are measured in that unit get noise. Raises ConfigError where
    none is, or where the policy does not know its data.
    """
    if unit == SPREAD:
        return _seen(policy)
    states = {key: spec for key, spec in policy.spec.obs.items() if not spec.is_image and spec.units}
    values = {key: tuple(float(u == unit) for u in spec.units) for key, spec in states.items()}
    known = sorted({u for spec in states.values() for u in spec.units})
    if unit not in known:
        measured = ", ".join(known) or "they have none"
        raise ConfigError(
            f"stress.noise_unit is {unit!r}, expected {SPREAD}, or a unit of the observations: {measured}"
        )
    return Spread({key: value for key, value in values.items() if any(value)}, unit, f"1 {unit}")


def _seen(policy: Policy) -> Spread:
    normalizer = policy.normalizer
    modules = {**dict(normalizer.state.normalizers.items()), **dict(normalizer.points.items())}
    # A dot cannot stand in the name of a module; see imitate.normalize.
    # What a policy is told is not measured, so it has no noise.
    measured = [key for key, array in policy.spec.obs.items() if not array.encoder]
    found = {key: modules[name] for key in measured if (name := key.replace(".", "/")) in modules}
    values, modes = {}, set()
    for key, one in found.items():
        assert isinstance(one, VectorNormalizer)
        modes.add(one.mode)
        per_element = np.tile(one.spread.cpu().double().numpy(), policy.spec.obs[key].size // len(one.spread))
        values[key] = tuple(per_element.tolist())
    values |= {key: (GREY_LEVELS,) for key, spec in policy.spec.obs.items() if spec.is_image}
    if "identity" in modes:
        raise ConfigError("this policy keeps no spread of its data: name a unit with  stress.noise_unit=…")
    words = " or ".join(sorted(WORDS[mode] for mode in modes))
    pictures = f"{', ' if words else ''}of images {GREY_LEVELS:g} grey levels"
    has_images = any(spec.is_image for spec in policy.spec.obs.values())
    return Spread(values, "× spread", words + pictures if has_images else words)
