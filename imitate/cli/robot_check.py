"""imitate robot check: compare a robot with its description and with a policy; nothing moves.

    imitate robot check robot=simulated_arm
    imitate robot check robot=my_arm policy=policy.imitate urdf=my_arm.urdf robot.url=ws://10.0.0.5:9090

connects, listens for a second, and says of every source and target whether it is there: topic, type, joints
by name, units, rate, picture size, who listens to commands and who else sends them. With a policy it also
says what the policy needs and the robot does not have. Exit code 2 where anything is wrong.

Keys:
    robot       how to reach it: see  imitate list;  its settings are robot.…
    policy      a bundle, a run folder or a checkpoint; null: the robot alone
    urdf        a file with the limits of the joints
    connect_s   how long to wait for the robot
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imitate.cli.command import Outcome
from imitate.deploy.backends.simulated import SimulatedConfig
from imitate.deploy.fit import join
from imitate.deploy.predictor import Loaded, load_predictor
from imitate.deploy.robot import Finding, Robot
from imitate.errors import ConfigError, ImitateError, RobotError
from imitate.progress import Progress
from imitate.spec import DataSpec, require_match

SIGNS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
ASSUMED_RATE_HZ = 100.0
"""Limits are resolved for a rate of commands; whether they are complete does not depend on it."""


@dataclass(frozen=True)
class RobotCheckCommand:
    """The settings of `imitate robot check`; see the module."""

    robot: Any
    policy: str | None
    urdf: str | None
    connect_s: float

    def __post_init__(self) -> None:
        if not self.connect_s > 0:
            raise ConfigError(f"connect_s is {self.connect_s}, expected a time in s above 0")

    def run(self, progress: Progress) -> Outcome:
        """Connect, listen, compare; raises RobotError in one line naming the first of several errors."""
        loaded = None if self.policy is None else load_predictor(self.policy)
        config = self.robot
        if isinstance(config, SimulatedConfig) and loaded:
            config = config.for_policy(loaded.env)
        robot: Robot = config.build()
        try:
            robot.connect(self.connect_s)
            found = [*robot.findings(), *self._limits(robot), *_fit(robot, loaded)]
        finally:
            robot.close()
        lines = [f"{SIGNS[finding.level]}  {finding.text}" for finding in found]
        errors = [finding.text for finding in found if finding.level == "error"]
        if errors:
            for line in lines:
                progress.say(line)
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise RobotError(f"{errors[0]}{more}")
        return Outcome(
            {"findings": [asdict(finding) for finding in found]}, [*lines, *_spec_lines(robot.spec)]
        )

    def _limits(self, robot: Robot) -> Iterator[Finding]:
        """Whether every commanded joint, tool and gripper has limits."""
        limits = getattr(self.robot, "limits", None)
        if limits is None:
            return
        try:
            urdf = None if self.urdf is None else Path(self.urdf).read_text()
            limits.for_targets(robot.targets, 1.0 / ASSUMED_RATE_HZ, urdf)
            yield Finding("ok", f"limits: complete for {', '.join(robot.targets)}")
        except ImitateError as error:
            yield Finding("error", str(error))


def _fit(robot: Robot, loaded: Loaded | None) -> Iterator[Finding]:
    """Whether the robot senses what the policy sees, and takes what it does."""
    if loaded is None:
        return
    policy = loaded.predictor.spec
    for key in policy.obs:
        if policy.obs[key].encoder:
            yield Finding(
                "ok", f"policy: observation {key} is what it is told: imitate deploy … instruction='…'"
            )
            continue
        yield _tried(f"policy: observation {key}", require_observation, robot.spec, policy, key)
    yield _tried("policy: action", join, policy, robot.targets)


def require_observation(robot: DataSpec, policy: DataSpec, key: str) -> None:
    """Raise SpecError unless `robot` has the observation `key` of `policy`, names, units and shape."""
    wanted = DataSpec({key: policy.obs[key]}, policy.action, policy.rate_hz)
    require_match(DataSpec(robot.obs, policy.action, robot.rate_hz), wanted, "robot")


def _tried(label: str, check: Any, *arguments: Any) -> Finding:
    try:
        check(*arguments)
    except ImitateError as error:
        return Finding("error", str(error))
    return Finding("ok", f"{label} fits")


def _spec_lines(spec: DataSpec) -> Sequence[str]:
    return [f"senses   {', '.join(spec.obs)}", f"takes    {', '.join(spec.action.names)}"]
