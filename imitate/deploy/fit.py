"""Joining a policy to a robot: every observation has a source, every element of the action a target."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imitate.deploy.description import Target
from imitate.errors import SpecError, nearest
from imitate.spec import ArraySpec, DataSpec


@dataclass(frozen=True)
class Join:
    """Where in a policy's action (Da,) the values of each target stand."""

    targets: Mapping[str, Target]
    columns: Mapping[str, np.ndarray]
    period_s: float

    def values(self, action: np.ndarray, group: str, base: np.ndarray) -> np.ndarray:
        """The setpoint (D,) of `group` that `action` asks, in the units of its kind.

        base (D,): where the group was last sent, or is: what deltas of joints and grippers start from.
        """
        target = self.targets[group]
        values = action[self.columns[group]].astype(np.float64) * target.scale
        if target.meaning != "delta":
            return values
        return values / self.period_s if target.kind in ("twist", "joint_velocity") else base + values

    def action(self, values: Mapping[str, np.ndarray], bases: Mapping[str, np.ndarray]) -> np.ndarray:
        """The action (Da,) that asks for `values` (D,) of every group; the inverse of `values`."""
        found = np.zeros(sum(len(columns) for columns in self.columns.values()))
        for group, target in self.targets.items():
            value = values[group]
            if target.meaning == "delta":
                is_rate = target.kind in ("twist", "joint_velocity")
                value = value * self.period_s if is_rate else value - bases[group]
            found[self.columns[group]] = value / target.scale
        return found


def join(policy: DataSpec, targets: Mapping[str, Target], where: str = "robot") -> Join:
    """Find every element of the policy's action among `targets`.

    Raises SpecError naming an element that no target takes, that two take, or that the policy does not have.
    """
    if not policy.rate_hz:
        raise SpecError(f"{where}: the policy does not say at which rate it acts")
    names = action_names(policy.action)
    taken: dict[str, str] = {}
    for group, target in targets.items():
        for name in target.action:
            if name not in names:
                raise SpecError(
                    f"{where}.targets.{group}: the policy's action has no {name!r}{nearest(name, names)}"
                )
            if name in taken:
                raise SpecError(f"{where}.targets: {name!r} feeds both {taken[name]} and {group}")
            taken[name] = group
    left = [name for name in names if name not in taken]
    if left:
        raise SpecError(f"{where}.targets: nothing takes {left} of the policy's action")
    _require_units(policy.action, names, targets, where)
    columns = {group: np.array([names.index(n) for n in t.action], int) for group, t in targets.items()}
    return Join(dict(targets), columns, 1.0 / policy.rate_hz)


def action_names(action: ArraySpec) -> tuple[str, ...]:
    """The names of its elements, their numbers where they have none."""
    return action.names or tuple(str(i) for i in range(action.size))


def _require_units(
    action: ArraySpec, names: tuple[str, ...], targets: Mapping[str, Target], where: str
) -> None:
    if not action.units:
        return
    for group, target in targets.items():
        for element in target.action:
            unit = action.units[names.index(element)]
            is_rate = unit.endswith("/s")
            wants_rate = target.meaning == "rate" or (
                target.meaning == "absolute" and target.kind in ("twist", "joint_velocity")
            )
            if unit and target.scale == 1.0 and is_rate != wants_rate:
                wanted = "a rate per second" if wants_rate else "no rate per second"
                raise SpecError(f"{where}.targets.{group}: {element!r} is in {unit}, expected {wanted}")
