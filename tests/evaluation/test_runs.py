"""Runs are found, named, grouped by training seed and by environment; what is not there is said."""

import json
from pathlib import Path

import pytest
from sample_runs import FIRST, run

from imitate.errors import ConfigError, DataError
from imitate.evaluation.runs import arenas, labels, read_entries, seed_groups
from imitate.progress import SILENT

OTHER_ENV = {"_target_": "imitate.envs.metaworld.MetaWorldConfig", "task": "push-v3"}


def entries(*paths: Path):
    return read_entries([str(path) for path in paths], SILENT)


def test_a_run_folder_stands_for_all_its_rollouts(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "ssl")
    run(a, "lll", rollout="rollout_noise")
    b = run(tmp_path / "b", "sss")
    found = entries(a, b)
    assert [entry.label for entry in found] == ["a", "a/rollout_noise", "b"]
    assert [entry.result.successes for entry in found] == [2, 0, 3]
    assert [entry.number for entry in found] == [0, 1, 2]
    assert found[0].training is not None and found[0].training.minutes == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["x/a/rollout", "x/b/rollout"], ["a", "b"]),
        (["x/a/rollout", "x/a/noise"], ["a", "a/noise"]),
        (["x/a", "x/a/noise"], ["a", "a/noise"]),
        (["x/a/rollout"], ["a"]),
        (["x/a/rollout", "x/a"], ["a/rollout", "a"]),
        (["p/a/rollout", "q/a/rollout"], ["p/a", "q/a"]),
    ],
)
def test_labels_are_short_and_different(folders: list[str], expected: list[str]) -> None:
    assert labels([Path("/root") / folder for folder in folders]) == expected


def test_a_folder_a_rollout_and_a_file_are_the_same(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", "s"), run(tmp_path / "b", "s")
    for same in (a, a / "rollout", a / "rollout" / "rollout.json", b / ".." / "a"):
        with pytest.raises(ConfigError, match="name each rollout once"):
            entries(a, b, same)


def test_what_is_absent_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ConfigError, match=r"holds no rollout.json, nor does a folder in it: run  imitate rollout"
    ):
        entries(tmp_path / "empty")
    with pytest.raises(ConfigError, match="does not exist"):
        entries(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="runs is empty"):
        entries()
    a = run(tmp_path / "a", "s")
    (a / "rollout" / "rollout.json").write_text('{"episodes"')
    with pytest.raises(DataError, match="truncated"):
        entries(a)


def test_a_rollout_without_its_run_stands_alone(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "sl")
    for name in ("config.json", "log.jsonl"):
        (a / name).unlink()
    (entry,) = entries(a)
    assert entry.training is None


def test_a_run_whose_checkpoint_is_gone_is_still_shown(tmp_path: Path) -> None:
    (entry,) = entries(run(tmp_path / "a", "sl"))
    assert entry.training is not None and entry.training.parameters is None and entry.training.note


def test_training_seeds_of_one_configuration_are_joined(tmp_path: Path) -> None:
    same = [run(tmp_path / f"s{i}", "ssl", config={"train.seed": i}) for i in range(3)]
    other = run(tmp_path / "wide", "ssl", config={"train.seed": 3, "optim.lr": 9})
    twice = [run(tmp_path / f"t{i}", "sss", config={"train.seed": 0, "optim.lr": 5}) for i in range(2)]
    groups = seed_groups(entries(*same, other, *twice))
    assert [[entry.label for entry in group] for group in groups] == [
        ["s0", "s1", "s2"],
        ["wide"],
        ["t0"],
        ["t1"],
    ]


def test_rollouts_on_other_seeds_are_not_joined(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "ss", config={"train.seed": 0})
    b = run(tmp_path / "b", "sss", config={"train.seed": 1})
    assert len(seed_groups(entries(a, b))) == 2


def test_environments_are_kept_apart(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", "sl"), run(tmp_path / "b", "sl", env=OTHER_ENV)
    assert [len(part) for part in arenas(entries(a, b), same_env=True)] == [1, 1]
    assert [len(part) for part in arenas(entries(a, b), same_env=False)] == [2]


def test_only_videos_inside_the_folder_are_shown(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "ss", videos=(0,))
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    file = a / "rollout" / "rollout.json"
    value = json.loads(file.read_text())
    value["videos"].append({"seed": FIRST + 1, "file": "../../secret.mp4"})
    file.write_text(json.dumps(value))
    (entry,) = entries(a)
    assert entry.video(FIRST) == (a / "rollout" / "videos" / f"seed_{FIRST}.mp4").resolve()
    assert entry.video(FIRST + 1) is None and entry.video(FIRST + 2) is None


def test_kept_checkpoints_that_were_played_are_read(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "sl")
    (a / "kept").mkdir()
    rows = [{"step": step, "success_rate": rate, "episodes": 50} for step, rate in ((10, 0.2), (20, 0.6))]
    (a / "kept" / "checkpoints.json").write_text(json.dumps({"checkpoints": rows}))
    (entry,) = entries(a)
    assert entry.training is not None
    assert [row["rollout/success_rate"] for row in entry.training.played] == [0.2, 0.6]
    (a / "kept" / "checkpoints.json").write_text('{"checkpoints": 3}')
    (entry,) = entries(a)
    assert entry.training is not None and entry.training.played == []
