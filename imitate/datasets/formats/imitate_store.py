"""A store of our own, to copy it, or a view, to make a store of it."""

from pathlib import Path

from imitate.datasets.formats import Format
from imitate.datasets.formats.replay_buffer import read_replay_buffer
from imitate.datasets.opening import holds_our_store
from imitate.datasets.views.view_file import is_view


def _is_ours(path: Path) -> bool:
    return holds_our_store(path) or is_view(path)


FORMAT = Format("imitate", "imitate store", _is_ours, read_replay_buffer)
