"""How near a demonstration stays to those that are known to have succeeded."""

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from imitate.datasets.quality.frames import Frames

MAX_REFERENCE = 50_000
EXAMINED_PER_EPISODE = 200


def distance_to_success(frames: Frames, success: Sequence[bool | None]) -> np.ndarray:
    """Mean distance of each episode's states to the nearest state of other, successful episodes, (E,).

    In standard deviations, root mean square over dimensions, float64; larger means farther from success.
    `success` (E,) is None where nobody judged. The baseline called success similarity in CUPID
    (arXiv 2506.19121), on standardised states. At most 200 steps of an episode are examined, against at most
    50,000 steps of successful ones, evenly spaced. NaN where no other episode is known to have succeeded, or
    the state never changes.
    """
    episodes = len(frames.lengths)
    found = np.full(episodes, np.nan)
    successes = [i for i in range(episodes) if success[i]]
    if not successes or not frames.state.shape[1]:
        return found
    share = max(1, MAX_REFERENCE // len(successes))
    parts = [_spread(frames, i, share) for i in successes]
    ends = np.cumsum([len(part) for part in parts])
    own = {i: (int(end) - len(part), int(end)) for i, part, end in zip(successes, parts, ends, strict=True)}
    index = faiss.IndexFlatL2(frames.state.shape[1])
    index.add(np.ascontiguousarray(frames.state[np.concatenate(parts)]))
    for i in range(episodes):
        low, high = own.get(i, (0, 0))
        if high - low < index.ntotal:
            found[i] = _mean_distance(
                index, frames.state[_spread(frames, i, EXAMINED_PER_EPISODE)], low, high
            )
    return found


def _spread(frames: Frames, episode: int, count: int) -> np.ndarray:
    """At most `count` rows of an episode, evenly spaced."""
    rows = frames.rows(episode)
    length = rows.stop - rows.start
    return rows.start + np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int))


def _mean_distance(index: faiss.IndexFlatL2, states: np.ndarray, low: int, high: int) -> float:
    """From `states` (T, F) to the nearest row of `index` each, rows low … high - 1 left out."""
    others = faiss.IDSelectorNot(faiss.IDSelectorRange(low, high))
    chosen: Any = faiss.SearchParameters()
    chosen.sel = others
    squared, _ = index.search(np.ascontiguousarray(states), 1, params=chosen)
    return float(np.mean(np.sqrt(np.maximum(squared[:, 0], 0.0) / states.shape[1], dtype=np.float64)))
