"""What the benchmarks say while they work, and commands that they run in processes of their own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def say(text: str) -> None:
    """A line for whoever waits; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def imitate(*words: str, threads: int = 0) -> None:
    """`imitate WORDS` with so many `threads` (0: as it likes); where it fails, the script ends."""
    say("imitate " + shlex.join(words))
    env = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    if subprocess.run([sys.executable, "-m", "imitate", *words], cwd=ROOT, env=env, check=False).returncode:
        sys.exit(f"failed: imitate {shlex.join(words)}\nThe same command of this script goes on from here.")
