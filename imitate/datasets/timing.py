"""How evenly the steps of an episode came: what an importer knows, and a store of even steps does not."""

from typing import Any

import numpy as np

GAP_PERIODS = 1.5
"""An interval longer than this many control periods is a gap: a step is missing, or came late."""

LISTED = 100

KEY = "timing"
"""Of an episode's metadata: where an importer puts what `timing` gives."""


def timing(stamps_s: np.ndarray, rate_hz: float | None = None) -> dict[str, Any]:
    """Facts about the time stamps (T,) in s of an episode's steps, as JSON values.

    rate_hz: of the median interval. jitter_s: root mean square of the intervals that are no gaps about the
    nominal period (of `rate_hz` where it is given, else the median). gaps: [[step, seconds], …], the steps
    after which more than GAP_PERIODS periods passed, the longest first and at most LISTED; gap_count: of all.
    backwards: intervals that are not positive. Empty for fewer than two stamps, or where one is not finite.
    """
    intervals = np.diff(np.asarray(stamps_s, np.float64))
    if not len(intervals) or not np.isfinite(intervals).all():
        return {}
    median = float(np.median(intervals))
    period = 1.0 / rate_hz if rate_hz else median
    late = np.flatnonzero(intervals > GAP_PERIODS * period) if period > 0 else np.array([], int)
    even = np.delete(intervals, late)
    longest = late[np.argsort(-intervals[late], kind="stable")][:LISTED]
    return {
        "rate_hz": 1.0 / median if median >= np.finfo(np.float64).tiny else None,
        "jitter_s": float(np.sqrt(np.mean((even - period) ** 2))) if len(even) else 0.0,
        "gaps": [[int(step), float(intervals[step])] for step in longest],
        "gap_count": len(late),
        "backwards": int((intervals <= 0).sum()),
    }
