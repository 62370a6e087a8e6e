"""rollout.json is read back as it was written, and anything else is refused in one line."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from imitate.errors import DataError
from imitate.evaluation.result import RolloutResult, load, save
from imitate.evaluation.statistics import wilson
from imitate.rollout import EpisodeResult

EPISODES = (
    EpisodeResult(100_000, True, 1.0, 42, 3.5, 40),
    EpisodeResult(100_001, False, 0.25, 300, -7.0, None, -2.5, 3, 0, {"arm": (0.5, -1.0), "goal": ()}),
    EpisodeResult(100_002, True, 0.75, 10, 0.0, 10),
)
RESULT = RolloutResult(
    EPISODES,
    300,
    10.0,
    "coverage",
    "coverage > 0.95",
    {"wall_s": 1.5},
    {100_001: "videos/seed_100001.mp4"},
    {"commit": None, "env": {"_target_": "x.Y", "max_steps": 300}},
)


def test_round_trip(tmp_path: Path) -> None:
    save(RESULT, tmp_path)
    assert load(tmp_path) == RESULT
    assert load(tmp_path / "rollout.json") == RESULT


def test_every_episode_is_a_row_of_the_table(tmp_path: Path) -> None:
    save(RESULT, tmp_path)
    with (tmp_path / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["success"], row["score"]) for row in rows] == [
        ("100000", "True", "1.0"),
        ("100001", "False", "0.25"),
        ("100002", "True", "0.75"),
    ]
    assert [row["seconds_to_success"] for row in rows] == ["4.0", "", "1.0"]
    assert [(row["smoothness"], row["violations"], row["collisions"]) for row in rows] == [
        ("", "", ""),
        ("-2.5", "3", "0"),
        ("", "", ""),
    ]
    assert "final_obs" not in rows[0]


def test_figures_on_conduct_are_of_the_episodes_that_say_them() -> None:
    value = RESULT.to_json()
    assert value["median_seconds_to_success"] == pytest.approx(2.5)
    assert value["mean_smoothness"] == -2.5
    assert (value["steps_with_violations"], value["episodes_with_violations"]) == (3, 1)
    assert (value["steps_with_collisions"], value["episodes_with_collisions"]) == (0, 0)
    silent = dataclasses.replace(RESULT, episodes=EPISODES[:1], rate_hz=None).to_json()
    for name in ("median_seconds_to_success", "mean_smoothness", "smoothness_interval"):
        assert silent[name] is None
    assert silent["steps_with_violations"] is silent["episodes_with_collisions"] is None


def test_the_names_that_scripts_rely_on() -> None:
    value = RESULT.to_json()
    assert value["success_rate"] == pytest.approx(2 / 3)
    assert value["interval"] == list(wilson(2, 3))
    assert value["mean_score"] == pytest.approx(2 / 3)
    assert [set(row) >= {"seed", "success", "score", "length"} for row in value["episodes"]] == [True] * 3
    assert value["mean_length"] == pytest.approx(352 / 3)
    assert value["mean_return"] == pytest.approx(-3.5 / 3)
    assert "provenance" in value


def test_whole_numbers_in_the_place_of_floats_are_read(tmp_path: Path) -> None:
    value = RESULT.to_json()
    value["rate_hz"], value["episodes"][0]["score"] = 10, 1
    assert RolloutResult.from_json(value) == RESULT


def test_a_file_from_before_the_figures_on_conduct_is_read() -> None:
    value = json.loads(json.dumps(RESULT.to_json()))
    for row in value["episodes"]:
        for name in ("smoothness", "violations", "collisions", "final_obs"):
            del row[name]
    read = RolloutResult.from_json(value).episodes
    assert [(e.seed, e.score) for e in read] == [(e.seed, e.score) for e in EPISODES]
    assert {(e.smoothness, e.violations, e.collisions) for e in read} == {(None, None, None)}
    assert [e.final_obs for e in read] == [{}, {}, {}]


def test_every_truncation_is_one_clear_line(tmp_path: Path) -> None:
    save(RESULT, tmp_path)
    path = tmp_path / "rollout.json"
    text = path.read_text()
    for length in range(0, len(text) - 2, 97):
        path.write_text(text[:length])
        with pytest.raises(DataError, match=r"rollout.json is truncated or not JSON") as caught:
            load(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("episodes"), "episodes is missing"),
        (lambda v: v.update(episodes=[]), "episodes is empty"),
        (lambda v: v.update(episodes={}), "episodes is {}, expected list"),
        (lambda v: v["episodes"].insert(1, 3), r"episodes\[1\] is int, expected an object"),
        (lambda v: v["episodes"][2].update(success="yes"), r"episodes\[2\]\.success is 'yes', expected bool"),
        (lambda v: v["episodes"][2].update(seed=True), r"episodes\[2\]\.seed is True, expected int"),
        (lambda v: v["episodes"][0].pop("score"), r"episodes\[0\]\.score is missing"),
        (lambda v: v["episodes"][1].update(final_obs=[]), r"episodes\[1\]\.final_obs is \[\], expected dict"),
        (lambda v: v["episodes"][1]["final_obs"].update(arm=3), r"episodes\[1\]\.final_obs\.arm is 3"),
        (
            lambda v: v["episodes"][1]["final_obs"].update(arm=[0, "x"]),
            r"episodes\[1\]\.final_obs\.arm\.1 is 'x'",
        ),
        (lambda v: v["episodes"][1].update(violations=0.5), r"episodes\[1\]\.violations is 0\.5"),
        (lambda v: v.update(videos=[{"seed": 1}]), r"videos\[0\]\.file is missing"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change, message: str) -> None:
    value = RESULT.to_json()
    change(value)
    path = tmp_path / "other.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=f"other.json is not the result of a rollout: {message}"):
        load(path)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"rollout"'])
def test_json_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rollout.json").write_text(text)
    with pytest.raises(DataError, match="not the result of a rollout"):
        load(tmp_path)


def test_absent_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path)
    (tmp_path / "rollout.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path)
