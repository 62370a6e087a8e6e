"""Foreign formats of demonstrations, one module each: whatever has a FORMAT here is known.

Such a module reads light: what it needs from an extra is imported inside its functions.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from imitate.datasets.episode_store import EpisodeStore
from imitate.errors import ConfigError, nearest
from imitate.progress import Progress
from imitate.types import DataSpec, Episode


class Foreign(Protocol):
    """Demonstrations that can be imported: read in order, one at a time."""

    @property
    def spec(self) -> DataSpec:
        """What each step holds."""

    @property
    def source(self) -> str:
        """Where they come from."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """JSON values about all episodes together."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words, what the files hold and the episodes do not: known once all episodes were read."""

    def __len__(self) -> int:
        """Episodes that will come."""

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order; raises DataError naming the file and the episode that cannot be read."""


@dataclass(frozen=True)
class ReadOptions:
    """What a reader may need to be told besides where the files are.

    topics: a YAML that says which topics of a recorded bag are observations and actions.
    """

    topics: Path | None = None


PLAIN = ReadOptions()

Read = Callable[[Path, ReadOptions], Foreign]
Write = Callable[[EpisodeStore, Path, Progress], tuple[str, ...]]


@dataclass(frozen=True)
class Format:
    """A format: its name, whether a file or folder has it, and how to read and write it.

    key: the name on the command line. recognises: by content, cheaply; False for all else, and never an
    error. read: raises DataError where the files are damaged. write: makes a new file or folder and says what
    of the store it could not carry over; None where nobody needs it written.
    """

    key: str
    title: str
    recognises: Callable[[Path], bool]
    read: Read
    write: Write | None = None


@cache
def formats() -> tuple[Format, ...]:
    """All formats there are, by key."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    return tuple(sorted((m.FORMAT for m in modules if hasattr(m, "FORMAT")), key=lambda found: found.key))


def format_of(path: Path) -> Format | None:
    """The format of the file or folder at `path`; None where none recognises it."""
    return next((found for found in formats() if found.recognises(path)), None)


def writable(key: str) -> Format:
    """The format named `key`, which can be written; raises ConfigError with the nearest names."""
    known = {found.key: found for found in formats() if found.write}
    if key not in known:
        raise ConfigError(f"format is {key!r}{nearest(key, [*known, 'imitate'])}")
    return known[key]
