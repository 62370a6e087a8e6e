"""What of Debian the tests of robots need: scripts/test installs it, and says so to the tests.

Of what IMITATE_REQUIRE_ROS names ("ros1", "cyclone"), a test that misses something fails; else it is skipped.
"""

import os
import shutil
import subprocess

import pytest

ROS1_PYTHON = "/usr/bin/python3"
ROS1_MODULES = "rospy, std_msgs.msg, sensor_msgs.msg, geometry_msgs.msg, std_srvs.srv"


def need_ros1() -> None:
    """A master, and rospy with the messages of the stand-in, for the system's Python."""
    missing = [] if shutil.which("rosmaster") else ["rosmaster"]
    try:
        subprocess.run(
            [ROS1_PYTHON, "-c", f"import {ROS1_MODULES}"], check=True, capture_output=True, timeout=60
        )
    except (OSError, subprocess.CalledProcessError):
        missing.append("rospy with its messages")
    _say("ros1", missing)


def need_cyclone_c() -> None:
    """The IDL compiler and library of Cyclone DDS, and a C compiler."""
    missing = [tool for tool in ("idlc", "cc") if shutil.which(tool) is None]
    _say("cyclone", missing)


def _say(name: str, missing: list[str]) -> None:
    if not missing:
        return
    text = f"{' and '.join(missing)} not installed; scripts/test installs them with apt (make_ros)"
    if name in os.environ.get("IMITATE_REQUIRE_ROS", "").split():
        pytest.fail(text)
    pytest.skip(text)
