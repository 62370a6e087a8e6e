"""Commands on a cluster, in processes of their own that are known by a mark; nothing of them may stay."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STAND_INS = Path(__file__).parent
MARK = "IMITATE_TEST_COMMAND"
GONE_WITHIN_S = 60.0
Words = list[str]


def train_words(demos: Path, out: Path, *more: str) -> Words:
    """`imitate train` without end, which saves after every step; 17 MB each time."""
    words = f"train policy=bc env=null data.path={demos} out={out} train.device=cpu train.batch_size=32 "
    words += "train.max_steps=1000000 train.max_minutes=null train.save_minutes=0 train.validations=0"
    return [*words.split(), *more]


class Command:
    """`imitate WORDS` at work; its processes, those of its Ray too, bear a mark in their environment."""

    def __init__(
        self, words: Sequence[str], mark: str, around: Callable[[Words], Words], temporary: str
    ) -> None:
        self.mark = mark
        self.process = subprocess.Popen(
            around([sys.executable, "-m", "imitate", *words]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment() | {MARK: mark, "TMPDIR": temporary},
        )

    def wait_for(self, what: Callable[[], bool], timeout_s: float = 300.0) -> None:
        """Wait until `what` is so; fails where the command ends before, or it takes too long."""
        until = time.monotonic() + timeout_s
        while not what():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until
            time.sleep(0.2)

    def ended(self, timeout_s: float) -> tuple[int, str, str]:
        """The exit code, standard output, and what the command itself said last; raises TimeoutExpired.

        Where it said nothing that is all that Ray said.
        """
        out, said = self.process.communicate(timeout=timeout_s)
        own = [line for line in said.splitlines() if line.startswith("imitate: ")]
        return self.process.returncode, out, own[-1] if own else said

    def send(self, number: int) -> None:
        """Send a signal to the command itself, not to what was put around it."""
        for pid in self.processes():
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:3] == [b"-m", b"imitate"]:
                os.kill(pid, number)

    def part(self, name: str) -> int:
        """The process of the command's Ray whose program has this name."""
        for pid in self.processes():
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(name.encode()):
                return pid
        raise AssertionError(f"there is no {name}")

    def processes(self) -> list[int]:
        """All that runs and bears the mark."""
        return processes_of(self.mark)

    def is_gone(self) -> bool:
        """Whether nothing of it runs any more, within a minute."""
        return is_gone(self.mark)


def processes_of(mark: str) -> list[int]:
    """All processes that were started with this mark in their environment."""
    needle, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and needle in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def is_gone(mark: str) -> bool:
    """Whether no process with this mark runs any more, within a minute."""
    until = time.monotonic() + GONE_WITHIN_S
    while processes_of(mark) and time.monotonic() < until:
        time.sleep(0.2)
    return not processes_of(mark)


@contextmanager
def command(words: Sequence[str], around: Callable[[Words], Words] = list) -> Iterator[Command]:
    """`imitate WORDS`, started as `around` says; whatever is left of it at the end is killed."""
    temporary = tempfile.mkdtemp(prefix="im-")  # short: Ray's sockets lie in it
    started = Command(words, uuid.uuid4().hex, around, temporary)
    try:
        yield started
    finally:
        for pid in started.processes():
            os.kill(pid, signal.SIGKILL)
        started.process.communicate()
        shutil.rmtree(temporary, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """The variables of this process without those of its own Ray, and with the modules of this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"PYTHONPATH": str(STAND_INS), "OMP_NUM_THREADS": "1"}
