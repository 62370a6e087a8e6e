"""What workers answer: taken with a time limit, and their death or silence told in one line."""

import time
from types import ModuleType
from typing import Any

from imitate.cluster.config import ClusterConfig
from imitate.cluster.pulse import Pulse
from imitate.errors import ClusterError


def taken(ray: ModuleType, config: ClusterConfig, asked: Any, work: str, advice: str) -> Any:
    """What `asked` (an object of Ray, or several) holds.

    Raises ClusterError where the worker raised, or where it died again and again over `work`; what to do
    where memory ran out is `advice`.
    """
    try:
        return ray.get(asked, timeout=config.timeout_s)
    except ray.exceptions.RayTaskError as error:
        raise ClusterError(f"a worker failed: {type(error.cause).__name__}: {error.cause}") from error
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"a worker died {config.restarts + 1} times over {work} ({type(error).__name__}); if memory ran "
            f"out, {advice}"
        ) from error


def require_alive(felt: Pulse, config: ClusterConfig, heard: float, waiting: str) -> None:
    """Raise ClusterError where Ray is lost, or nothing came since `heard` for as long as is borne.

    heard: of time.monotonic(). waiting: what there is to do.
    """
    felt.require()
    if time.monotonic() - heard > config.timeout_s:
        raise ClusterError(
            f"no worker finished anything for cluster.timeout_s={config.timeout_s:g} s ({waiting}): are "
            f"{config.cpus:g} CPUs and {config.gpus:g} GPUs per worker there at all?"
        )
