"""Demonstrations of many seeds in the order of the seeds, made here or by worker processes."""

import itertools
import multiprocessing
import signal
import traceback
from collections.abc import Collection, Generator, Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from typing import Any

from imitate.collection.demonstrate import Recipe, demonstrate
from imitate.errors import EnvError, ImitateError
from imitate.types import Episode


def attempts(
    recipe: Recipe, seed: int, skip: Collection[int], workers: int
) -> Generator[Episode, None, None]:
    """Endless episodes of seed, seed + 1, … without those to `skip`; 0 workers: made in this process.

    Close the generator to stop the workers. Worker w makes every workers-th episode, so the order is known
    beforehand and nobody has to hand out work.
    """
    if workers == 0:
        yield from _made(recipe, _seeds(seed, skip))
        return
    with ExitStack() as stack:
        pipes = [_start(stack, recipe, seed, frozenset(skip), number, workers) for number in range(workers)]
        for pipe in itertools.cycle(pipes):
            yield _received(pipe)


def _seeds(seed: int, skip: Collection[int]) -> Iterator[int]:
    return (s for s in itertools.count(seed) if s not in skip)


def _made(recipe: Recipe, seeds: Iterator[int]) -> Iterator[Episode]:
    with closing(recipe.env.build()) as env:
        for seed in seeds:
            yield demonstrate(env, recipe, seed)


def _start(
    stack: ExitStack, recipe: Recipe, seed: int, skip: frozenset[int], number: int, workers: int
) -> Connection:
    # Never a copy of this process with its threads and locks.
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, recipe, seed, skip, number, workers), daemon=True)
    process.start()
    theirs.close()
    # Ended before its pipe is closed, of which it would complain.
    stack.callback(ours.close)
    stack.callback(process.join)
    stack.callback(process.terminate)
    return ours


def _work(
    pipe: Connection, recipe: Recipe, seed: int, skip: frozenset[int], number: int, workers: int
) -> None:
    """The life of a worker: make and send, until the pipe is closed."""
    # A Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for episode in _made(recipe, itertools.islice(_seeds(seed, skip), number, None, workers)):
            pipe.send(episode)
    except (BrokenPipeError, EOFError):
        return
    except ImitateError as error:
        pipe.send(error)
    except Exception as error:
        told = EnvError(f"a worker failed: {type(error).__name__}: {error}")
        told.add_note(traceback.format_exc())
        pipe.send(told)


def _received(pipe: Connection) -> Episode:
    try:
        found = pipe.recv()
    except (EOFError, OSError):
        raise EnvError("a worker died; if memory ran out, use fewer workers") from None
    if isinstance(found, ImitateError):
        raise found
    assert isinstance(found, Episode)
    return found
