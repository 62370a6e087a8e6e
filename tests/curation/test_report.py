"""The report of a data set: what it finds, that page, JSON and CSV agree, its size and time."""

import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages
import zarr

from imitate.curation import consensus
from imitate.curation.measuring import measure
from imitate.curation.report import Report, report_json, write_report
from imitate.curation.verdict import findings
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.opening import open_store
from imitate.errors import ConfigError, DataError
from imitate.types import Episode

REAL = Path(__file__).parents[3] / "shared" / "data" / "pusht" / "pusht_cchi_v7_replay.zarr"


def report_of(folder: Path, episodes: list[Episode]) -> Report:
    return write_report(sample_pages.store(folder / "d.zarr", episodes), folder / "report.html")


def content_of(store: EpisodeStore) -> dict[str, Any]:
    """The JSON alone: pages take most of the time."""
    measured = measure(store)
    return report_json(store, measured, findings(measured))


def texts(content: Mapping[str, Any], level: str) -> str:
    return " ".join(finding["text"] for finding in content["findings"] if finding["level"] == level)


def replay_buffer(path: Path, arrays: dict[str, np.ndarray], ends: list[int]) -> Path:
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    for name, values in arrays.items():
        root.create_array(f"data/{name}", data=values)
    root.create_array("meta/episode_ends", data=np.array(ends))
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Report:
    episodes = [sample_pages.episode(i, 20 + i, style="fast" if i % 2 else "slow") for i in range(24)]
    return report_of(tmp_path_factory.mktemp("good"), episodes)


def test_good_demonstrations_are_all_kept_without_a_problem(good: Report) -> None:
    assert all(e["keep"] and e["reasons"] == [] for e in good.content["episodes"])
    assert texts(good.content, "problem") == ""
    assert good.content["verdict"] == "Nothing speaks against using all 24 demonstrations."
    assert good.content["neighbours"]["ratio"] < 0.25
    assert [e["scores"]["steps"] for e in good.content["episodes"]] == [20.0 + i for i in range(24)]
    assert good.content["episodes"][0]["scores"]["duration_s"] == pytest.approx(2.0)


def test_page_and_json_agree(good: Report) -> None:
    page = good.page.read_text(encoding="utf-8")
    content = json.loads(good.json_file.read_text(encoding="utf-8"))
    assert content == good.content
    assert good.json_file == good.page.with_suffix(".json")
    assert content["verdict"] in page and content["data"]["hash"] in page
    assert all(f"<td>{e['id']}</td>" in page for e in content["episodes"])
    assert page.count("✓ yes") == sum(e["keep"] for e in content["episodes"])
    assert all(finding["text"] in page for finding in content["findings"])
    assert "fast" in page and "slow" in page
    assert "report.json" in page and "report.csv" in page


def test_the_csv_has_a_line_for_each_episode(good: Report) -> None:
    assert good.csv_file == good.page.with_suffix(".csv")
    with good.csv_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [e["id"] for e in good.content["episodes"]]
    assert [float(row["quality"]) for row in rows] == [e["quality"] for e in good.content["episodes"]]


def test_the_same_data_gives_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Networks that train for a moment are as random as others.
    monkeypatch.setattr(consensus, "STEPS", 20)
    store = sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i) for i in range(10)])
    content = content_of(store)
    assert content["episodes"][0]["scores"]["surprise"] is not None
    assert content_of(open_store(store.path)) == content


def test_hard_facts_exclude_with_their_reason(tmp_path: Path) -> None:
    episodes = [sample_pages.episode(i) for i in range(5)]
    copy = sample_pages.episode(2, id="copied")
    failed = sample_pages.episode(7, id="dropped it", success=False)
    report = report_of(tmp_path, [*episodes, copy, failed])
    reasons = {e["id"]: e["reasons"] for e in report.content["episodes"] if not e["keep"]}
    assert reasons == {"copied": ["exact duplicate of seed2"], "dropped it": ["failed demonstration"]}
    assert report.content["verdict"].startswith("5 of 7")
    assert "copied" in texts(report.content, "problem")
    assert "dropped it" in texts(report.content, "problem")
    page = report.page.read_text()
    assert page.count("✕ no") == 2 and "exact duplicate of seed2" in page


def test_values_that_are_not_finite_are_named_and_spoil_nothing_else(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    state, action = generator.normal(size=(60, 3)), generator.normal(size=(60, 2))
    state[25, 1], action[27, 0] = np.nan, np.inf
    path = replay_buffer(tmp_path / "d.zarr", {"state": state, "action": action}, [10, 20, 30, 45, 60])
    content = content_of(open_store(path))
    kept = [e["keep"] for e in content["episodes"]]
    assert kept == [True, True, False, True, True]
    assert content["episodes"][2]["reasons"] == [
        "1 values of state are not finite",
        "1 values of action are not finite",
    ]
    assert content["episodes"][2]["scores"]["jerk"] is None
    assert all(e["scores"]["jerk"] > 0 for e in content["episodes"] if e["keep"])
    assert content["dimensions"]["state"][1]["max"] < 10


def test_waiting_and_long_episodes_are_noticed(tmp_path: Path) -> None:
    episodes = [sample_pages.episode(i) for i in range(8)]
    moving = sample_pages.episode(8)
    still = {key: np.repeat(values[:1], 60, axis=0) for key, values in moving.obs.items()}
    waiting = Episode(
        "waits",
        {key: np.concatenate([still[key], values]) for key, values in moving.obs.items()},
        np.concatenate([np.zeros((60, 2), np.float32), moving.action]),
        success=True,
    )
    content = content_of(sample_pages.store(tmp_path / "d.zarr", [*episodes, waiting]))
    assert content["episodes"][8]["scores"]["idle_start"] == pytest.approx(60, abs=1)
    assert "are waiting" in texts(content, "note") and "waits" in texts(content, "note")


def test_strings_of_the_data_are_text(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    episodes = [sample_pages.episode(0, id=attack, style=attack), *(sample_pages.episode(i) for i in (1, 2))]
    page = report_of(tmp_path, episodes).page.read_text()
    assert attack not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_episodes_are_reported_without_claims(tmp_path: Path, count: int) -> None:
    episodes = [sample_pages.episode(i, steps=2 + i) for i in range(count)]
    report = report_of(tmp_path, episodes)
    assert report.content["neighbours"] is None
    assert "cannot be told" in texts(report.content, "note")


def test_bare_actions_without_states_are_reported(tmp_path: Path) -> None:
    action = np.random.default_rng(0).normal(size=(50, 2))
    image = np.full((50, 8, 8, 3), 9, np.uint8)
    path = replay_buffer(tmp_path / "d.zarr", {"img": image, "action": action}, [20, 30, 50])
    content = content_of(open_store(path))
    assert list(content["dimensions"]) == ["action"] and content["neighbours"] is None


def test_mistakes_are_one_clear_line(tmp_path: Path) -> None:
    empty = sample_pages.store(tmp_path / "empty.zarr", [])
    with pytest.raises(DataError, match="holds no episodes"):
        write_report(empty, tmp_path / "r.html")
    with pytest.raises(ConfigError, match=r"out is .*r\.json.*expected the name of an \.html file"):
        write_report(empty, tmp_path / "r.json")
    assert [p.name for p in tmp_path.iterdir()] == ["empty.zarr"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_episodes_stay_small_and_quick(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    steps = 500 * 100
    state = generator.normal(size=(steps, 39)).cumsum(axis=0).astype(np.float32)
    arrays = {"state": state, "action": state[:, :4] + generator.normal(size=(steps, 4)).astype(np.float32)}
    path = replay_buffer(tmp_path / "d.zarr", arrays, list(range(100, steps + 1, 100)))
    # Of the processor, so that a busy machine makes no difference.
    began = time.process_time()
    report = write_report(open_store(path), tmp_path / "r.html")
    assert time.process_time() - began < 150
    assert report.page.stat().st_size <= 8_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recorded_push_t_demonstrations_as_they_are() -> None:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there")
    content = content_of(open_store(REAL))
    assert len(content["episodes"]) == 206 and content["data"]["steps"] == 25_650
    assert all(e["keep"] for e in content["episodes"])
    # Push-T actions are targets near the agent, so the state says most of the action.
    assert 0.03 < content["neighbours"]["ratio"] < 0.3
