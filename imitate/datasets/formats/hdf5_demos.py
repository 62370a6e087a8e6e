"""Demonstrations in the groups of an HDF5 file, as robosuite, robomimic and Minari keep them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from imitate.datasets.formats.hdf5_files import damage_told, opened
from imitate.types import DataSpec, Episode


@dataclass(frozen=True)
class DemoFile(ABC):
    """What a file holds; `left_out` says in words what `episodes` does not deliver."""

    GROUP: ClassVar[str] = "data/"
    """What comes before the names of the demonstrations in the file."""
    path: Path
    spec: DataSpec
    source: str
    metadata: dict[str, Any]
    demos: tuple[str, ...]
    left_out: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.demos)

    def episodes(self) -> Iterator[Episode]:
        """All demonstrations by number; raises DataError naming the one that is damaged or different."""
        with opened(self.path) as file:
            for name in self.demos:
                group = f"{self.GROUP}{name}"
                with damage_told(f"{self.path}: {group}"):
                    episode = self.episode(file[group], name)
                yield episode

    @abstractmethod
    def episode(self, demo: Any, name: str) -> Episode:
        """The demonstration in the group `demo`; raises SpecError where it differs from the first one."""
