"""Commands into a simulated robot: the newest, once, fresh, or none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy import messages
from imitate.deploy.simulation.inbox import MAX_AGE_S, Channel, Inbox

PERIOD_S = 0.1
TWIST = Channel(slice(0, 2), ("x", "yaw"), {"/twist": messages.TWIST}, factor=PERIOD_S)
JOINTS = Channel(slice(0, 2), ("a", "b"), {"/values": messages.VALUES}, resting=lambda obs: obs["q"])
REST = {"q": np.array([0.5, -0.5])}


def twist(x: float) -> messages.Message:
    return messages.twist_stamped(("x", "yaw"), np.array([x, 0.0]), 1.0)


def inbox(channel: Channel) -> Inbox:
    made = Inbox(channel)
    made.reset(REST)
    return made


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3), st.floats(-1, 1)), max_size=20))
def test_a_step_obeys_only_the_newest_fresh_command_that_came_since_the_last(
    received: list[tuple[float, float, float]],
) -> None:
    box, steps = inbox(TWIST), 10
    events = sorted((arrival, arrival - delay, value) for arrival, delay, value in received)
    for step in range(1, steps + 1):
        now, before = step * PERIOD_S, (step - 1) * PERIOD_S
        came = [event for event in events if before < event[0] <= now]
        for arrival, made, value in came:
            box.take(twist(value), messages.TWIST, made, arrival)
        # What was too old when it came never replaces what was fresh.
        fresh = [event for event in came if event[0] - event[1] <= MAX_AGE_S]
        values, applied = box.due(now, PERIOD_S)
        if fresh and now - fresh[-1][1] <= MAX_AGE_S:
            assert applied is not None and applied.age_s <= MAX_AGE_S
            assert values[0] == pytest.approx(fresh[-1][2] * PERIOD_S)
        else:
            assert applied is None
            assert values.tolist() == [0, 0]


def test_positions_rest_where_the_robot_is_and_stay_where_they_were_sent() -> None:
    box = inbox(JOINTS)
    assert box.due(0.0, PERIOD_S)[0].tolist() == [0.5, -0.5]
    box.take(messages.float_values([1.0, 2.0]), messages.VALUES, 0.05, 0.06)
    values, applied = box.due(0.1, PERIOD_S)
    assert values.tolist() == [1, 2] and applied is not None
    values, applied = box.due(0.2, PERIOD_S)
    assert values.tolist() == [1, 2] and applied is None
    box.reset(REST)
    assert box.due(0.3, PERIOD_S)[0].tolist() == [0.5, -0.5]


def test_a_trajectory_is_followed_to_its_end_and_held_there() -> None:
    box = inbox(JOINTS)
    positions = np.array([[-0.5, 1.5], [-1.5, 2.5]])
    message = messages.joint_trajectory(("b", "a"), positions, np.array([0.1, 0.2]), None)
    box.take(message, messages.TRAJECTORY, 0.0, 0.0)
    # Half a step late: from where it was sent last, half way to the first point, then on.
    found = [box.due(at, PERIOD_S)[0].tolist() for at in (0.05, 0.15, 0.25)]
    np.testing.assert_allclose(found, [[2.0, -1.0], [2.5, -1.5], [2.5, -1.5]])


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (messages.float_values([1.0]), messages.VALUES),
        (messages.float_values([1.0, np.nan]), messages.VALUES),
        ({"data": [1.0, None]}, messages.VALUES),
        ({}, messages.VALUES),
        (messages.joint_trajectory(("a", "c"), np.zeros((1, 2)), np.ones(1), None), messages.TRAJECTORY),
        (
            messages.joint_trajectory(("a", "b"), np.zeros((2, 2)), np.array([1.0, 1.0]), None),
            messages.TRAJECTORY,
        ),
        (messages.joint_trajectory(("a", "b"), np.zeros((0, 2)), np.zeros(0), None), messages.TRAJECTORY),
    ],
)
def test_what_does_not_fit_is_refused_and_counted(message: messages.Message, kind: str) -> None:
    box = inbox(JOINTS)
    box.take(message, kind, 0.0, 0.0)
    assert box.refused == 1
    assert box.due(0.0, PERIOD_S)[1] is None


def test_a_command_from_the_future_is_refused() -> None:
    box = inbox(JOINTS)
    box.take(messages.float_values([1.0, 1.0]), messages.VALUES, 1.0, 0.5)
    assert box.refused == 1
