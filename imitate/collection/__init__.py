"""Collecting demonstrations from the scripted expert of an environment.

Everything random in a demonstration is drawn from its seed, so a collection depends on its recipe and its
seeds alone: not on the number of workers, nor on interruptions.
"""

from imitate.collection.collect import Collected, collect
from imitate.collection.demonstrate import Recipe, demonstrate

__all__ = ["Collected", "Recipe", "collect", "demonstrate"]
