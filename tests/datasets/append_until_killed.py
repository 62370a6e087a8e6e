"""A writer to be killed: each line "STORE FIRST_NUMBER" on stdin forks a child that appends for ever.

Imports are done once, so a child is writing within milliseconds. Said on stdout: "pid N"; by the child
"ready", then "done NUMBER" whenever an append has returned; "dead STATUS".
"""

import os
import sys
import traceback

import numpy as np

from imitate.datasets.store import DemoStore
from imitate.types import Episode


def episode(number: int) -> Episode:
    """The same episode whenever it is made."""
    rng = np.random.default_rng(number)
    steps = int(rng.integers(1, 60))
    return Episode(
        id=f"demo_{number}",
        obs={
            "state": rng.normal(size=(steps, 3)).astype(np.float32),
            "camera": rng.integers(0, 256, (steps, 8, 8, 3), np.uint8),
        },
        action=rng.normal(size=(steps, 2)).astype(np.float32),
        success=bool(number % 2),
        metadata={"seed": number},
    )


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def append_for_ever(path: str, number: int) -> None:
    with DemoStore.open(path) as store:
        say("ready")
        while True:
            store.append(episode(number))
            say("done", number)
            number += 1


def main() -> None:
    for line in sys.stdin:
        path, first = line.split()
        child = os.fork()
        if child == 0:
            try:
                append_for_ever(path, int(first))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        say("pid", child)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
