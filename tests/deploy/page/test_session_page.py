"""What the page of a session says, of sessions whose contents are known."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import planted_session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from line_env import LineConfig
from planted_session import plant
from recorded_session import HEADER

from imitate.deploy.backends.simulated import SimulatedRobot
from imitate.deploy.clock import VirtualClock
from imitate.deploy.description import Target
from imitate.deploy.page.recording import Trace, attempts, read_recording
from imitate.deploy.page.session_page import write_session_page
from imitate.deploy.page.timeline import timeline_block
from imitate.deploy.page.tracks import intervention_runs, thinned, who_spans
from imitate.deploy.page.verdict import findings, headline_words
from imitate.deploy.page.videos import UNDRAWN, film
from imitate.deploy.recording.session import SessionRecorder
from imitate.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    planted = plant(tmp_path_factory.mktemp("sessions") / "first")
    write_session_page(planted)
    return planted


def drawn(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="session">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def cells(page: str) -> list[str]:
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)]


def said(folder: Path) -> str:
    return " ".join(finding.text for finding in findings(read_recording(folder)))


def test_its_numbers_are_those_of_the_session(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    told = cells(page)
    for key in ("p50", "p99", "max"):
        assert f"{planted_session.TIMES[key]:.1f}" in told
    assert "2.0 % of 300 ticks came a whole period late." in page
    assert "1 of 1 attempt succeeded." in page
    assert "intervened 3 times in 30 commands: velocity 3." in page
    assert "It held once: stale: observations.camera." in page
    assert "1 observation unlike those of the training" in page


def test_a_planted_intervention_is_there_at_its_time(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    data = drawn(page)
    assert [(run[0], run[2], run[3], run[4]) for run in data["gate"]] == [
        (0.7, "arm", "velocity", 2),
        (2.2, "arm", "velocity", 1),
    ]
    assert page.count('href="#t=0.700"') == 1 and 'href="#t=2.200"' in page
    shoulder = next(plot for plot in data["plots"] if plot["name"] == "shoulder")
    proposed = next(line for line in shoulder["lines"] if line["kind"] == "proposed")
    assert proposed["t"] == [0.7, 0.71, 2.2] and proposed["v"] == [planted_session.PROPOSED] * 3
    assert "4 rad/s, the limit is 1" in cells(page)


def test_states_attempts_and_who_acts_are_spans(folder: Path) -> None:
    data = drawn((folder / "index.html").read_text())
    assert data["attempts"] == [[0.0, 2.9]]
    assert [(span[0], span[1], span[2]) for span in data["states"]][2:] == [
        (0.0, 1.5, "running"),
        (1.5, 1.8, "hold"),
        (1.8, 2.9, "running"),
        (2.9, 2.9, "hold"),
        (2.9, 2.9, "idle"),
    ]
    assert [(span[0], span[1], span[2]) for span in data["who"]] == [(0.0, 2.9, "policy")]
    assert data["odd"] == [1.0] and data["late"] == [[1.0, 31.25]]


def test_commanded_and_measured_are_what_was_recorded(folder: Path) -> None:
    data = drawn((folder / "index.html").read_text())
    lines = {line["kind"]: line for line in data["plots"][0]["lines"]}
    assert lines["commanded"]["v"] == pytest.approx([step + 0.25 for step in range(30)], abs=0.01)
    assert lines["measured"]["v"] == list(range(30))
    # Readings arrived 10 ms before they were seen.
    assert lines["measured"]["t"][1] == pytest.approx(0.09, abs=1e-3)


def test_nothing_that_was_recorded_becomes_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><b>x"
    folder = plant(tmp_path / "a&<b>", rule=evil, why=evil, policy=evil)
    page = write_session_page(folder).read_text()
    assert "<script>alert" not in page and "<b>" not in page
    assert drawn(page)["gate"][0][3] == evil


def test_an_empty_session_has_a_page(tmp_path: Path) -> None:
    SessionRecorder(tmp_path / "s" / "session.mcap", HEADER).close()
    page = write_session_page(tmp_path / "s").read_text()
    assert "No attempt began in this session." in page and "session.json is missing" in page
    assert drawn(page)["attempts"] == []


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_recording_that_is_cut_off_still_has_a_page_that_says_so(tmp_path: Path, share: float) -> None:
    folder = plant(tmp_path / "s", is_finished=False)
    path = folder / "session.mcap"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    page = write_session_page(folder).read_text()
    assert "The recording is cut off" in page and "session.json is missing" in page


def test_what_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no session\.mcap"):
        write_session_page(tmp_path)


def test_without_session_json_the_recording_speaks(tmp_path: Path) -> None:
    folder = plant(tmp_path / "s", is_finished=False)
    page = write_session_page(folder).read_text()
    assert "It held once: stale: observations.camera." in page
    assert "intervened 3 times" in page and "attempts succeeded" not in page
    # Times are those that were recorded while it ran.
    assert f"{np.percentile(planted_session.LATE_MS, 50):.1f}" in cells(page)


def test_a_dry_run_claims_no_success(tmp_path: Path) -> None:
    folder = plant(tmp_path / "s", mode="dry-run")
    assert "succeeded" not in said(folder)
    assert "nothing was sent" in headline_words(read_recording(folder))


def test_a_camera_becomes_a_video(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert (folder / "camera_camera.mp4").stat().st_size > 500
    assert page.count("<video") == 1 and "camera camera" in page


@pytest.mark.slow
def test_ten_minutes_at_100_hz_are_less_than_5_mb_and_keep_their_extremes(folder: Path) -> None:
    times = 1000 + np.arange(60_000) / 100
    values = np.random.default_rng(0).standard_normal((60_000, 2))
    values[31_234] = [25.0, -25.0]
    recording = read_recording(folder)
    groups = tuple(
        replace(
            recording.groups[0], name=f"arm{i}", commanded=Trace(times, values), measured=Trace(times, values)
        )
        for i in range(4)
    )
    block = timeline_block(replace(recording, groups=groups, end_s=1600.0))
    assert len(block) < 3_000_000
    lines = [line for plot in drawn(block)["plots"] for line in plot["lines"] if line["kind"] == "commanded"]
    assert len(lines) == 8
    for number, line in enumerate(lines):
        peak = 25.0 if number % 2 == 0 else -25.0
        assert line["t"][line["v"].index(peak)] == pytest.approx(312.34, abs=2e-3)


@given(
    arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6)),
    st.integers(4, 100),
)
def test_thinning_keeps_extremes_ends_and_order(values: np.ndarray, points: int) -> None:
    times, kept = thinned(np.arange(len(values), dtype=float), values, points)
    assert kept.min() == values.min() and kept.max() == values.max()
    assert times[0] == 0 and times[-1] == len(values) - 1 and (np.diff(times) > 0).all()
    assert np.array_equal(values[times.astype(int)], kept)
    assert len(kept) <= points + 2


def test_a_person_goes_before_a_policy_and_silence_ends_a_span() -> None:
    sources = [(0.0, "policy"), (0.1, "hold"), (0.1, "person"), (0.2, "person"), (5.0, "hold")]
    found = [(span.start_s, span.end_s, span.name) for span in who_spans(sources)]
    assert found == [(0.0, 0.1, "policy"), (0.1, 0.2, "person"), (5.0, 5.0, "hold")]


def test_interventions_that_follow_one_another_are_one_run(folder: Path) -> None:
    runs = intervention_runs(read_recording(folder))
    assert [run.count for run in runs] == [2, 1]
    assert len(attempts(read_recording(folder))) == 1


def line_robot(trouble: str = "") -> SimulatedRobot:
    config = LineConfig(trouble=trouble)
    target = Target("joint_velocity", "/x", ("dx",), "values", ("x",), "rate")
    return SimulatedRobot(config.build(), {"x": target}, {"x": ("x",)}, VirtualClock(), config.build)


def test_a_simulation_is_filmed_by_playing_it_again(tmp_path: Path) -> None:
    robot = line_robot()
    robot.begin(3)
    robot.played[-1][1].extend(np.array([0.5]) for _ in range(6))
    film(robot, tmp_path)
    assert (tmp_path / "attempt_1.mp4").stat().st_size > 500
    again = list(robot.play_again(*robot.played[0]))
    assert len(again) == 7 and np.array_equal(again[0], next(iter(robot.play_again(3, []))))
    assert not np.array_equal(again[0], again[-1])


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    robot = line_robot("no camera")
    robot.begin(3)
    folder = plant(tmp_path / "s")
    film(robot, folder)
    assert (folder / UNDRAWN).exists()
    assert (
        "The scene could not be drawn: libOSMesa.so was not found" in write_session_page(folder).read_text()
    )
