"""Single keys while a command runs, where there is a terminal to press them on."""

import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

POLL_S = 0.1


@contextmanager
def keys(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call the action of each key that is pressed while the context is open; yields whether anybody can.

    Actions run in a thread of their own. The terminal is as before afterwards.
    """
    if not sys.stdin.isatty():
        yield False
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    done = threading.Event()
    reader = threading.Thread(target=_read, args=(actions, done), name="keyboard", daemon=True)
    tty.setcbreak(terminal)
    reader.start()
    try:
        yield True
    finally:
        done.set()
        reader.join(timeout=1.0)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read(actions: Mapping[str, Callable[[], None]], done: threading.Event) -> None:
    while not done.is_set():
        ready, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if ready:
            actions.get(sys.stdin.read(1), _nothing)()


def _nothing() -> None:
    return None
