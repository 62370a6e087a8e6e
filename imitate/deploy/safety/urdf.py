"""Joint limits of a robot's description (URDF): https://wiki.ros.org/urdf/XML/joint, and safety_controller.

The text may come from the network, so nothing that expands or refers outward is read.
"""

import math
from xml.etree import ElementTree

from imitate.deploy.safety.by_kind import JointLimits
from imitate.errors import ConfigError

LARGEST_TEXT = 4 * 2**20
"""Characters; descriptions with their meshes beside them have less than one million."""

MOVABLE = ("revolute", "prismatic", "continuous")


def joint_limits_from_urdf(text: str) -> dict[str, JointLimits]:
    """Limits by joint name of every revolute, prismatic and continuous joint of the URDF `text`.

    Soft limits of a safety_controller replace lower and upper where they are tighter. A mimic joint has, at
    most, the limits that the joint it follows leaves it. Raises ConfigError where the text is no URDF or a
    limit makes no sense.
    """
    joints = {str(joint.get("name")): joint for joint in _parse(text).findall("joint")}
    movable = {name: joint for name, joint in joints.items() if joint.get("type") in MOVABLE}
    found = {name: _limits(name, joint) for name, joint in movable.items()}
    return {name: _following(name, movable[name], limits, found) for name, limits in found.items()}


def _parse(text: str) -> ElementTree.Element:
    if len(text) > LARGEST_TEXT:
        raise ConfigError(f"URDF: {len(text)} characters, expected at most {LARGEST_TEXT}")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ConfigError("URDF: it declares a document type or entities, which are not read: remove them")
    try:
        root = ElementTree.fromstring(text.strip())
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ConfigError(f"URDF: it cannot be parsed as XML: {error}") from error
    if root.tag != "robot":
        raise ConfigError(f"URDF: the outermost element is <{root.tag}>, expected <robot>")
    return root


def _limits(name: str, joint: ElementTree.Element) -> JointLimits:
    """Zeros are URDF's way of saying nothing (lower, upper) or of a joint that cannot be commanded."""
    limit = joint.find("limit")
    continuous = joint.get("type") == "continuous"
    if limit is None:
        return JointLimits(continuous=continuous)
    effort, velocity = (_positive(name, limit, key) for key in ("effort", "velocity"))
    if continuous:
        return JointLimits(velocity=velocity, effort=effort, continuous=True)
    lower, upper = (_number(name, limit, key) for key in ("lower", "upper"))
    soft = joint.find("safety_controller")
    if soft is not None:
        lower = max(lower, _number(name, soft, "soft_lower_limit", lower))
        upper = min(upper, _number(name, soft, "soft_upper_limit", upper))
    if not lower < upper:
        raise ConfigError(
            f"URDF: joint {name} has lower {lower:g} and upper {upper:g}, expected lower < upper"
        )
    return JointLimits(lower, upper, velocity, effort=effort)


def _following(
    name: str, joint: ElementTree.Element, own: JointLimits, found: dict[str, JointLimits]
) -> JointLimits:
    """The limits of a mimic joint: value = multiplier * the other's value + offset."""
    mimic = joint.find("mimic")
    if mimic is None:
        return own
    leader = found.get(str(mimic.get("joint")))
    if leader is None:
        raise ConfigError(f"URDF: joint {name} mimics {mimic.get('joint')!r}, which is no movable joint")
    factor, offset = _number(name, mimic, "multiplier", 1.0), _number(name, mimic, "offset", 0.0)
    if leader.lower is None or leader.upper is None or own.lower is None or own.upper is None or factor == 0:
        return own
    low, high = sorted((factor * leader.lower + offset, factor * leader.upper + offset))
    lower, upper = max(low, own.lower), min(high, own.upper)
    if not lower < upper:
        raise ConfigError(
            f"URDF: joint {name} may be {own.lower:g} to {own.upper:g}, but mimics "
            f"{mimic.get('joint')}, which leaves it {low:g} to {high:g}"
        )
    speed = [v for v in (own.velocity, leader.velocity and abs(factor) * leader.velocity) if v is not None]
    return JointLimits(lower, upper, min(speed, default=None), effort=own.effort)


def _positive(name: str, element: ElementTree.Element, key: str) -> float | None:
    value = _number(name, element, key, 0.0)
    if value < 0:
        raise ConfigError(f"URDF: joint {name} has {key} {value:g}, expected 0 or more")
    return value or None


def _number(name: str, element: ElementTree.Element, key: str, default: float = 0.0) -> float:
    text = element.get(key)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"URDF: joint {name} has {key} {text!r}, expected a finite number")
    return value
