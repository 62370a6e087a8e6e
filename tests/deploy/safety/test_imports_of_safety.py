"""The safety gate runs where neither torch nor any robot software is."""

import subprocess
import sys

BLOCKED = ("torch", "scipy", "websockets", "cyclonedds", "rospy", "rosbags", "mcap", "cv2", "zarr", "hydra")

PROGRAM = """
import importlib, pkgutil, sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
import imitate.deploy.safety as safety
for module in pkgutil.iter_modules(safety.__path__):
    importlib.import_module(f"imitate.deploy.safety.{module.name}")
ours = sorted(name for name in sys.modules if name.startswith("imitate.") and "safety" not in name)
print(",".join(ours))
"""


def test_it_needs_numpy_and_the_contracts_alone() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(BLOCKED)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.strip().split(",")) <= {
        "imitate.deploy",
        "imitate.deploy.description",
        "imitate.deploy.command",
        "imitate.deploy.robot",
        "imitate.errors",
        "imitate.spec",
    }
