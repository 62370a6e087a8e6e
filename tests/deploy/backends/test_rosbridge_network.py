"""A bad network between us and the robot: late and lost packets, and an outage."""

import time
from pathlib import Path

import pytest
from arm_process import LONGEST_AGE_S, ArmProcess, require_fresh, streaming
from bad_network import BadNetwork, obstacle
from bridged_arm import robot_at, wait_until

from imitate.deploy.robot import Robot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "none"),
]


class Line:
    """An arm at the far end of a bad network, and a robot here."""

    def __init__(self, folder: Path) -> None:
        self.network = BadNetwork(delay_s=0.002)
        self.network.__enter__()
        try:
            self.arm = ArmProcess(folder, self.network.inside, self.network.there)
        except BaseException:
            self.network.__exit__()
            raise
        self.robot: Robot = robot_at(self.arm.port, host=self.network.there)

    def __enter__(self) -> "Line":
        self.robot.connect(10.0)
        return self

    def __exit__(self, *error: object) -> None:
        self.robot.close()
        self.arm.kill()
        self.network.__exit__()

    def count(self) -> int:
        return len(self.arm.obeyed())


def test_through_200_ms_of_delay_nothing_is_obeyed_and_without_it_all_is_well_again(tmp_path: Path) -> None:
    with Line(tmp_path) as line, streaming(line.robot):
        wait_until(lambda: line.count() > 20)
        line.network.delay_s = 0.2
        time.sleep(0.5)
        before = line.count()
        time.sleep(2.0)
        state = line.robot.read().measured.get("arm")
        assert state is not None
        assert line.count() == before
        line.network.delay_s = 0.002
        require_fresh(line.arm, before + 20)


def test_with_lost_packets_what_is_obeyed_is_fresh(tmp_path: Path) -> None:
    with Line(tmp_path) as line, streaming(line.robot):
        wait_until(lambda: line.count() > 20)
        line.network.loss = 0.05
        before = line.count()
        time.sleep(6.0)
        line.network.loss = 0.0
        obeyed = line.count() - before
        require_fresh(line.arm, before + obeyed + 20)
        assert line.network.lost > 10
    # At 50 Hz, two commands at a time, for 6 s: what was lost cost a part of them.
    assert obeyed > 100


def test_200_ms_of_delay_with_lost_packets_moves_nothing_and_ends_well(tmp_path: Path) -> None:
    with Line(tmp_path) as line, streaming(line.robot):
        wait_until(lambda: line.count() > 20)
        line.network.delay_s, line.network.loss = 0.2, 0.1
        time.sleep(0.5)
        before = line.count()
        time.sleep(4.0)
        assert line.count() == before
        line.network.delay_s, line.network.loss = 0.002, 0.0
        require_fresh(line.arm, before + 20)


def test_after_an_outage_no_command_of_it_arrives(tmp_path: Path) -> None:
    with Line(tmp_path) as line, streaming(line.robot) as sent:
        wait_until(lambda: line.count() > 20)
        line.network.loss = 1.0
        cut = time.monotonic()
        wait_until(lambda: not line.robot.is_connected(), 3.0)
        noticed_s = time.monotonic() - cut
        time.sleep(1.0)
        line.network.loss = 0.0
        mended = time.monotonic()
        wait_until(line.robot.is_connected, 10.0)
        require_fresh(line.arm, line.count() + 20)
        late = [e for e in line.arm.obeyed() if cut + LONGEST_AGE_S < e["at"] - e["age"] < mended]
    assert late == []
    assert noticed_s < 1.6
    assert not any(left for at, left in sent if cut + noticed_s + 0.1 < at < mended)
