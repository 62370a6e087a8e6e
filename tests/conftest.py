"""Modules in tests/stand_ins are importable by name here and, since sys.path is passed on, in workers."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "stand_ins"))

# Property tests judge results, not how busy the machine is.
settings.register_profile("imitate", deadline=None)
settings.load_profile("imitate")

# A shell starts background jobs with Ctrl-C ignored, and what they start inherits that; tests that press
# Ctrl-C need commands that hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One headless browser for the tests of a file."""
    from browser import Browser

    with Browser() as opened:
        yield opened
