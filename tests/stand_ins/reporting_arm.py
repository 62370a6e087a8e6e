"""A robot in a process of its own that reports as JSON on its stdout when it ends."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which waits until somebody commands it; killed at the end where it still runs."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def said(child: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process reports at its end; until its stdin ends it waits for all its states."""
    assert child.stdout is not None
    found: dict[str, Any] = json.loads(child.stdout.read())
    return found
