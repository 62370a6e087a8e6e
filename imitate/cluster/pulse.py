"""Whether the head of a cluster and this machine's part of it are still there: asked again and again.

Ray itself ends the process of a command, without a word, a minute after its head is gone and some seconds
after the raylet of its machine is; other questions it never answers.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from imitate.cluster.session import head, listens, raylet
from imitate.errors import ClusterError

ASK_EVERY_S = 3.0
UNREACHED_S = 20.0
"""How long the head may be out of reach, as while a cable is plugged in again; Ray bears it for a minute."""
SILENT_S = 60.0
"""How long the head may take to say which machines there are."""


class Pulse:
    """The head (`gcs_server`) and this machine's `raylet` of a connected Ray.

    Both must accept connections, and the head answer questions besides. is_lost: `require` has raised.
    machines_lost: how many machines the head has given up, since this began.
    """

    def __init__(self, ray: ModuleType) -> None:
        self._ray, self._head, self._here = ray, head(ray), raylet(ray)
        self._reached = self._answered = time.monotonic()
        self.is_lost, self.machines_lost = False, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raise ClusterError where the head, or Ray's part on this machine, is gone."""
        trouble = self._trouble()
        if trouble:
            self.is_lost = True
            raise ClusterError(trouble)

    def close(self) -> None:
        """Ask no more; a question that is never answered is left behind."""
        self._ended.set()
        self._thread.join(ASK_EVERY_S)

    def _trouble(self) -> str:
        named = "{}:{}".format(*self._head)
        if listens(self._here) is False:
            return "Ray's part on this machine (its raylet) is gone: start it again, and repeat the command"
        found = listens(self._head)
        if found is False:
            return f"the head of the Ray cluster is gone ({named}): start it again, and repeat the command"
        now = time.monotonic()
        self._reached = now if found else self._reached
        if now - self._reached > UNREACHED_S:
            return (
                f"the head of the Ray cluster is out of reach ({named}, for {UNREACHED_S:g} s): is the "
                "network up? Then repeat the command"
            )
        if now - self._answered > SILENT_S:
            return (
                f"the head of the Ray cluster hangs ({named} says nothing for {SILENT_S:g} s): start it "
                "again, and repeat the command"
            )
        return ""

    def _ask(self) -> None:
        seen: set[str] = set()
        while not self._ended.wait(ASK_EVERY_S):
            try:
                alive = {machine["NodeID"] for machine in self._ray.nodes() if machine["Alive"]}
            except Exception:  # of many kinds; a head that is gone is seen by its silence
                continue
            self._answered = time.monotonic()
            self.machines_lost += len(seen - alive)
            seen = alive


@contextmanager
def pulse(ray: ModuleType) -> Iterator[Pulse]:
    """The pulse of `ray`, felt while the block lasts."""
    felt = Pulse(ray)
    try:
        yield felt
    finally:
        felt.close()
