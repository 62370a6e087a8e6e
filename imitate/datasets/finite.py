"""Numbers that are none: NaN and infinity, which no importer may let in."""

import numpy as np


def first_unknown_step(values: np.ndarray) -> int | None:
    """The first of the steps (T, …) with a number that is not finite, None where all are."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return None
    return int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
