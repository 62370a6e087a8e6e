"""Plain arrays in NumPy's .npz: one file of one or many episodes, or a folder with one file per episode.

    action or actions (N, Da)      <any other name> (N, …)   an observation
    episode_ends (E,), or episode_lengths or traj_lengths (E,), or a flag of every step (N,): terminals,
    timeouts, dones, episode_starts; without any of them a file is one episode
    <any other name> (E, …)        what is known of each episode, e.g. success (E,)
    <any other name> ()            what is known of all; rate_hz or fps is the control rate

Files of D4RL (arXiv:2004.07219) are converted to these names with their flags. Memory does not grow with the
file, and pickled objects are refused.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.finite import first_unknown_step
from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.formats.npz_episodes import Layout, find_layout
from imitate.datasets.formats.npz_file import Member, NpzFile, Rows, holds_arrays, open_npz
from imitate.datasets.image_layout import ImageLayout, image_layout
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

ACTION = "action"


@dataclass(frozen=True)
class NpzDemos:
    """The episodes of one file, or of the files of a folder, which all have the same arrays."""

    path: Path
    files: tuple[tuple[NpzFile, Layout], ...]
    spec: DataSpec
    others: tuple[str, ...]

    @property
    def source(self) -> str:
        """Where they come from."""
        return self.path.name

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known of all episodes of a single file; in a folder each episode has its own."""
        return dict(self.files[0][1].common) if self.path.is_file() else {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """Arrays that are no action, observation or known fact, and files of another kind, each once."""
        said = dict.fromkeys(item for _, layout in self.files for item in layout.left_out)
        turned = dict.fromkeys(
            f"the images {member}: {image.said}"
            for _, layout in self.files
            for member in layout.arrays.values()
            if (image := _image_layout(member)) and image.said
        )
        return (*said, *turned, *(f"the file {name}" for name in self.others))

    def __len__(self) -> int:
        return sum(len(layout.lengths) for _, layout in self.files)

    def episodes(self) -> Iterator[Episode]:
        """All episodes in order, one in memory at a time; raises DataError naming file and array."""
        for file, layout in self.files:
            with ExitStack() as stack:
                rows = {key: stack.enter_context(file.rows(m)) for key, m in layout.arrays.items()}
                for index, steps in enumerate(layout.lengths):
                    arrays = {key: _array(reader, steps, index) for key, reader in rows.items()}
                    yield self._episode(file, layout, index, arrays)

    def _episode(self, file: NpzFile, layout: Layout, index: int, arrays: dict[str, np.ndarray]) -> Episode:
        name = f"episode_{index}"
        if self.path.is_dir():
            name = file.path.stem if len(layout.lengths) == 1 else f"{file.path.stem}_{index}"
        common = layout.common if self.path.is_dir() else {}
        return Episode(
            id=name,
            obs={key: array for key, array in arrays.items() if key != ACTION},
            action=arrays[ACTION],
            success=layout.success[index],
            source=file.path.name,
            rate_hz=self.spec.rate_hz,
            metadata={**common, **layout.facts[index]},
        )


def read_npz(path: Path, options: ReadOptions) -> NpzDemos:
    """Look at the headers of the file, or of all .npz files of the folder.

    Raises DataError where one is damaged, holds no action or no observations, or other arrays than the first.
    """
    inside = sorted(path.iterdir()) if path.is_dir() else []
    found = [file for file in inside if _is_npz(file)] if path.is_dir() else [path]
    opened = [open_npz(file) for file in found]
    files = tuple((file, find_layout(file)) for file in opened)
    specs = [_spec(layout) for _, layout in files]
    for (file, _), spec in zip(files, specs, strict=True):
        if spec != specs[0]:
            raise DataError(
                f"{file.path} holds {_words(spec)}, expected {_words(specs[0])} as {found[0].name}"
            )
    others = tuple(file.name for file in inside if file not in found)
    return NpzDemos(path, files, specs[0], others)


def _spec(layout: Layout) -> DataSpec:
    specs = {key: _array_spec(member) for key, member in layout.arrays.items()}
    return DataSpec({k: s for k, s in specs.items() if k != ACTION}, specs[ACTION], layout.rate_hz)


def _array_spec(member: Member) -> ArraySpec:
    layout = _image_layout(member)
    return ArraySpec(layout.shape if layout else member.row_shape, member.dtype.newbyteorder("=").name)


def _image_layout(member: Member) -> ImageLayout | None:
    return image_layout(member.row_shape) if member.dtype == np.uint8 else None


def _words(spec: DataSpec) -> str:
    arrays = {**spec.obs, ACTION: spec.action}
    rate = f" at {spec.rate_hz:g} Hz" if spec.rate_hz else ""
    return ", ".join(f"{key} {array.shape} {array.dtype}" for key, array in sorted(arrays.items())) + rate


def _array(rows: Rows, steps: int, index: int) -> np.ndarray:
    values = rows.read(steps)
    if (step := first_unknown_step(values)) is not None:
        raise DataError(
            f"{rows.where} holds NaN or infinity at step {step} of episode {index}; repair that episode"
        )
    layout = _image_layout(rows.member)
    return layout.deliver(values) if layout else values


def _is_npz(path: Path) -> bool:
    return path.is_file() and path.suffix == ".npz"


def _recognises(path: Path) -> bool:
    try:
        if path.is_file():
            return holds_arrays(path)
        return any(_is_npz(file) and holds_arrays(file) for file in path.iterdir())
    except OSError:
        return False


FORMAT = Format("npz", "NumPy npz", _recognises, read_npz)
