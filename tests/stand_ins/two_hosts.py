"""Two machines on one: namespaces of networks and processes, with a cable between them that can be pulled.

Nothing outlives them: a namespace of processes ends with its first process, and takes its network along.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NEEDED_S = 30.0


@dataclass(frozen=True)
class Host:
    """One machine: `first` is its first process, `address` what the other reaches it by."""

    first: int
    address: str
    cable: str

    def words(self, *command: str | Path) -> list[str]:
        """`command` as it is started from outside."""
        return ["nsenter", f"--target={self.first}", "--net", "--pid", "--mount", "--", *map(str, command)]

    def do(self, *command: str | Path) -> None:
        """Run a command there; raises CalledProcessError with what it said."""
        subprocess.run(self.words(*command), check=True, capture_output=True, text=True, timeout=NEEDED_S)

    def pull_cable(self) -> None:
        """Let nothing through from now on; connections stay open, as with a real cable."""
        self.do("ip", "link", "set", self.cable, "down")

    def plug_cable(self) -> None:
        """Let everything through again."""
        self.do("ip", "link", "set", self.cable, "up")


@contextmanager
def two_hosts(own_folder: Path) -> Iterator[tuple[Host, Host]]:
    """Two machines that share all files but those in `own_folder`; skips where that is not permitted."""
    cables = [f"im{os.getpid()}{end}" for end in "ab"]
    outer = [_started() for _ in cables]
    try:
        try:
            hosts = [
                Host(_child(process.pid), f"10.213.7.{number}", cable)
                for number, (process, cable) in enumerate(zip(outer, cables, strict=True), 1)
            ]
            _connect(hosts, own_folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or error
            pytest.skip(f"namespaces of networks cannot be made here: {said}")
        yield hosts[0], hosts[1]
    finally:
        for process in outer:
            process.kill()
            process.wait()


def _started() -> subprocess.Popen[bytes]:
    # The first process ends with `unshare`, and all others of the namespace with the first.
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    return subprocess.Popen([*apart, "sleep", "infinity"], stderr=subprocess.DEVNULL)


def _child(parent: int) -> int:
    """The process that `unshare` has started; raises OSError where it may not."""
    file, until = Path(f"/proc/{parent}/task/{parent}/children"), time.monotonic() + NEEDED_S
    while time.monotonic() < until:
        for child in file.read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "sleep\n":
                return int(child)
        time.sleep(0.05)
    raise OSError("unshare: not permitted")


def _connect(hosts: list[Host], own_folder: Path) -> None:
    one, other = hosts
    words = ["ip", "link", "add", one.cable, "netns", str(one.first), "type", "veth", "peer", "name"]
    words += [other.cable, "netns", str(other.first)]
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=NEEDED_S)
    for host in hosts:
        host.do("mount", "-t", "tmpfs", "none", own_folder)
        host.do("ip", "address", "add", f"{host.address}/24", "dev", host.cable)
        host.do("ip", "link", "set", "lo", "up")
        host.plug_cable()
