"""How good the policy was found to be: the evaluation that travels with an export."""

import json
from collections.abc import Mapping
from typing import Any

from imitate.checkpoint import LoadedPolicy, checkpoint_hash
from imitate.errors import DataError
from imitate.evaluation.result import FILE_NAME, RolloutResult, load


def find_evaluation(loaded: LoadedPolicy, given: str | None) -> dict[str, Any] | None:
    """The evaluation in the file `given`, or one beside the checkpoint; None where there is none of it.

    Raises DataError where `given` is no evaluation, or one of another checkpoint.
    """
    if given is not None:
        result = load(given)
        if not _is_of(result, loaded):
            raise DataError(
                f"evaluation={given} is of another checkpoint than {loaded.file}, or of other settings of it"
            )
        return summary(result)
    folder = loaded.file.parent
    for path in (folder / FILE_NAME, *sorted(folder.glob(f"*/{FILE_NAME}"))):
        try:
            result = load(path)
        except DataError:
            continue
        if _is_of(result, loaded):
            return summary(result)
    return None


def _is_of(result: RolloutResult, loaded: LoadedPolicy) -> bool:
    """Whether `result` is of this checkpoint, acting with the settings that are exported."""
    known = result.provenance
    same_weights = known.get("checkpoint_hash") == checkpoint_hash(loaded.file)
    return same_weights and json.loads(json.dumps(loaded.info.policy)) == known.get("policy")


def summary(result: RolloutResult) -> dict[str, Any]:
    """What a person must know of an evaluation to believe it or repeat it."""
    seeds = [episode.seed for episode in result.episodes]
    kept = ("env", "rollout", "policy", "versions", "device", "commit", "date", "command")
    known: Mapping[str, Any] = result.provenance
    return {
        "success_rate": result.success_rate,
        "interval": list(result.interval),
        "successes": result.successes,
        "episodes": len(seeds),
        "seeds": [min(seeds), max(seeds)],
        "success_definition": result.success_definition,
        "mean_score": result.mean_score,
        "score_interval": list(result.score_interval),
        "score_name": result.score_name,
        "provenance": {key: known[key] for key in kept if key in known},
    }
