"""Results of several runs as one: which belong together, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from imitate.cli.main import main
from imitate.errors import ConfigError, DataError
from imitate.evaluation.result import RolloutResult, save
from imitate.evaluation.summary import Group, Summary
from imitate.rollout import EpisodeResult


def saved(folder: Path, wins: int, of: int = 10, task: str = "reach-v3", **origin) -> str:
    """A result in which `wins` of `of` episodes succeeded, with a checkpoint of its own."""
    episodes = tuple(EpisodeResult(100_000 + i, i < wins, 0.1 * wins, 9, 0.0, None) for i in range(of))
    env = {"_target_": "imitate.envs.metaworld.MetaWorldConfig", "task": task, "max_steps": 30}
    about = {"env": env, "checkpoint_hash": folder.name, "policy": {}, **origin}
    folder.mkdir(parents=True)
    save(RolloutResult(episodes, 30, 10.0, "nearness", "", {}, {}, about), folder)
    return str(folder)


def group_of(tmp_path: Path, name: str, table: dict[str, list[int]]) -> list[str]:
    return [
        saved(tmp_path / f"{name}-{task}-{seed}", wins, task=task)
        for task, runs in table.items()
        for seed, wins in enumerate(runs)
    ]


def test_runs_are_put_to_their_tasks_and_joined(tmp_path: Path) -> None:
    files = group_of(tmp_path, "a", {"reach-v3": [2, 4, 6], "push-v3": [9, 10]})
    found = Summary(Group.load(files, "results"), None, "success").to_json()
    assert [(row["task"], row["episodes"], row["lowest"], row["highest"]) for row in found["tasks"]] == [
        ("metaworld reach-v3", 30, 0.2, 0.6),
        ("metaworld push-v3", 20, 0.9, 1.0),
    ]
    assert found["tasks"][0]["mean"] == pytest.approx(0.4)
    assert found["runs"] == 5
    assert found["interquartile_mean"]["value"] == pytest.approx(np.mean([0.4, 0.6, 0.9]))
    low, high = found["interquartile_mean"]["interval"]
    assert low < found["interquartile_mean"]["value"] < high
    assert found["warnings"] == []


def test_the_score_is_another_measure(tmp_path: Path) -> None:
    files = group_of(tmp_path, "a", {"reach-v3": [2, 4]})
    assert Summary(Group.load(files, "r"), None, "score").to_json()["mean"]["value"] == pytest.approx(0.3)


def test_against_another_group_by_task_and_not_by_order(tmp_path: Path) -> None:
    ours = group_of(tmp_path, "a", {"reach-v3": [5, 6], "push-v3": [9, 9]})
    theirs = group_of(tmp_path, "b", {"push-v3": [1, 2, 3], "reach-v3": [5, 7]})
    found = Summary(Group.load(ours, "results"), Group.load(theirs, "against"), "success").to_json()
    # reach: 5 ties 5, loses to 7; 6 beats 5, loses to 7: 1.5 of 4. push: 6 of 6.
    assert found["probability_of_improvement"]["value"] == pytest.approx((1.5 / 4 + 1) / 2)
    assert found["against"]["runs"] == 5
    assert [row["against"]["mean"] for row in found["tasks"]] == pytest.approx([0.6, 0.2])


def test_one_run_named_twice_is_refused_also_from_another_folder(tmp_path: Path) -> None:
    first = saved(tmp_path / "a", 5)
    with pytest.raises(ConfigError, match=r"a and .*a are of one checkpoint on one task"):
        Group.load([first, first], "results")
    copy = saved(tmp_path / "copy", 5, checkpoint_hash="a")
    with pytest.raises(ConfigError, match="count twice"):
        Group.load([first, copy], "results")
    changed = saved(tmp_path / "fewer", 5, checkpoint_hash="a", policy={"inference_steps": 2})
    assert len(Group.load([first, changed], "results").tasks) == 1


def test_groups_of_different_tasks_are_refused(tmp_path: Path) -> None:
    ours = Group.load(group_of(tmp_path, "a", {"reach-v3": [5], "push-v3": [5]}), "results")
    theirs = Group.load(group_of(tmp_path, "b", {"reach-v3": [5]}), "against")
    for one, other, absent in ((ours, theirs, "against"), (theirs, ours, "results")):
        with pytest.raises(DataError, match=f"is on metaworld push-v3, but {absent} has no result"):
            Summary(one, other, "success")


def test_other_settings_make_another_task_with_a_name_of_its_own(tmp_path: Path) -> None:
    first = saved(tmp_path / "a", 5)
    value = json.loads((Path(first) / "rollout.json").read_text())
    value["provenance"] |= {"checkpoint_hash": "b"}
    value["provenance"]["env"]["max_steps"] = 60
    (tmp_path / "long.json").write_text(json.dumps(value))
    group = Group.load([first, str(tmp_path / "long.json")], "results")
    assert list(Summary(group, None, "success").names) == ["metaworld reach-v3", "metaworld reach-v3 #2"]


def test_what_makes_the_figures_doubtful_is_said(tmp_path: Path) -> None:
    met = saved(tmp_path / "met", 5, seeds={"check": "overlap"})
    other = saved(tmp_path / "other", 5, seeds=None)
    warnings = Summary(Group.load([met, other], "results"), None, "success").to_json()["warnings"]
    assert len(warnings) == 2
    assert "met was played on seeds that the policy had met" in warnings[0]
    assert "2 runs of one task" in warnings[1]


def test_on_the_command_line(tmp_path: Path, capsys) -> None:
    ours = group_of(tmp_path, "a", {"reach-v3": [5, 6, 7], "push-v3": [9, 9, 8]})
    theirs = group_of(tmp_path, "b", {"push-v3": [1, 2], "reach-v3": [5, 4]})
    assert main(["summary", *ours]) == 0
    assert "success of 6 runs on 2 tasks" in capsys.readouterr().out
    assert main(["summary", f"results=[{','.join(ours)}]", f"against=[{','.join(theirs)}]", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["probability_of_improvement"]["value"] > 0.9
    assert main(["summary", ours[0]]) == 0
    assert "no interval: one run per task" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.json"], "nowhere.json: there is no such file"),
        (["results=[]"], "results is empty"),
        ([], "results is empty, expected rollout.json files"),
        (["x", "measure=return"], "measure is 'return', expected one of success, score"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys) -> None:
    assert main(["summary", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert message in captured.err
