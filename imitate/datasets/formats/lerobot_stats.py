"""Statistics as LeRobot keeps them per episode and for the whole dataset, which its policies normalise with.

min, max, mean, std, count, and the quantiles q01, q10, q50, q90, q99: per element of the last axis; per
channel of an image, (3, 1, 1) in 0..1, from a sample of frames.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Stats = dict[str, np.ndarray]

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_MOST_IMAGES, _MOST_PIXELS_ALONG_A_SIDE = 100, 150


def vector_stats(rows: np.ndarray) -> Stats:
    """Of (T, …, n): every statistic of shape (n,), over all axes but the last; count (1,) is T.

    Whole numbers and truth values keep extremes of their own type.
    """
    steps, rows = len(rows), rows.reshape(-1, rows.shape[-1])
    values = rows.astype(np.float64)
    extremes = rows if rows.dtype.kind in "biu" else values
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": extremes.min(axis=0),
        "max": extremes.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([steps]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def image_stats(images: np.ndarray) -> Stats:
    """Of (T, H, W, 3) uint8: every statistic of shape (3, 1, 1) in 0..1; count is of the sampled frames."""
    picked = np.unique(np.linspace(0, len(images) - 1, min(len(images), _MOST_IMAGES)).astype(int))
    step = max(1, min(images.shape[1:3]) // _MOST_PIXELS_ALONG_A_SIDE)
    pixels = images[picked, ::step, ::step].reshape(-1, 3)
    counts = np.stack([np.bincount(pixels[:, channel], minlength=256) for channel in range(3)])
    found = _of_histogram(counts)
    stats = {key: value.reshape(3, 1, 1) / 255.0 for key, value in found.items()}
    return {**stats, "count": np.array([len(picked)])}


def _of_histogram(counts: np.ndarray) -> Stats:
    """Of how often (3, 256) each level stands in each channel."""
    levels, total = np.arange(256), counts.sum(axis=1)
    mean = counts @ levels / total
    reached = np.cumsum(counts, axis=1) / total[:, None]
    return {
        "min": np.argmax(counts > 0, axis=1).astype(np.float64),
        "max": 255.0 - np.argmax(counts[:, ::-1] > 0, axis=1),
        "mean": mean,
        "std": np.sqrt(np.maximum(0.0, counts @ levels**2 / total - mean**2)),
        **{key: np.argmax(reached >= q, axis=1).astype(np.float64) for key, q in QUANTILES.items()},
    }


def together(parts: Sequence[Stats]) -> Stats:
    """Statistics of several episodes as one, weighted by count.

    As LeRobot does it, quantiles are the mean of the episodes' own: exact ones would need all data at once.
    """
    counts = np.array([part["count"][0] for part in parts], np.float64)
    weights = counts / counts.sum()

    def mean_of(values: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.tensordot(weights, np.stack(values), axes=1))

    mean = mean_of([part["mean"] for part in parts])
    variance = mean_of([part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts])
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
        **{key: mean_of([part[key] for part in parts]) for key in QUANTILES},
    }


def as_json(stats: Mapping[str, Stats]) -> dict[str, dict[str, object]]:
    """Plain lists, as stats.json holds them."""
    return {key: {name: value.tolist() for name, value in found.items()} for key, found in stats.items()}
