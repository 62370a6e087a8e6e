"""The page of an experiment says what rollout.json says, and leaves out what it cannot know."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sample_pages

from imitate.errors import DataError
from imitate.evaluation.curves import error_charts, expert_charts, series, success_chart
from imitate.evaluation.page import write_experiment_page

OUTCOMES = [True] * 19 + [False]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_success_and_its_interval_stand_first(tmp_path: Path) -> None:
    page = text_of(write_experiment_page(tmp_path / "a.html", sample_pages.result(tmp_path, OUTCOMES)))
    body = page[page.index("<main>") :]
    assert "Behaviour cloning on metaworld reach-v3" in body[:300]
    assert body.index("95 %") < body.index("19 of 20 episodes succeeded") < body.index("<section>")
    assert "from 76 % to 99 %" in body
    assert "Mean score 0.963" in body and "the block covers the mark" in body


def test_every_episode_and_the_command_are_there(tmp_path: Path) -> None:
    page = text_of(write_experiment_page(tmp_path / "a.html", sample_pages.result(tmp_path, OUTCOMES)))
    assert all(f'<td class="num">{100_000 + i}</td>' in page for i in range(20))
    assert page.count("✕ failed") == 1 and page.count("✓ success") == 19
    assert "imitate rollout checkpoint=runs/x out=runs/x/rollout" in page


def test_without_a_run_there_are_no_empty_sections(tmp_path: Path) -> None:
    page = text_of(write_experiment_page(tmp_path / "a.html", sample_pages.result(tmp_path, OUTCOMES)))
    assert "How it learnt" not in page and "Action error" not in page and "Episodes to watch" not in page


def test_with_a_run_the_curves_are_there(tmp_path: Path) -> None:
    run = sample_pages.run_folder(tmp_path / "run")
    result = sample_pages.result(tmp_path, OUTCOMES)
    page = text_of(write_experiment_page(tmp_path / "a.html", result, run))
    for title in ("Success of rollouts", "Loss", "Learning rate", "Action error in m/s", "10 episodes each"):
        assert title in page
    assert "recorded actions are not shown: checkpoint" in page


def test_the_time_that_training_waited_for_data_is_told(tmp_path: Path) -> None:
    run = sample_pages.run_folder(tmp_path / "run")
    rows = [(0.1, 10.0), (0.5, 30.0)]  # of 0.1 s and 0.033 s a step: (0.1 * 0.1 + 0.5 * 0.033) / 0.133
    lines = [
        {"step": 100 * n, "train/data_wait": wait, "train/steps_per_s": speed}
        for n, (wait, speed) in enumerate(rows)
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = sample_pages.result(tmp_path, OUTCOMES)
    text = re.sub(r"<[^>]*>", " ", text_of(write_experiment_page(tmp_path / "a.html", result, run)))
    assert re.search(r"waited for data\s+20\.0% of the time", text)


def test_experts_are_drawn_by_layer_and_noise_level() -> None:
    shares = {"sigma80": (0.9, 0.1), "sigma1.86": (0.5, 0.5), "sigma0.001": (0.2, 0.8)}
    last = {
        f"experts/layer{layer}/{sigma}/expert{i}": share
        for layer in (0, 1)
        for sigma, row in shares.items()
        for i, share in enumerate(row)
    }
    older = {"step": 1, "experts/layer0/sigma80/expert0": 0.123}
    summary = {"experts/layer0/used": 2, "experts/layer0/mutual_information": 0.25}
    first, second = expert_charts([older, {"step": 2, **last, **summary}, {"step": 3, "train/loss": 1.0}])
    assert "Layer 1" in first and "Layer 2" in second
    words = re.sub(r"<[^>]*>", " ", first).split()
    assert [words.count(share) for share in ("90", "10", "50", "20", "12")] == [1, 1, 2, 1, 0]
    assert words.index("80") < words.index("1.9") < words.index("0.001")  # from noise to a clean chunk
    assert "2 experts used" in first and "0.25 nats" in first
    assert "– experts used" in second


def test_policies_without_experts_have_no_such_chart() -> None:
    assert expert_charts([{"step": 1, "train/loss": 0.5}]) == []


@pytest.mark.parametrize("damage", ["empty", "no_log", "no_config", "other_series", "strange_values"])
def test_a_poor_run_folder_never_hides_the_result(tmp_path: Path, damage: str) -> None:
    run = sample_pages.run_folder(tmp_path / "run")
    if damage == "empty":
        shutil.rmtree(run)
        run.mkdir()
    elif damage == "no_log":
        (run / "log.jsonl").unlink()
    elif damage == "no_config":
        (run / "config.json").write_text("{")
    elif damage == "other_series":
        (run / "log.jsonl").write_text('{"step": 1, "train/other": 1.0}\n')
    else:
        rows = [{"step": 1, "train/loss": float("nan")}, {"train/loss": 1.0}, {"step": 3, "train/loss": "x"}]
        (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = text_of(write_experiment_page(tmp_path / "a.html", sample_pages.result(tmp_path, OUTCOMES), run))
    assert "19 of 20 episodes succeeded" in page


def test_strings_of_a_result_are_text(tmp_path: Path) -> None:
    attack = "<img src=x onerror=alert(1)>"
    plain = sample_pages.result(tmp_path, OUTCOMES)
    origin = {
        **plain.provenance,
        "command": attack,
        "env": {"_target_": "a.B", "task": attack},
        "device": attack,
    }
    bad = replace(plain, provenance=origin, success_definition=attack, score_name=attack)
    assert "<img" not in text_of(write_experiment_page(tmp_path / "a.html", bad))


def test_videos_are_embedded_with_their_seed(tmp_path: Path) -> None:
    result = sample_pages.result(tmp_path, [False, True], videos=2)
    videos = [tmp_path / name for name in result.videos.values()]
    page = text_of(write_experiment_page(tmp_path / "a.html", result, videos=videos))
    assert page.count("data:video/mp4;base64,") == 2
    assert page.index("seed 100000, 40 steps") < page.index("seed 100001, 40 steps")
    with pytest.raises(DataError, match="cannot read video"):
        write_experiment_page(tmp_path / "b.html", result, videos=[tmp_path / "gone.mp4"])
    assert not (tmp_path / "b.html").exists()


def test_series_take_only_numbers() -> None:
    rows = [{"step": 1, "a": 2.0}, {"step": 2, "a": True}, {"step": 3}, {"step": 4, "a": float("inf")}]
    steps, values = series(rows, "a")
    assert steps.tolist() == [1] and values.tolist() == [2.0]


def test_errors_of_one_unit_share_a_chart_of_at_most_six_lines() -> None:
    row = {"step": 1} | {f"action_error/j{i} [rad]": 1.0 for i in range(7)} | {"action_error/grip [m]": 0.1}
    assert len(error_charts([row, {**row, "step": 2}])) == 3
    assert success_chart([row], 10, None) is None
