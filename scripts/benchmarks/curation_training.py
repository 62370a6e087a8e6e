"""Success after training on everything, on what is recommended, on as many at random, and on the shortest."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from commands import say
from curation_runs import Outcome, difference, row, run_folder, trained, wins
from planted import env_of

from imitate.curation.measuring import measure
from imitate.curation.selection import keep_list
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.opening import open_store
from imitate.evaluation.statistics import mean_interval, wilson

ARMS = ("everything", "recommended", "random", "shortest")
Arm = tuple[str, str]
"""A task and one of ARMS."""


def training(
    chosen: argparse.Namespace, sets: Iterable[tuple[str, int, Path, np.ndarray]]
) -> list[dict[str, Any]]:
    """Success after training on each choice of demonstrations, with the same gradient steps."""
    played: dict[Arm, list[list[Outcome]]] = {}
    sizes: dict[Arm, list[int]] = {}
    for task, seed, path, _ in sets:
        kept = _keep_lists(path, seed)
        for arm in ARMS:
            run = run_folder(chosen, path) / arm
            outcomes = trained(chosen, env_of(task), seed, path, _list_of(path, arm), run)
            say(f"{task}, seed {seed}, trained on {arm}: {np.mean(wins(outcomes)):.2f}")
            played.setdefault((task, arm), []).append(outcomes)
            sizes.setdefault((task, arm), []).append(kept[arm])
    return [*_successes(played, sizes), *_scores(played)]


def _keep_lists(path: Path, seed: int) -> dict[str, int]:
    """Write the keep-list of every arm beside the set; how many episodes each keeps."""
    counted = path.with_suffix(".arms.json")
    if counted.exists():
        found: dict[str, int] = json.loads(counted.read_text())
        return found
    with open_store(str(path)) as store:
        measured = measure(store)
        entries = {"recommended": keep_list(measured, "recommended", None, seed)}
        share = sum(entry["keep"] for entry in entries["recommended"]) / len(entries["recommended"])
        entries["everything"] = keep_list(measured, "everything", None, seed)
        for arm in ("random", "shortest"):
            entries[arm] = keep_list(measured, arm, share, seed)
        for arm, listed in entries.items():
            write_keep_list(_list_of(path, arm), listed, store.content_hash(), {"method": arm})
    sizes = {arm: sum(entry["keep"] for entry in listed) for arm, listed in entries.items()}
    counted.write_text(json.dumps(sizes))
    return sizes


def _list_of(path: Path, arm: str) -> Path:
    return path.with_suffix(f".{arm}.json")


def _successes(played: dict[Arm, list[list[Outcome]]], sizes: dict[Arm, list[int]]) -> list[dict[str, Any]]:
    print("\n| task | trained on | kept | success | by set | minus everything | minus random |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    won = {arm: [w for outcomes in each for w in wins(outcomes)] for arm, each in played.items()}
    for (task, arm), mine in won.items():
        low, high = wilson(sum(mine), len(mine))
        by_set = " ".join(f"{np.mean(wins(outcomes)):.2f}" for outcomes in played[task, arm])
        minus = [difference(mine, won[task, o]) if o != arm else "" for o in ("everything", "random")]
        print(
            f"| {task} | {arm} | {'/'.join(map(str, sizes[task, arm]))} | {np.mean(mine):.3f} "
            f"[{low:.3f}, {high:.3f}] | {by_set} | " + " | ".join(minus) + " |"
        )
        baseline = float(np.mean(won[task, "everything"]))
        rows.append(row(f"{task}: success after training on {arm}", float(np.mean(mine)), "share", baseline))
    return rows


def _scores(played: dict[Arm, list[list[Outcome]]]) -> list[dict[str, Any]]:
    """The same in scores, where these say more than success."""
    scores = {arm: np.array([e["score"] for one in each for e in one], float) for arm, each in played.items()}
    told = {task for task, _ in scores if any(set(scores[task, arm]) - {0.0, 1.0} for arm in ARMS)}
    if not told:
        return []
    print("\n| task | trained on | score | by set | minus everything | minus random |")
    print("|---|---|---|---|---|---|")
    rows = []
    for (task, arm), mine in scores.items():
        if task not in told:
            continue
        by_set = " ".join(f"{part.mean():.2f}" for part in np.array_split(mine, len(played[task, arm])))
        minus = [_apart(mine, scores[task, o]) if o != arm else "" for o in ("everything", "random")]
        low, high = mean_interval(mine.tolist())
        print(
            f"| {task} | {arm} | {mine.mean():.3f} [{low:.3f}, {high:.3f}] | {by_set} | "
            + " | ".join(minus)
            + " |"
        )
        baseline = float(scores[task, "everything"].mean())
        rows.append(row(f"{task}: score after training on {arm}", float(mine.mean()), "score", baseline))
    return rows


def _apart(mine: np.ndarray, other: np.ndarray) -> str:
    """The mean difference on the same episodes, with its bootstrap interval."""
    low, high = mean_interval((mine - other).tolist())
    return f"{(mine - other).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
