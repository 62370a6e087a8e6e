"""Ends what a Ray has started once the command that started it is gone, however that came.

Linux kills the head and the raylet together with their parent, but not what the raylet has started: that ends
when it notices, which may take more than a minute. Its agents look every few seconds, and then tell the head
first, which is gone as well. So a small process waits for the end of the command, and then kills whatever
bears the mark of its Ray. Linux alone.

As a program: python watcher.py PID FOLDER
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "IMITATE_RAY"
"""The environment variable that everything has which belongs to a Ray: the folder of that Ray."""
LOOK_EVERY_S = 0.5
ENDS_WITHIN_S = 10.0


@contextmanager
def watched(folder: str) -> Iterator[None]:
    """What starts in this block ends with this process, also where that is killed; `folder` goes then."""
    if sys.platform != "linux":
        yield
        return
    # In a session of its own, or Ctrl-C would reach it; with no streams, or a pipe would wait for it.
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), folder]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, env=_unmarked()
    ) as watcher:
        before = os.environ.get(MARK)
        os.environ[MARK] = folder
        try:
            yield
        finally:
            watcher.terminate()
            # Ray's agents may wait for a head that is gone after an ordinary end as well.
            for pid in _marked(folder):
                _kill_if_of_ray(pid)
            del os.environ[MARK]
            if before is not None:
                os.environ[MARK] = before


def _unmarked() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != MARK}


def _marked(folder: str) -> Iterator[int]:
    """The processes that bear the mark of `folder`, as far as this user may know."""
    needle = f"{MARK}={folder}".encode()
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is another user's
            if process.name.isdigit() and needle in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def _kill_if_of_ray(pid: int) -> None:
    with suppress(OSError):
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
            os.kill(pid, signal.SIGKILL)


def _watch(parent: int, folder: str) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    until = time.monotonic() + ENDS_WITHIN_S
    # Again and again: while some are killed others may be started.
    while (left := list(_marked(folder))) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EVERY_S / 5)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), sys.argv[2])
