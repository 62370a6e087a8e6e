"""The benchmarks as a person runs them, in a process of their own."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "scripts/benchmarks"


def run(name: str, *words: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    """`scripts/benchmarks/NAME WORDS` with what it said; raises TimeoutExpired after `timeout_s`."""
    command = [sys.executable, str(BENCHMARKS / name), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
