"""Evaluation seeds against those that a policy has met, and what the command line makes of it."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_env import SPEC, LineConfig
from line_policy import LinePolicy
from line_runs import run

from imitate.checkpoint import load_policy
from imitate.cli.main import main
from imitate.datasets.used_seeds import UsedSeeds
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.evaluation.result import load
from imitate.evaluation.seeds import SeedCheck
from imitate.rollout import EpisodeResult, rollout

LINE = "line_env.LineConfig"
MET = (UsedSeeds("demonstrations", LINE, ((0, 9), (20, 20))), UsedSeeds("selection", LINE, ((50, 51),)))
FAST = ["episodes=4", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]


def check(folder: Path, used: tuple[UsedSeeds, ...] | None, seeds: range, env=None) -> SeedCheck:
    return SeedCheck.of(load_policy(run(folder, used_seeds=used)).info, env or LineConfig(), seeds)


@pytest.mark.parametrize(
    ("seeds", "verdict", "overlap"),
    [
        (range(100, 120), "disjoint", {}),
        (range(8, 12), "overlap", {"demonstrations": [8, 9]}),
        (range(20, 51), "overlap", {"demonstrations": [20], "selection": [50]}),
    ],
)
def test_an_overlap_is_found_by_purpose(tmp_path: Path, seeds: range, verdict: str, overlap: dict) -> None:
    found = check(tmp_path, MET, seeds)
    assert (found.verdict, found.overlap) == (verdict, overlap)


def test_another_environment_has_other_starts(tmp_path: Path) -> None:
    assert check(tmp_path, MET, range(10), PointObstacleConfig()).verdict == "disjoint"


@pytest.mark.parametrize(
    ("used", "words"),
    [
        (None, "does not say which seeds"),
        ((UsedSeeds("demonstrations", None, (), without_seed=25),), "25 of its demonstrations have no seed"),
    ],
)
def test_what_is_not_known_is_said(tmp_path: Path, used: tuple | None, words: str) -> None:
    found = check(tmp_path, used, range(10))
    assert found.verdict == "unknown"
    assert words in found.line()


def test_a_rollout_on_starts_of_training_is_refused_before_anything_is_played(tmp_path: Path, capsys) -> None:
    folder, out = run(tmp_path / "x", used_seeds=MET, kept=1), tmp_path / "out"
    for seed, why in (
        (7, "7 to 9 is not new .*demonstrations start there"),
        (48, "50 to 51.*training chose"),
    ):
        assert main(["rollout", f"checkpoint={folder}", f"out={out}", f"seed={seed}", *FAST]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert re.search(why, said), said
    # The best of several checkpoints is played on the seeds after those: they count as well.
    keys = [f"checkpoint={folder}", f"out={out}", "seed=46", "checkpoints=all", *FAST]
    assert main(["rollout", *keys]) == 2
    assert not out.exists()


def test_it_can_be_allowed_and_the_result_says_so(tmp_path: Path, capsys) -> None:
    folder, out = run(tmp_path / "x", used_seeds=MET), tmp_path / "out"
    keys = [f"checkpoint={folder}", f"out={out}", "allow_used_seeds=true", *FAST]
    assert main(["rollout", *keys, "seed=7"]) == 0
    assert "NOT NEW to the policy: 7 to 9" in capsys.readouterr().out
    assert load(out).provenance["seeds"] == {
        "check": "overlap",
        "overlap": {"demonstrations": [7, 8, 9]},
        "unknown": None,
    }
    assert main(["rollout", *keys, "seed=100000"]) == 0
    assert "seeds     100000 to 100003, new to the policy" in capsys.readouterr().out
    assert load(out).provenance["seeds"]["check"] == "disjoint"


SEEDS = list(range(100_000, 100_012))


def played(seeds: list[int], workers: int = 0) -> tuple[EpisodeResult, ...]:
    return rollout(LinePolicy(SPEC), LineConfig(), seeds, workers=workers, batch=4).episodes


@pytest.fixture(scope="module")
def alone() -> dict[int, EpisodeResult]:
    return {seed: played([seed])[0] for seed in SEEDS}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(SEEDS), min_size=1, unique=True))
def test_an_episode_is_that_of_its_seed_in_any_company_and_order(alone: dict, seeds: list[int]) -> None:
    assert played(seeds) == tuple(alone[seed] for seed in seeds)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_episode_is_that_of_its_seed_with_any_number_of_workers(alone: dict, workers: int) -> None:
    assert played(SEEDS[::-1], workers) == tuple(alone[seed] for seed in SEEDS[::-1])
