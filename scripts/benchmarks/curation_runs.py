"""What the parts of the curation benchmark share: trainings that are not done twice, rows, intervals."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from policy_cost import device

from imitate.cli.console import progress_for_stderr
from imitate.config import compose
from imitate.evaluation.statistics import PairedRates

EVAL_SEED = 100_000
Outcome = dict[str, Any]
"""Of an episode: "success" and "score", and what else rollout.json says of it."""


def run_folder(chosen: argparse.Namespace, path: Path) -> Path:
    """Where the policies trained on the set `path` with these settings go."""
    return path.with_suffix("") / "-".join([chosen.policy, f"{chosen.steps}x{chosen.batch}", *chosen.set])


def trained(
    chosen: argparse.Namespace, env: str, seed: int, path: Path, keep: Path | None, run: Path
) -> list[Outcome]:
    """The episodes played after training `run` on the set `path`, unless they are there."""
    result = run / f"rollout-{chosen.episodes}" / "rollout.json"
    if not result.exists():
        imitate(
            "train",
            f"policy={chosen.policy}",
            f"env={env}",
            f"data.path={path}",
            f"data.keep={keep or 'null'}",
            f"out={run}",
            f"train.seed={seed}",
            "train.max_minutes=null",
            f"train.max_steps={chosen.steps}",
            f"train.batch_size={chosen.batch}",
            "train.evaluations=0",
            *chosen.set,
            *(["resume=true"] if (run / "last.safetensors").exists() else []),
        )
        imitate(
            "rollout",
            f"checkpoint={run}",
            f"episodes={chosen.episodes}",
            f"seed={EVAL_SEED + 1000 * seed}",
            "videos=0",
            # In this process: another would take longer to start than these episodes take.
            "rollout.workers=0",
            f"out={result.parent}",
        )
    episodes: list[Outcome] = json.loads(result.read_text())["episodes"]
    return episodes


def imitate(verb: str, *settings: str) -> None:
    """`imitate VERB SETTINGS` in this process, which saves starting another."""
    with redirect_stdout(sys.stderr):
        compose(verb, list(settings)).run(progress_for_stderr())


def wins(outcomes: Sequence[Outcome]) -> list[bool]:
    return [bool(episode["success"]) for episode in outcomes]


def difference(won: list[bool], other: list[bool]) -> str:
    """Of two policies on the same episodes, with its interval."""
    pairs = PairedRates.count(other, won)
    low, high = pairs.interval()
    return f"{pairs.difference:+.3f} [{low:+.3f}, {high:+.3f}]"


def row(name: str, value: float, unit: str, baseline: float) -> dict[str, Any]:
    ratio = value / baseline if baseline else None
    command = shlex.join(["scripts/benchmarks/curation", *sys.argv[1:]])
    return {"name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio} | {
        "command": command,
        "device": device(),
    }
