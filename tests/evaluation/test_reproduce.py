"""A result played again: the same, changed, tampered with, or not to be played."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from line_runs import run

from imitate.checkpoint import BEST
from imitate.cli.main import main
from imitate.errors import CheckpointError, DataError
from imitate.evaluation.recipe import Recipe
from imitate.evaluation.reproduce import Reproduction, differing, false_figures, what_changed
from imitate.evaluation.result import RolloutResult, load
from imitate.rollout import EpisodeResult

FAST = ["episodes=8", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with its rollout in it."""
    folder = run(tmp_path_factory.mktemp("runs") / "x")
    assert main(["rollout", f"checkpoint={folder}", f"out={folder / 'rollout'}", *FAST]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it somewhere else, so that the path in the result leads to the original."""
    return Path(shutil.copytree(made, tmp_path / "moved"))


def change(folder: Path, how: Callable[[dict[str, Any]], Any]) -> Path:
    file = folder / "rollout" / "rollout.json"
    value = json.loads(file.read_text())
    how(value)
    file.write_text(json.dumps(value))
    return file


def again(folder: Path, capsys, *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["reproduce", str(folder / "rollout"), "device=cpu", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_result_is_reproduced_bitwise(folder: Path, capsys) -> None:
    assert main(["reproduce", str(folder / "rollout" / "rollout.json"), "device=cpu"]) == 0
    said = capsys.readouterr().out
    assert "result    agrees: every episode is bitwise the same" in said
    assert "episodes  8 of 8 the same" in said
    assert "changed" not in said


def test_some_episodes_and_other_workers_are_enough(folder: Path, capsys) -> None:
    code, found = again(folder, capsys, "episodes=3", "workers=2")
    assert (code, found["verdict"], found["episodes"], found["of"]) == (0, "bitwise", 3, 8)


def test_episodes_that_were_made_up_are_found_and_listed(folder: Path, capsys) -> None:
    def win_everything(value: dict[str, Any]) -> None:
        for row in value["episodes"]:
            row.update(success=True, score=1.0)
        value.update(success_rate=1.0, mean_score=1.0)

    won = {episode.seed for episode in load(folder / "rollout").episodes if episode.success}
    change(folder, win_everything)
    code, found = again(folder, capsys)
    assert (code, found["agrees"], found["verdict"]) == (1, False, "differs")
    different = {row["seed"]: row for row in found["different"]}
    assert set(range(100_000, 100_008)) - won <= different.keys()
    assert all(different[seed]["now"]["success"] is False for seed in different.keys() - won)


def test_a_figure_that_its_own_episodes_contradict_is_found(folder: Path, capsys) -> None:
    change(folder, lambda value: value.update(success_rate=0.987, interval=[0.9, 1.0]))
    code, found = again(folder, capsys)
    assert (code, found["verdict"], found["different"]) == (1, "differs", [])
    assert [line.split(",")[0] for line in found["false_figures"]] == [
        "success_rate is 0.987",
        "interval is [0.9",
    ]


def test_a_result_without_the_later_figures_is_reproduced_all_the_same(folder: Path, capsys) -> None:
    def older(value: dict[str, Any]) -> None:
        for row in value["episodes"]:
            for name in ("smoothness", "violations", "collisions", "final_obs"):
                del row[name]
        for name in ("mean_smoothness", "smoothness_interval", "steps_with_violations"):
            del value[name]

    change(folder, older)
    assert again(folder, capsys)[1]["verdict"] == "bitwise"


def test_a_changed_checkpoint_is_refused(folder: Path, capsys) -> None:
    other = run(folder / "other", weights_seed=1)
    shutil.copy(other / BEST, folder / BEST)
    shutil.rmtree(other)
    file = change(folder, lambda value: value["provenance"].update(checkpoint=str(folder / BEST)))
    assert main(["reproduce", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "has changed since then" in captured.err and "checkpoint=FILE" in captured.err
    assert main(["reproduce", str(file), f"checkpoint={folder}"]) == 2
    assert "its hash differs" in capsys.readouterr().err


def test_a_checkpoint_is_found_by_its_hash_near_the_result(folder: Path) -> None:
    (folder / BEST).rename(folder / "renamed.safetensors")
    file = change(folder, lambda value: value["provenance"].update(checkpoint="runs/gone/best.safetensors"))
    assert Recipe.read(file).checkpoint(None).name == "renamed.safetensors"
    (folder / "renamed.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"runs/gone/best.safetensors.* is not there.*checkpoint=FILE"):
        Recipe.read(file).checkpoint(None)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda v: v["provenance"].pop("checkpoint_hash"), "does not say its checkpoint_hash"),
        (lambda v: v.update(provenance={}), "does not say its checkpoint,"),
        (lambda v: v["provenance"]["env"].update(_target_="gone.Config"), "parts that are not here.*gone"),
        (lambda v: v["provenance"]["rollout"].update(batch=0), "parts that are not here.*rollout.batch is 0"),
    ],
)
def test_a_result_that_does_not_say_enough_is_one_line(folder: Path, how, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Recipe.read(change(folder, how))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such file"),
        (["{}", "episodes=0"], "episodes is 0"),
        (["{}", "workers=-1"], "workers is -1"),
        (["{}", "checkpoint=nowhere"], "nowhere: there is no such file or folder"),
        ([], "imitate reproduce needs result"),
    ],
)
def test_mistakes_are_one_line(made: Path, words: list[str], message: str, capsys) -> None:
    assert main(["reproduce", *(word.format(made / "rollout") for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert message in captured.err


def result(wins: list[bool]) -> RolloutResult:
    episodes = tuple(EpisodeResult(i, win, float(win), 9, 0.0, None) for i, win in enumerate(wins))
    return RolloutResult(episodes, 30, 10.0, "", "", {}, {}, {"env": {}})


@pytest.mark.parametrize(
    ("now", "changes", "verdict"),
    [
        ([True] * 9 + [False] * 11, (), "bitwise"),
        ([True] * 9 + [False] * 11, ("torch was 2.0, is 2.1",), "bitwise"),
        ([True] * 10 + [False] * 10, (), "differs"),  # nothing explains that one episode
        ([True] * 10 + [False] * 10, ("torch was 2.0, is 2.1",), "within"),
        ([True] * 20, ("torch was 2.0, is 2.1",), "differs"),
    ],
)
def test_the_verdict(now: list[bool], changes: tuple[str, ...], verdict: str) -> None:
    found = Reproduction(result([True] * 9 + [False] * 11), result(now), changes, ())
    assert (found.verdict, found.agrees) == (verdict, verdict != "differs")
    assert Reproduction(found.before, found.now, changes, ("success_rate is 1",)).verdict == "differs"


def test_the_same_rate_from_other_episodes_is_not_bitwise() -> None:
    found = Reproduction(result([True, False]), result([False, True]), (), ())
    assert found.verdict == "differs"
    assert [a.seed for a, _ in found.different] == [0, 1]


def test_every_field_of_an_episode_counts() -> None:
    one = EpisodeResult(1, True, 0.5, 9, 2.0, 8, -2.0, 1, 1, {"arm": (1.0,)})
    others = {
        "success": False, "score": 0.25, "length": 8, "total_reward": 1.0, "steps_to_success": None,
        "smoothness": -2.1, "violations": 2, "collisions": 0, "final_obs": {"arm": (1.5,)},
    }  # fmt: skip
    for name, value in others.items():
        assert differing(one, dataclasses.replace(one, **{name: value})) == [name]


def test_a_figure_of_zero_counts_and_one_that_was_not_said_does_not() -> None:
    one = EpisodeResult(1, True, 0.5, 9, 2.0, 8, None, 0, None)
    assert differing(one, dataclasses.replace(one, violations=5, collisions=5)) == ["violations"]


def test_what_has_changed_is_named_and_another_commit_of_the_same_code_is_not(made: Path) -> None:
    result = load(made / "rollout")
    origin, cpu = dict(result.provenance), torch.device("cpu")
    assert what_changed(result, result, cpu) == ()
    other = {**origin, "commit": "abc", "device": "a bigger one", "versions": {"torch": "0.1", "gone": "3.0"}}
    lines = what_changed(dataclasses.replace(result, provenance=other), result, cpu)
    assert [line.partition(" was ")[0] for line in lines] == ["torch", "gone", "device"]
    assert "gone was 3.0, is not installed" in lines
    del other["code_hash"]
    lines = what_changed(dataclasses.replace(result, provenance=other, max_steps=99), result, cpu)
    assert "max_steps was 99, is 15" in lines
    assert any(line.startswith("code_hash was None, is ") for line in lines)
    assert "commit was abc" in " ".join(lines)


def test_no_figure_of_an_honest_file_is_called_false(made: Path) -> None:
    assert false_figures(Recipe.read(made / "rollout")) == ()
