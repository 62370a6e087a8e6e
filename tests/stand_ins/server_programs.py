"""Programs that stand in for other people's servers, in an environment of their own: .venv-servers.

Their pins and those of this project rule each other out; scripts/test makes the environment.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

OWN = Path(__file__).parents[2] / ".venv-servers/bin"


def program(name: str) -> str:
    """Where it is: in .venv-servers or on the PATH; skips the test where there is none, and need not be."""
    found = shutil.which(name, path=f"{OWN}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        assert not os.environ.get("IMITATE_REQUIRE_SERVERS"), f"{name} is not in {OWN}"
        pytest.skip(f"{name} is not there: scripts/test makes .venv-servers with it")
    return found


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def started(command: Sequence[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    """The program at work, once it accepts connections on loopback."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    for _ in range(300):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(f"{command[0]} does not answer: {log.read_text()}")


def request(method: str, url: str, data: bytes | None, headers: dict[str, str]) -> None:
    asked = urllib.request.Request(url, data, headers, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=90).close()
