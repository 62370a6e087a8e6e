"""imitate deploy: run a policy on a robot, as a dry run unless told otherwise.

    imitate deploy policy=policy.imitate robot=sim
    imitate deploy policy=policy.imitate robot=simulated_arm mode=run arm=YOUR_NAME out=sessions/first

joins the policy to the robot, refuses where names, units, rates or limits do not fit, and then drives it:
every command passes the safety gate, and everything is recorded. Ctrl-C brings the robot to rest and ends;
at a terminal space stops it, p pauses, g goes on.

Keys:
    policy              a bundle (imitate export), which needs no torch, a run folder or a checkpoint
    robot               sim, or how to reach a real one: see  imitate list;  its settings are robot.…
    instruction         what to tell a policy that was trained on sentences
    mode                dry-run: everything but the last step;  shadow: the same beside somebody who drives;
                        run: commands are sent, which takes  arm=YOUR_NAME
    out                 the new folder of session.mcap, session.json and index.html
    attempts, longest_s how many attempts, and how long one may last in s
    env, seed           of robot=sim: the environment, and the seed of the first attempt
    compiled            true: run the machine code in a signed bundle (imitate export … compiled=true)
    tls                 of policy=wss://HOST:PORT: ca, whom to believe; cert and key, what to show: files
    public_key          a file: take no bundle that was not signed with its other half
    session.urdf        a file with the limits of the joints;  more limits are robot.limits.…
    session.control     command_rate_hz;  strategy.name: receding, ensemble or realtime
    session.resume_after_s  lets a hold end by itself
    session.familiar    mode: warn, slow or hold where the robot sees what its training did not
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from imitate import __version__
from imitate.cli.command import Outcome
from imitate.cli.ending import told_to_end
from imitate.cli.keyboard import keys
from imitate.deploy.backends.simulated import SimulatedConfig, SimulatedRobot
from imitate.deploy.clock import Clock, RealClock, VirtualClock
from imitate.deploy.control import Mode
from imitate.deploy.journal import NoJournal
from imitate.deploy.live import Live
from imitate.deploy.page.session_page import PAGE, write_session_page
from imitate.deploy.page.videos import film
from imitate.deploy.predictor import Loaded, load_predictor
from imitate.deploy.recording.session import SessionRecorder
from imitate.deploy.robot import Robot, RobotConfig
from imitate.deploy.safety.state_machine import State
from imitate.deploy.session import Session, SessionConfig
from imitate.deploy.told import telling
from imitate.errors import ConfigError, ImitateError, RobotError, nearest
from imitate.instruction import unseen
from imitate.parts import to_json
from imitate.progress import Progress
from imitate.serving.access import ClientTlsConfig

RECORDING, RESULT = "session.mcap", "session.json"


@dataclass(frozen=True)
class DeployCommand:
    """The settings of `imitate deploy`; see the module."""

    policy: str
    robot: RobotConfig
    env: Any
    mode: Mode
    arm: str | None
    out: str | None
    attempts: int
    longest_s: float
    seed: int
    connect_s: float
    public_key: str | None
    threads: int
    session: SessionConfig
    compiled: bool = False
    instruction: str | None = None
    tls: ClientTlsConfig = field(default_factory=ClientTlsConfig)

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ConfigError(f"mode is {self.mode!r}{nearest(self.mode, get_args(Mode))}")
        if self.mode == "run" and not (self.arm or "").strip():
            raise ConfigError("mode=run moves the robot, which a person must allow: add  arm=YOUR_NAME")
        for name, least in (("attempts", 1), ("seed", 0), ("threads", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least}")
        for name in ("longest_s", "connect_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a time in s above 0")

    def run(self, progress: Progress) -> Outcome:
        """Connect, join, drive, record."""
        out = _new_folder(self.out)
        loaded = load_predictor(self.policy, self.public_key, self.threads, self.compiled, self.tls)
        spec = loaded.predictor.spec
        loaded, task = telling(loaded, self.instruction)
        if note := unseen(spec, [task] if task else []):
            progress.say(f"note: {note}")
        clock = self._clock()
        robot = self._robot(loaded, clock)
        try:
            if isinstance(robot, SimulatedRobot):
                robot.begin(self.seed)
            robot.connect(self.connect_s)
            config = replace(self.session, seed=self.seed)
            session = Session(loaded, robot, self.robot.limits, self.mode, config, NoJournal(), clock)
            try:
                recorder = self._recorder(loaded, robot, out, task)
                session.record(recorder)
                with told_to_end() as is_ending, _kept(out, session, robot, progress):
                    attempts = self._attempts(session, robot, recorder, is_ending, progress)
                result = self._result(loaded, session, attempts, task)
            finally:
                session.close()
        finally:
            robot.close()
        (out / RESULT).write_text(json.dumps(result, indent=1))
        _draw(out, robot, progress)
        outcome = Outcome(result, _lines(result, out))
        if is_ending():
            progress.say("\n".join(outcome.lines))
            raise KeyboardInterrupt
        return outcome

    def _clock(self) -> Clock:
        in_time = not isinstance(self.robot, SimulatedConfig) or self.robot.realtime
        return RealClock() if in_time else VirtualClock()

    def _robot(self, loaded: Loaded, clock: Clock) -> Robot:
        if not isinstance(self.robot, SimulatedConfig):
            if self.env is not None:
                raise ConfigError("env is given, but only robot=sim plays an environment")
            return self.robot.build()
        chosen = self.robot if self.env is None else replace(self.robot, env=self.env)
        return chosen.for_policy(loaded.env).build(clock)

    def _recorder(self, loaded: Loaded, robot: Robot, out: Path, task: str) -> SessionRecorder:
        """The recording, in a folder that is made once nothing stands in the way of the session."""
        out.mkdir(parents=True)
        header = {
            "spec": loaded.predictor.spec.to_json(),
            "robot": {"targets": {group: asdict(target) for group, target in robot.targets.items()}},
            "policy": dict(loaded.origin),
            "mode": self.mode,
            "imitate_version": __version__,
            "max_age_s": dict(robot.max_age_s),
            "settings": to_json(self),
            **({"task": task} if task else {}),
        }
        return SessionRecorder(out / RECORDING, header)

    def _attempts(
        self,
        session: Session,
        robot: Robot,
        recorder: SessionRecorder,
        is_ending: Callable[[], bool],
        progress: Progress,
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        who = self.arm or f"{self.mode}, nothing is sent"
        with (
            progress.task(self.mode, self.attempts, "attempts") as task,
            Live(session, task, lambda: _note(found), lambda: _trouble(recorder)),
            keys(_keys(session, who)) as is_heard,
        ):
            if is_heard:
                progress.say("space: stop   p: pause   g: go on   Ctrl-C: come to rest and end")
            for number in range(self.attempts):
                session.arm(who)
                if isinstance(robot, SimulatedRobot):
                    robot.begin(self.seed + number)
                found.append(_one(session, robot, is_ending, self.longest_s, self.seed + number))
                task.advance(1, _note(found))
                if is_ending() or session.supervisor.state is not State.IDLE:
                    # A fault is left by a person only.
                    break
        return found

    def _result(
        self, loaded: Loaded, session: Session, attempts: list[dict[str, Any]], task: str
    ) -> dict[str, Any]:
        return {
            "mode": self.mode,
            **({"task": task} if task else {}),
            "policy": dict(loaded.origin),
            "attempts": attempts,
            "interventions": session.counts(),
            "states": [asdict(change) for change in session.supervisor.events],
            "timings": session.timings.to_json(),
            "imitate": __version__,
        }


@contextmanager
def _kept(out: Path, session: Session, robot: Robot, progress: Progress) -> Iterator[None]:
    """Whatever ends a session that was driven, its recording is whole and has its page.

    One that could not even start leaves no folder that would be in the way of the next one.
    """
    try:
        yield
    except BaseException as error:
        session.close()
        if any(change.after is State.RUNNING for change in session.supervisor.events):
            _draw(out, robot, progress)
        elif isinstance(error, ImitateError):
            shutil.rmtree(out)
        raise


def _one(
    session: Session, robot: Robot, is_ending: Callable[[], bool], longest_s: float, seed: int
) -> dict[str, Any]:
    if not isinstance(robot, SimulatedRobot):
        session.attempt(is_ending, longest_s)
        return {}
    session.attempt(lambda: robot.progress.is_over or is_ending(), longest_s)
    how = robot.progress
    return {"seed": seed, "success": how.success, "score": how.score, "steps": how.steps}


def _keys(session: Session, who: str) -> dict[str, Callable[[], None]]:
    def go_on() -> None:
        # Pressed while there is nothing to go on from, it does nothing.
        with suppress(RobotError):
            session.go_on(who)

    return {
        " ": lambda: session.stop("stopped at the keyboard"),
        "p": lambda: session.pause(who),
        "g": go_on,
    }


def _note(attempts: list[dict[str, Any]]) -> str:
    judged = [a["success"] for a in attempts if "success" in a]
    return f"success {sum(judged)}/{len(judged)}" if judged else ""


def _draw(out: Path, robot: Robot, progress: Progress) -> None:
    """The session's page; a session that was driven is not lost for want of one."""
    progress.say(f"drawing {out / PAGE}")
    try:
        if isinstance(robot, SimulatedRobot):
            film(robot, out)
        write_session_page(out)
    except (ImitateError, OSError) as error:
        progress.say(f"the session has no page: {error}")


def _trouble(recorder: SessionRecorder) -> str:
    lost = f"{recorder.dropped} calls were not recorded" if recorder.dropped else ""
    return recorder.failure or lost


def _new_folder(out: str | None) -> Path:
    folder = Path(out) if out else Path("sessions") / time.strftime("%Y-%m-%dT%H-%M-%S")
    if folder.exists():
        raise RobotError(f"out: {folder} is there already, and a session is never overwritten: name another")
    return folder


def _lines(result: dict[str, Any], out: Path) -> list[str]:
    attempts, timings = result["attempts"], result["timings"]
    lines = [f"mode      {result['mode']}, {len(attempts)} attempts  {_note(attempts)}".rstrip()]
    if result["interventions"]:
        counts = ", ".join(f"{rule} {n}" for rule, n in result["interventions"].items())
        lines.append(f"gate      {counts}")
    for name, label in (("latency_ms", "latency"), ("age_ms", "age"), ("late_ms", "late")):
        if name in timings and "late_ms" in timings:  # Simulated time knows no lateness, and says nothing.
            t = timings[name]
            lines.append(
                f"{label:<9} {t['p50']:.1f} ms median, {t['p99']:.1f} ms 99 %, {t['max']:.1f} ms at most"
            )
    return [*lines, f"recorded  {out / RECORDING}", f"page      {out / PAGE}"]
