"""Several checkpoints of a run: which are played, and what is said of them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from line_runs import run

from imitate.cli.main import main
from imitate.errors import CheckpointError, ConfigError
from imitate.evaluation.checkpoints import CheckpointFigures, chosen_checkpoints
from imitate.evaluation.result import RolloutResult, load
from imitate.rollout import EpisodeResult

FAST = ["episodes=6", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]


def result(step: int, wins: list[int], score: float = 0.5) -> RolloutResult:
    episodes = tuple(EpisodeResult(i, bool(win), score, 9, 0.0, None) for i, win in enumerate(wins))
    about = {"training_step": step, "checkpoint": f"step_{step}", "checkpoint_hash": str(step)}
    return RolloutResult(episodes, 30, 10.0, "", "", {}, {}, about)


def test_the_maximum_and_the_mean_of_the_last_ten_are_told_apart() -> None:
    # Twelve checkpoints: the second is lucky, the last ten win one or two of four episodes.
    lucky = [result(1, [0, 0, 0, 0]), result(2, [1, 1, 1, 1])]
    rest = [result(step, [1, step % 2, 0, 0]) for step in range(3, 13)]
    figures = CheckpointFigures((*lucky, *rest))
    found = figures.to_json(result(2, [1, 0, 1, 0]))
    assert found["max_over_checkpoints"]["success_rate"] == 1.0
    assert found["max_over_checkpoints"]["step"] == 2
    assert found["max_over_checkpoints"]["optimistic"] is True
    assert found["mean_of_last"]["checkpoints"] == 10
    assert found["mean_of_last"]["success_rate"] == pytest.approx(np.mean([1, 0.5, 0, 0]))
    low, high = found["mean_of_last"]["interval"]
    assert 0 <= low < 0.375 < high <= 1
    assert found["best_on_fresh_seeds"]["success_rate"] == 0.5
    assert [row["step"] for row in found["checkpoints"]] == list(range(1, 13))


def test_ties_go_to_the_better_score_and_then_to_the_later_one() -> None:
    some = (result(1, [1, 0], 0.9), result(2, [1, 0], 0.7), result(3, [1, 0], 0.9), result(4, [0, 0], 1.0))
    figures = CheckpointFigures(some)
    assert figures.best is some[2]
    assert figures.best_score is some[3]
    assert figures.to_json(some[0])["max_over_checkpoints"]["score_step"] == 4


def test_the_maximum_of_many_equal_policies_is_too_high_and_fresh_seeds_are_not() -> None:
    """Twenty checkpoints that all succeed half the time, on 20 starts: what selection alone does."""
    random = np.random.default_rng(0)
    drawn = random.random((200, 20, 20)) < 0.5
    groups = [tuple(result(i, row.tolist()) for i, row in enumerate(one)) for one in drawn]
    best = [CheckpointFigures(group).best for group in groups]
    assert np.mean([one.success_rate for one in best]) > 0.65
    assert np.mean(drawn.mean(axis=(1, 2))) == pytest.approx(0.5, abs=0.01)


def test_which_checkpoints(tmp_path: Path) -> None:
    folder = str(run(tmp_path / "x", kept=4))
    assert [path.stem[-3:] for path in chosen_checkpoints(folder, "all")] == ["100", "200", "300", "400"]
    assert [path.stem[-3:] for path in chosen_checkpoints(folder, 2)] == ["300", "400"]
    assert len(chosen_checkpoints(folder, 99)) == 4
    for which in ("last", 0, -1):
        with pytest.raises(ConfigError, match=r"checkpoints is .*expected all"):
            chosen_checkpoints(folder, which)
    with pytest.raises(CheckpointError, match=r"holds no checkpoints over time.*train\.checkpoints=50"):
        chosen_checkpoints(str(run(tmp_path / "none")), "all")


def test_all_are_played_once_and_the_best_again_on_other_seeds(tmp_path: Path, capsys) -> None:
    folder, out = run(tmp_path / "x", kept=3), tmp_path / "out"
    keys = ["rollout", f"checkpoint={folder}", f"out={out}", "checkpoints=all", *FAST]
    assert main(keys) == 0
    said = capsys.readouterr()
    assert "max over checkpoints" in said.out and "optimistic: the best of 3" in said.out
    assert "mean of the last 3" in said.out and "best on fresh seeds" in said.out
    found = json.loads((out / "checkpoints.json").read_text())
    assert found["seeds"] == [100_000, 100_005]
    assert found["best_on_fresh_seeds"]["seeds"] == [100_006, 100_011]
    each = [load(out / "checkpoints" / f"step_{step:08d}") for step in (100, 200, 300)]
    assert max(one.success_rate for one in each) == found["max_over_checkpoints"]["success_rate"]
    best = found["max_over_checkpoints"]["checkpoint_hash"]
    assert load(out).provenance["checkpoint_hash"] == best
    assert (out / "index.html").exists() and (out / "episodes.csv").exists()


def test_what_was_played_before_is_not_played_again(tmp_path: Path, capsys) -> None:
    folder, out = run(tmp_path / "x", kept=3), tmp_path / "out"
    keys = ["rollout", f"checkpoint={folder}", f"out={out}", "checkpoints=all", *FAST]
    assert main(keys) == 0
    files = [out / "checkpoints" / f"step_{step:08d}" / "rollout.json" for step in (100, 200, 300)]
    for file in files:
        os.utime(file, (1, 1))
    first = (out / "checkpoints.json").read_text()
    files[1].unlink()  # as if interrupted there
    assert main([*keys, "rollout.workers=1"]) == 0
    assert [file.stat().st_mtime == 1 for file in files] == [True, False, True]
    assert (out / "checkpoints.json").read_text() == first
    assert capsys.readouterr().err.count("played before") == 2
    # Other settings are another result.
    assert main([*keys, "rollout.execution.action_steps=2"]) == 0
    assert not any(file.stat().st_mtime == 1 for file in files)


def test_a_record_of_several_is_refused(tmp_path: Path, capsys) -> None:
    keys = [f"checkpoint={tmp_path}", f"out={tmp_path / 'o'}", "checkpoints=all", "record=r.zarr"]
    assert main(["rollout", *keys]) == 2
    assert "record is set, but several checkpoints" in capsys.readouterr().err
