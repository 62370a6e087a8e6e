"""Data that a command cannot read."""

import pytest

from imitate.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], url: str) -> str:
    """What `imitate inspect` says, in one line, of data that it cannot read."""
    assert main(["inspect", f"data.path={url}"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and "Traceback" not in said
    return said
