"""Only a person lets the robot move, and what happened can be read afterwards."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from imitate.deploy.safety.state_machine import ALLOWED, State, Supervisor
from imitate.errors import ConfigError, RobotError


def running(resume_after_s: float | None = None) -> Supervisor:
    supervisor = Supervisor(resume_after_s)
    supervisor.connect(0.0)
    supervisor.arm(1.0, by="Ada")
    supervisor.start(2.0)
    return supervisor


def test_the_usual_way() -> None:
    supervisor = running()
    supervisor.hold(3.0, "measured.arm is stale")
    supervisor.resume(4.0, by="Ada")
    supervisor.disarm(5.0, "the session ended")
    states = [str(event.after) for event in supervisor.events]
    assert states == ["idle", "armed", "running", "hold", "running", "idle"]
    assert supervisor.events[3].why == "measured.arm is stale"
    assert [event.time_s for event in supervisor.events] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("act", ["start", "resume", "disarm", "connect"])
def test_what_is_not_allowed_is_refused_in_one_line(act: str) -> None:
    supervisor = Supervisor()
    supervisor.connect(0.0)
    arguments = {"resume": ("Ada",), "disarm": ("why",)}.get(act, ())
    with pytest.raises(RobotError, match="the robot is idle and cannot become") as caught:
        getattr(supervisor, act)(1.0, *arguments)
    assert "\n" not in str(caught.value)
    assert supervisor.state is State.IDLE


def test_running_from_idle_names_what_is_missing() -> None:
    supervisor = Supervisor()
    supervisor.connect(0.0)
    with pytest.raises(RobotError, match="a person must arm it first"):
        supervisor.start(1.0)


def test_nobody_arms_namelessly() -> None:
    supervisor = Supervisor()
    supervisor.connect(0.0)
    with pytest.raises(RobotError, match="say who"):
        supervisor.arm(1.0, by=" ")


def test_a_fault_is_left_by_arming_alone() -> None:
    supervisor = running()
    supervisor.fault(3.0, "the emergency stop is pressed")
    for act, arguments in (("start", ()), ("resume", ("Ada",)), ("disarm", ("why",))):
        with pytest.raises(RobotError):
            getattr(supervisor, act)(4.0, *arguments)
    supervisor.hold(4.0, "stale")
    assert supervisor.state is State.FAULT
    supervisor.arm(5.0, by="Ada")
    assert supervisor.state is State.ARMED


def test_a_fault_survives_a_lost_connection() -> None:
    supervisor = running()
    supervisor.fault(3.0, "the clock went back")
    supervisor.disconnect(4.0, "lost")
    supervisor.connect(5.0)
    assert supervisor.state is State.FAULT
    assert supervisor.events[-1].why == "the clock went back"


def test_a_lost_connection_needs_arming_again() -> None:
    supervisor = running()
    supervisor.disconnect(3.0, "lost")
    supervisor.connect(4.0)
    with pytest.raises(RobotError, match="a person must arm it first"):
        supervisor.start(5.0)


def test_a_hold_ends_by_itself_only_where_that_is_set() -> None:
    supervisor = running()
    supervisor.hold(3.0, "stale")
    assert not any(supervisor.healthy(3.0 + t, fresh=True) for t in range(100))
    supervisor = running(resume_after_s=1.0)
    supervisor.hold(3.0, "stale")
    assert not supervisor.healthy(3.1, fresh=True)
    assert not supervisor.healthy(3.9, fresh=False)
    assert not supervisor.healthy(4.0, fresh=True)
    assert not supervisor.healthy(4.9, fresh=True)
    assert supervisor.healthy(5.0, fresh=True)
    assert supervisor.state is State.RUNNING


def test_a_hold_does_not_end_while_it_is_renewed() -> None:
    supervisor = running(resume_after_s=1.0)
    for tick in range(50):
        supervisor.hold(3.0 + tick * 0.1, "refused")
        assert not supervisor.healthy(3.0 + tick * 0.1, fresh=True)


def test_the_time_to_resume_is_checked() -> None:
    with pytest.raises(ConfigError, match="resume_after_s"):
        Supervisor(0.0)


class AnyOrder(RuleBasedStateMachine):
    """Everything that can be called, in any order; a model of who allowed what stands beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.supervisor = Supervisor(resume_after_s=1.0)
        self.now = 0.0
        self.may_run = False

    def call(self, name: str, *arguments: object) -> bool:
        self.now += 0.4
        try:
            getattr(self.supervisor, name)(self.now, *arguments)
        except RobotError:
            return False
        return True

    @rule(act=st.sampled_from(("connect", "start")))
    def go_on(self, act: str) -> None:
        self.call(act)

    @rule(act=st.sampled_from(("disconnect", "disarm", "fault")))
    def stop(self, act: str) -> None:
        if self.call(act, "why"):
            self.may_run = False

    @rule(act=st.sampled_from(("hold", "resume")))
    def pause(self, act: str) -> None:
        self.call(act, "Ada")

    @rule(fresh=st.booleans())
    def tick(self, fresh: bool) -> None:
        self.now += 0.4
        self.supervisor.healthy(self.now, fresh)

    @rule()
    def arm(self) -> None:
        if self.call("arm", "Ada"):
            self.may_run = True

    @invariant()
    def nothing_runs_that_no_person_armed(self) -> None:
        if self.supervisor.state in (State.ARMED, State.RUNNING, State.HOLD):
            assert self.may_run

    @invariant()
    def every_change_is_recorded_and_allowed(self) -> None:
        events = self.supervisor.events
        assert all(event.after in ALLOWED[event.before] for event in events)
        assert all(a.after is b.before for a, b in itertools.pairwise(events))
        assert self.supervisor.state is (events[-1].after if events else State.DISCONNECTED)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
