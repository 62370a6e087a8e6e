"""An environment that runs in real time behind a bridge server, as a robot does."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from imitate.deploy import messages
from imitate.deploy.simulation.arm_topics import channels, messages_of, publications
from imitate.deploy.simulation.inbox import MAX_AGE_S, Applied, Inbox
from imitate.deploy.simulation.ros_graph import OnTopic, Service
from imitate.deploy.transport import Message, Topic
from imitate.errors import EnvError, RobotError

if TYPE_CHECKING:
    from imitate.env import Env, EnvConfig

NODE = "/simulated_arm"
STATUS = "/simulation/status"
RESET = "/simulation/reset"
START_TIMEOUT_S = 60.0
LOG = 100_000
"""So many obeyed commands and observations are remembered."""


class Host(Protocol):
    """The robot's end of a transport: a BridgeServer or a DdsHost."""

    def advertise(self, topic: Topic, node: str) -> None:
        """Say that `node` publishes `topic`."""

    def listen(self, topic: Topic, node: str, listener: OnTopic) -> None:
        """Call `listener` with every message on `topic` and the local time in s at which it came."""

    def provide(self, service: str, answer: Service) -> None:
        """Answer every request for `service`."""

    def publish(self, topic: str, message: Message) -> None:
        """Send to whoever subscribes."""


class SimulatedArm:
    """Steps an environment at its rate in a thread of its own, publishing what it observes.

    Each step obeys the newest command of each group that is at most MAX_AGE_S old, once; without one,
    velocities are zero and positions stay as they were last commanded. A gripper moves only beside twists,
    whose stamps tell how old openings are. An episode begins with the first obeyed command, ends as the
    environment says, and rests then until the service /simulation/reset ({"seed": …}) starts the next.
    /simulation/status tells how it stands, as JSON.
    """

    def __init__(self, env: "EnvConfig", server: Host, seed: int = 0) -> None:
        self.applied: deque[Applied] = deque(maxlen=LOG)
        self.observed: deque[tuple[float, dict[str, np.ndarray]]] = deque(maxlen=LOG)
        self._config, self._server, self._seed = env, server, seed
        self._inboxes: list[Inbox] = []
        self._obs: dict[str, np.ndarray] = {}
        self._status: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._delay = (float("-inf"), 0.0)
        self._oldest_s = 0.0
        self._takes_stamps = False
        self._wanted_seed: int | None = seed
        self._reset_done = threading.Event()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="simulated arm", daemon=True)

    def start(self) -> None:
        """Make the environment and publish its first observation; raises what making it raises."""
        self._thread.start()
        if not self._reset_done.wait(START_TIMEOUT_S):
            raise RobotError(f"the simulation did not start within {START_TIMEOUT_S:g} s")
        if self._failure is not None:
            raise self._failure

    def status(self) -> dict[str, Any]:
        """How the episode stands, commands refused so far, and the age in s of the oldest one obeyed."""
        with self._lock:
            refused = sum(inbox.refused for inbox in self._inboxes)
            return {**self._status, "refused": refused, "oldest_applied_s": round(self._oldest_s, 4)}

    def reset(self, seed: int) -> None:
        """Start the episode of `seed`; returns once it is published."""
        self._reset_done.clear()
        with self._lock:
            self._wanted_seed = seed
        if not self._reset_done.wait(START_TIMEOUT_S):
            raise RobotError("the simulation does not answer")

    def close(self) -> None:
        """Join the thread; safe to call twice, and before `start`."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            # Drawing belongs to the thread that made the environment.
            env = self._config.build()
            self._join_graph(env)
        except Exception as error:  # handed to the thread that waits in start()
            self._failure = error
            self._reset_done.set()
            return
        try:
            self._step_in_real_time(env)
        finally:
            env.close()

    def _join_graph(self, env: "Env") -> None:
        self._inboxes = [Inbox(channel) for channel in channels(env.data_spec)]
        types = {kind for inbox in self._inboxes for kind in inbox.channel.topics.values()}
        self._takes_stamps = messages.TWIST in types
        for topic in [*publications(env.data_spec), Topic(STATUS, messages.STRING)]:
            self._server.advertise(topic, NODE)
        for inbox in self._inboxes:
            for name, message_type in inbox.channel.topics.items():
                self._server.listen(Topic(name, message_type), NODE, self._listener(inbox, message_type))
        self._server.provide(RESET, self._answer_reset)

    def _listener(self, inbox: Inbox, message_type: str) -> Any:
        def take(message: Message, arrived_s: float) -> None:
            with self._lock:
                inbox.take(message, message_type, self._made_s(message, arrived_s), arrived_s)

        return take

    def _made_s(self, message: Message, arrived_s: float) -> float:
        """When a message was made; long ago if nobody knows.

        One without a stamp took as long as the stamped one just before it. Of an arm that takes stamped
        commands nothing is believed without one: its way here may have been long. Others go by arrival.
        """
        stamp_s = messages.seconds(message.get("header"))
        if stamp_s is not None:
            self._delay = (arrived_s, time.time() - (time.monotonic() - arrived_s) - stamp_s)
            return arrived_s - self._delay[1]
        came_s, delay_s = self._delay
        if arrived_s - came_s < MAX_AGE_S:
            return arrived_s - max(0.0, delay_s)
        return float("-inf") if self._takes_stamps else arrived_s

    def _answer_reset(self, request: Mapping[str, Any]) -> dict[str, Any]:
        seed = request.get("seed", self._seed)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise RobotError(f"seed is {seed!r}, expected a whole number, 0 or more")
        self.reset(seed)
        return {"success": True, "message": f"episode of seed {seed}"}

    def _step_in_real_time(self, env: "Env") -> None:
        rate_hz = env.data_spec.rate_hz
        if not rate_hz:
            raise EnvError("the environment has no control rate")
        period_s = 1.0 / rate_hz
        next_s = time.monotonic()
        while not self._closing.wait(max(0.0, next_s - time.monotonic())):
            now_s = time.monotonic()
            if self._begin_if_wanted(env):
                self._publish(env)
                self._reset_done.set()
                now_s = time.monotonic()
            else:
                self._step(env, now_s, period_s)
                self._publish(env)
            # A late step is not caught up: time that was lost stays lost.
            next_s = max(next_s, now_s - period_s) + period_s

    def _begin_if_wanted(self, env: "Env") -> bool:
        with self._lock:
            seed, self._wanted_seed = self._wanted_seed, None
        if seed is None:
            return False
        obs, info = env.reset(seed=seed)
        with self._lock:
            self._obs = obs
            for inbox in self._inboxes:
                inbox.reset(obs)
            episode = int(self._status.get("episode", -1)) + 1
            begun = {"episode": episode, "seed": seed, "step": 0, "begun": False, "over": False}
            self._status = {**begun, **_outcome(info)}
        return True

    def _step(self, env: "Env", now_s: float, period_s: float) -> None:
        action = np.zeros(env.data_spec.action.size)
        with self._lock:
            for inbox in self._inboxes:
                action[inbox.channel.columns], applied = inbox.due(now_s, period_s)
                if applied is not None and not self._status["over"]:
                    self.applied.append(applied)
                    self._oldest_s = max(self._oldest_s, applied.age_s)
                    self._status["begun"] = True
            if self._status["over"] or not self._status["begun"]:
                return
        obs, _, terminated, truncated, info = env.step(action)
        with self._lock:
            self._obs = obs
            self._status.update(_outcome(info), over=bool(terminated or truncated))
            self._status["step"] += 1

    def _publish(self, env: "Env") -> None:
        self.observed.append((time.monotonic(), self._obs))
        for topic, message in messages_of(env.data_spec, self._obs, time.time()):
            self._server.publish(topic, message)
        self._server.publish(STATUS, {"data": json.dumps(self.status())})


def _outcome(info: Mapping[str, Any]) -> dict[str, Any]:
    return {"success": bool(info["success"]), "score": float(info["score"])}
