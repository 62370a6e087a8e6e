"""Diffusion Policy's replay buffers and stores of our own: both are opened as they are."""

from pathlib import Path

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import Format, ReadOptions
from imitate.datasets.opening import is_replay_buffer, open_store


def read_replay_buffer(path: Path, options: ReadOptions) -> EpisodeStore:
    """Open the folder or zip; raises DataError saying which part is missing or damaged."""
    return open_store(path)


FORMAT = Format("diffusion_policy", "zarr replay buffer", is_replay_buffer, read_replay_buffer)
