"""Imports damaged samples in a process of its own, in little memory; prints what should not happen.

    python tests/stand_ins/damaged_imports.py FOLDER [KEY …] [--count 30] [--seed 0] [--seconds 600]

A line per problem: {"format": …, "case": {…}, "problem": …}. FOLDER/last.json names the case at work, should
the process die of it. With --seconds new cases are tried until the time is over.
"""

import argparse
import faulthandler
import json
import random
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from damage import KINDS, Damage, copy, listing
from format_samples import SAMPLES

from imitate.datasets.importing import import_file
from imitate.errors import ImitateError

MORE_MEMORY = 2 * 2**30
"""Address space that all imports together may take beyond what importing the valid samples took."""

LONGEST_S = 60.0


def problem(src: Path, case: Damage, folder: Path) -> str | None:
    """What is wrong with how the damaged copy of `src` is answered; None for nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    damaged = copy(src, folder)
    case.do(damaged)
    before = listing(folder)
    out = folder / "out.zarr"
    try:
        import_file(damaged, out)
    except ImitateError as error:
        if "\n" in str(error):
            return f"several lines: {str(error)!r}"
        if damaged.name not in str(error):
            return f"names no file: {error}"
        if out.exists():
            return f"left a store behind: {error}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:300]} in {place.filename}:{place.lineno}"
    shutil.rmtree(out, ignore_errors=True)
    if listing(folder) != before:
        return f"wrote beside the target: {sorted(set(listing(folder)) ^ set(before))[:5]}"
    return None


def random_case(rng: random.Random) -> Damage:
    return Damage(rng.choice(sorted(KINDS)), rng.randrange(1000), rng.random(), rng.randrange(1000))


def cases(keys: list[str], count: int, seed: int, seconds: float) -> Iterator[tuple[str, Damage]]:
    rng, end = random.Random(seed), time.monotonic() + seconds
    done = 0
    while done < count or time.monotonic() < end:
        for key in keys:
            yield key, random_case(rng)
        done += 1


def limit_memory() -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY, held + MORE_MEMORY))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("keys", nargs="*", default=sorted(SAMPLES))
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    told = parser.parse_args()
    for key in told.keys:
        (told.folder / key).mkdir(parents=True)
    samples = {key: SAMPLES[key](told.folder / key) for key in told.keys}
    for key, src in samples.items():
        import_file(src, told.folder / f"{key}.zarr")
    limit_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tried = 0
    for key, case in cases(told.keys, told.count, told.seed, told.seconds):
        (told.folder / "last.json").write_text(
            json.dumps({"format": key, "case": json.loads(case.to_json())})
        )
        # Libraries in C can loop for ever, and hear no signal then.
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        found = problem(samples[key], case, told.folder / "work")
        faulthandler.cancel_dump_traceback_later()
        tried += 1
        if found:
            line = {"format": key, "case": json.loads(case.to_json()), "problem": found}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    (told.folder / "last.json").unlink()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) // 1024
    sys.stdout.write(json.dumps({"tried": tried, "more_memory_mib": more}) + "\n")


if __name__ == "__main__":
    main()
