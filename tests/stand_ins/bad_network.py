"""Two network namespaces with a bad line between them: real TCP over packets that are late or lost.

The line is a pair of TUN devices with a relay in this process, so it needs no kernel module such as netem; it
needs Linux, root and the command `ip`.
"""

import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 65536


def obstacle() -> str:
    """Why there can be no such line here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the command ip: apt-get install iproute2"
    if not Path("/dev/net/tun").exists():
        return "this machine has no /dev/net/tun"
    probe = subprocess.run(["ip", "netns", "add", f"im{os.getpid()}probe"], capture_output=True, check=False)
    if probe.returncode != 0:
        return f"no network namespace can be made here: {probe.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "del", f"im{os.getpid()}probe"], check=True)
    return ""


class BadNetwork:
    """A context: `here` and `there` are the addresses, `inside` begins a command that runs there.

    delay_s (one way) and loss (share of packets) may be changed at any time.
    """

    def __init__(self, delay_s: float = 0.0, loss: float = 0.0) -> None:
        self.delay_s, self.loss = delay_s, loss
        self.name = f"im{os.getpid()}"
        subnet = os.getpid() % 250
        self.here, self.there = f"10.213.{subnet}.1", f"10.213.{subnet}.2"
        self.inside = ["ip", "netns", "exec", self.name]
        self.lost = 0
        self._random = random.Random(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> "BadNetwork":
        self._near, self._far = _tun(f"{self.name}a"), _tun(f"{self.name}b")
        _ip("netns", "add", self.name)
        _ip("link", "set", f"{self.name}b", "netns", self.name)
        _ip("addr", "add", f"{self.here}/30", "dev", f"{self.name}a")
        _ip("link", "set", f"{self.name}a", "up")
        _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", f"{self.name}b")
        _ip("-n", self.name, "link", "set", f"{self.name}b", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._near)
        os.close(self._far)
        _ip("netns", "del", self.name)

    def _relay(self) -> None:
        other = {self._near: self._far, self._far: self._near}
        waiting: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._over.is_set():
            patience = min(0.05, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for end in select.select(list(other), [], [], patience)[0]:
                packet, count = os.read(end, PACKET), count + 1
                if self._random.random() < self.loss:
                    self.lost += 1
                else:
                    heapq.heappush(waiting, (time.monotonic() + self.delay_s, count, other[end], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                os.write(end, packet)


def _tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
