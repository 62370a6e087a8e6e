"""A store of our own, to copy it."""

from imitate.datasets.formats import Format
from imitate.datasets.formats.replay_buffer import read_replay_buffer
from imitate.datasets.opening import holds_our_store

FORMAT = Format("imitate", "imitate store", holds_our_store, read_replay_buffer)
