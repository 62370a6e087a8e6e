"""What to say of files and folders that are in no format, and what such a folder holds that is in one."""

import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from imitate.datasets.formats import format_of
from imitate.datasets.mixture_file import is_mixture
from imitate.datasets.views.view_file import is_view
from imitate.errors import DataError, ImitateError

DEEPEST, MOST_ENTRIES, MOST_NAMED = 4, 1000, 5
"""Folders one within the other, files and folders that are looked at, and what is named of those found."""


def may_be_store(path: Path) -> bool:
    """Whether what no format recognises is a mixture, or looks like a store that is incomplete or damaged."""
    if path.is_dir():
        return any((path / part).is_dir() for part in ("data", "meta"))
    return path.suffix == ".zip" or zipfile.is_zipfile(path) or is_view(path) or is_mixture(path)


def unknown(path: Path) -> DataError:
    """The answer to what no format recognises; of a folder, what is in it that can be imported."""
    if not path.is_dir():
        return DataError(f"{path} is in no known format; see docs/formats.md for what can be read")
    found = [
        f"{inside.relative_to(path)} ({title})" for inside, title in islice(_within(path), MOST_NAMED + 1)
    ]
    if not found:
        beside = sorted(child.name for child in path.iterdir())
        held = f"it holds {', '.join(beside[:MOST_NAMED])}" if beside else "it is empty"
        more = f" and {len(beside) - MOST_NAMED} more" if len(beside) > MOST_NAMED else ""
        return DataError(
            f"{path} is a folder of no known format, nor is anything in it: {held}{more}; "
            f"see docs/formats.md for what can be read"
        )
    more = ", …" if len(found) > MOST_NAMED else ""
    return DataError(
        f"{path} is a folder of no known format, but what it holds can be imported: "
        f"{', '.join(found[:MOST_NAMED])}{more}; name one of them"
    )


def _within(path: Path) -> Iterator[tuple[Path, str]]:
    """What can be imported below `path`, with its title, the nearest first; links are not followed."""
    level, looked = [path], 0
    for _ in range(DEEPEST):
        below: list[Path] = []
        for folder in level:
            for child in _children(folder):
                looked += 1
                if looked > MOST_ENTRIES:
                    return
                if title := _title(child):
                    yield child, title
                elif child.is_dir():
                    below.append(child)
        level = below


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.name[0] != "." and not child.is_symlink())
    except OSError:
        return []


def _title(path: Path) -> str:
    try:
        found = format_of(path)
    except (ImitateError, OSError):  # An extra that is not installed, a file that must not be read.
        return ""
    return found.title if found else ""
