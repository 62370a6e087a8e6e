"""What of Debian the tests of robots need: scripts/test installs it, and says so to the tests.

With IMITATE_REQUIRE_ROS set, a test that misses something fails instead of being skipped.
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
        missing.append("rospy and its messages")
    _say(missing)


def need_cyclone_c() -> None:
    """The IDL compiler and library of Cyclone DDS, and a C compiler."""
    missing = [tool for tool in ("idlc", "cc") if shutil.which(tool) is None]
    _say(missing)


def _say(missing: list[str]) -> None:
    if not missing:
        return
    text = f"{' and '.join(missing)} not installed; scripts/test installs them with apt (make_ros)"
    if os.environ.get("IMITATE_REQUIRE_ROS"):
        pytest.fail(text)
    pytest.skip(text)
