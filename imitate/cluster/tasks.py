"""Work in pieces: Ray runs them, replaces workers that die, and every result is taken exactly once."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from imitate.cluster.answers import require_alive, taken
from imitate.cluster.config import ClusterConfig
from imitate.cluster.pulse import pulse
from imitate.errors import ClusterError, ImitateError

LOOK_EVERY_S = 1.0


def results(
    ray: ModuleType,
    config: ClusterConfig,
    work: Callable[..., Any],
    pieces: Sequence[Any],
    *shared: Any,
    instead: Callable[[Any, ClusterError], Any] | None = None,
) -> Iterator[tuple[int, Any]]:
    """(number, work(piece, *shared)) of every piece, in the order in which they are done.

    `work` is a function of a module that workers can import; `shared` is sent to each machine once. A worker
    that dies is replaced, and its piece done again, `config.restarts` times; where a machine is lost, all
    that is not done is given out anew. `instead`(piece, error) is the result of one whose workers keep dying,
    where given. Raises what `work` raises of ImitateError, and ClusterError where
    workers keep dying, the head is lost, or nothing is done for `config.timeout_s`.
    """
    task = ray.remote(_told).options(
        num_cpus=config.cpus, num_gpus=config.gpus, max_retries=config.restarts, retry_exceptions=False
    )
    sent = [ray.put(item) for item in shared]

    def given_out(numbers: Iterable[int]) -> dict[Any, int]:
        return {task.remote(work, pieces[number], *sent): number for number in numbers}

    number_of, heard, lost = given_out(range(len(pieces))), time.monotonic(), 0
    with pulse(ray) as felt:
        try:
            while number_of:
                done, _ = ray.wait(list(number_of), num_returns=1, timeout=LOOK_EVERY_S)
                for ref in done:
                    number = number_of.pop(ref)
                    try:
                        found = _taken(ray, config, ref)
                    except ClusterError as error:
                        if instead is None:
                            raise
                        felt.require()
                        found = instead(pieces[number], error)
                    yield number, found
                    heard = time.monotonic()
                if not done:
                    require_alive(felt, config, heard, f"{len(number_of)} pieces are left")
                if not done and felt.machines_lost > lost:
                    # Where the network is cut, Ray waits for the workers of a lost machine for seven minutes.
                    lost = felt.machines_lost
                    _cancel(ray, number_of)
                    number_of = given_out(number_of.values())
        finally:
            if not felt.is_lost:
                _cancel(ray, number_of)


def _cancel(ray: ModuleType, refs: Iterable[Any]) -> None:
    for ref in refs:
        ray.cancel(ref, force=True)


def _told(work: Callable[..., Any], piece: Any, *shared: Any) -> Any:
    """In the worker: what `work` gives, or its error as a value, so that Ray adds no traceback to it."""
    try:
        return work(piece, *shared)
    except ImitateError as error:
        return error


def _taken(ray: ModuleType, config: ClusterConfig, ref: Any) -> Any:
    result = taken(ray, config, ref, "the same work", "use fewer cluster.workers")
    if isinstance(result, ImitateError):
        raise result
    return result
