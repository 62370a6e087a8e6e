"""Which evaluation travels with an export: one of the same weights and settings, or none."""

import json
from pathlib import Path

import pytest
from small_exports import saved

from imitate.checkpoint import LoadedPolicy, checkpoint_hash
from imitate.errors import DataError
from imitate.export.evidence import find_evaluation
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedPolicy:
    config = BehaviourCloningConfig(Horizons(1, 4, 4), width=4, layers=1)
    return saved(config.build(SPEC), config, tmp_path / "run")


def evaluation(path: Path, loaded: LoadedPolicy, wins: int = 3, **changes: object) -> Path:
    """A rollout.json of four episodes."""
    origin = {"checkpoint_hash": checkpoint_hash(loaded.file), "policy": dict(loaded.info.policy), **changes}
    episodes = [
        {
            "seed": 100 + index, "success": index < wins, "score": 0.5, "length": 10, "total_reward": 1.0,
            "steps_to_success": 5 if index < wins else None,
        }
        for index in range(4)
    ]  # fmt: skip
    whole = {
        "episodes": episodes, "max_steps": 10, "rate_hz": 10.0, "score_name": "score", "timing": {},
        "success_definition": "it is there", "videos": [], "provenance": origin,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole))
    return path


def test_none_is_found_where_there_is_none(loaded: LoadedPolicy) -> None:
    assert find_evaluation(loaded, None) is None


def test_one_beside_the_checkpoint_or_in_a_folder_there_is_found(loaded: LoadedPolicy) -> None:
    evaluation(loaded.file.parent / "rollout" / "rollout.json", loaded)
    found = find_evaluation(loaded, None)
    assert found is not None
    assert (found["success_rate"], found["successes"], found["episodes"]) == (0.75, 3, 4)
    assert found["seeds"] == [100, 103] and found["interval"][0] < 0.75 < found["interval"][1]
    evaluation(loaded.file.parent / "rollout.json", loaded, wins=1)
    assert (find_evaluation(loaded, None) or {})["success_rate"] == 0.25


def test_one_of_other_weights_or_settings_is_no_evidence(loaded: LoadedPolicy, tmp_path: Path) -> None:
    other_steps = {**loaded.info.policy, "width": 5}
    for changes in ({"checkpoint_hash": "0" * 64}, {"policy": other_steps}):
        path = evaluation(loaded.file.parent / "rollout.json", loaded, **changes)
        assert find_evaluation(loaded, None) is None
        with pytest.raises(DataError, match="another checkpoint"):
            find_evaluation(loaded, str(path))
    own = evaluation(tmp_path / "mine.json", loaded)
    assert (find_evaluation(loaded, str(own)) or {})["episodes"] == 4
    (loaded.file.parent / "rollout.json").write_text("{")
    assert find_evaluation(loaded, None) is None
