"""A writer to be killed: each line on stdin forks a child that writes.

"append STORE FIRST_NUMBER": it appends episodes for ever. "import SOURCE OUT": it imports once, and waits.
Modules are imported once, so a child is writing within milliseconds. Said on stdout: "pid N"; by the child
"ready", then "done NUMBER" whenever an append or the import has returned; "dead STATUS".
"""

import itertools
import os
import signal
import sys
import traceback

import numpy as np

from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.types import Episode


def episode(number: int, side: int = 8) -> Episode:
    """The same episode whenever it is made; its pictures of `side` px are noise, every third one plain."""
    rng = np.random.default_rng(number)
    steps = int(rng.integers(1, 60))
    state = rng.normal(size=(steps, 3)).astype(np.float32)
    camera = rng.integers(0, 256, (steps, side, side, 3), np.uint8)
    camera[::3] = 7 * number % 256
    return Episode(
        id=f"demo_{number}",
        obs={"state": state, "camera": camera},
        action=rng.normal(size=(steps, 2)).astype(np.float32),
        success=bool(number % 2),
        metadata={"seed": number},
    )


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def append_for_ever(path: str, first: str) -> None:
    with DemoStore.open(path) as store:
        side = store.spec.obs["camera"].shape[0]
        say("ready")
        for number in itertools.count(int(first)):
            store.append(episode(number, side))
            say("done", number)


def import_once(source: str, out: str) -> None:
    say("ready")
    import_file(source, out, storage="auto")
    say("done", 0)
    signal.pause()


WORK = {"append": append_for_ever, "import": import_once}


def main() -> None:
    for line in sys.stdin:
        work, *arguments = line.split()
        child = os.fork()
        if child == 0:
            try:
                WORK[work](*arguments)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        say("pid", child)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
