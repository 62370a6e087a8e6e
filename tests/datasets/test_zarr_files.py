"""Hostile headers and chunks in a store of our own get one line, and no room is made for them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import pytest

from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.errors import DataError


def header(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        file = path / name / ".zarray"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))

    return change


def deep(path: Path) -> None:
    (path / "data/state/.zarray").write_text("[" * 10**5)


def bomb(path: Path) -> None:
    (path / "data/state/0.0").write_bytes(numcodecs.Blosc("zstd", 1).encode(bytes(10**8)))


HOSTILE = {
    "many episodes": (
        header("meta/episode_ends", shape=[10**15], chunks=[1]),
        "meta/episode_ends/1 is missing",
    ),
    "giant chunks": (header("data/state", chunks=[10**13, 3]), r"data/state/0\.0 is damaged: it unpacks to"),
    "wide rows": (
        header("data/state", shape=[10**6, 10**15]),
        r"data/state/0\.1 is missing",
    ),
    "no chunk size": (header("data/state", chunks=[0, 3]), "expected rows of numbers"),
    "negative": (header("data/state", shape=[-5, 3]), "expected rows of numbers"),
    "fractions": (header("data/state", chunks=[2.5, 3]), "expected rows of numbers"),
    "nested": (deep, r"data/state/\.zarray is missing or damaged"),
    "bomb": (bomb, r"data/state/0\.0 is damaged: it unpacks to 100,000,000 bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_get_one_line(make_store: Callable[..., DemoStore], case: str) -> None:
    change, message = HOSTILE[case]
    path = make_store(3).path
    change(path)
    with pytest.raises(DataError, match=message) as raised:
        open_store(path)
    assert "\n" not in str(raised.value)
