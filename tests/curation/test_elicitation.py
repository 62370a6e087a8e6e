"""The coach on swirls around a point: who goes the base's way, who goes the other, where nobody went."""

import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imitate.curation.elicitation import Coach
from imitate.curation.suggestions import AROUND, suggest
from imitate.datasets.quality.frames import Frames
from imitate.errors import DataError, SpecError
from imitate.types import ArraySpec, DataSpec, Episode

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 50
SPEC = DataSpec({"position": ArraySpec((2,), units=("m", "m"))}, ArraySpec((2,)), 10.0)
OLD, NEW = np.pi, 0.65 * np.pi


def swirl(seed: int, turn: float, region: float, turn_back: range = range(0)) -> Episode:
    """A spiral to the origin from around the angle `region`; `turn` says which way round.

    In the steps `turn_back` the recorded action is the opposite.
    """
    rng = np.random.default_rng(seed)
    angle, radius = region + rng.uniform(-0.5, 0.5), rng.uniform(1.2, 2.0)
    position = radius * np.array([np.cos(angle), np.sin(angle)])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    positions, actions = [], []
    for step in range(STEPS):
        action = -rotation @ position / max(np.linalg.norm(position), 0.3) * 0.06
        action += rng.normal(0, 0.01, 2)
        positions.append(position)
        actions.append(-action if step in turn_back else action)
        position = position + action
    return Episode(f"s{seed}", {"position": np.array(positions)}, np.array(actions))


@pytest.fixture(scope="module")
def coach() -> Coach:
    return Coach.fit([swirl(seed, 0.5, OLD) for seed in range(20)], SPEC)


def test_failed_and_copied_demonstrations_are_no_base() -> None:
    known = [swirl(seed, 0.5, OLD) for seed in range(8)]
    failed = replace(swirl(30, -0.5, OLD), success=False)
    copies = [replace(known[0], id=f"copy{i}") for i in range(3)]
    coach = Coach.fit([*known, failed, *copies], SPEC)
    assert coach.ids == tuple(one.id for one in known)
    alone = Coach.fit(known, SPEC)
    assert coach.limit == alone.limit and coach.score(swirl(40, 0.5, OLD)) == alone.score(swirl(40, 0.5, OLD))


def acceptance(coach: Coach, turn: float, region: float) -> float:
    return float(np.mean([coach.score(swirl(100 + i, turn, region)).is_accepted for i in range(30)]))


def test_like_the_base_is_accepted_also_elsewhere_and_its_opposite_is_not(coach: Coach) -> None:
    assert acceptance(coach, 0.5, OLD) >= 0.85
    assert acceptance(coach, 0.5, NEW) >= 0.85
    assert acceptance(coach, -0.5, OLD) <= 0.3
    same, opposite = (
        np.mean([coach.score(swirl(i, t, OLD)).score for i in range(50, 80)]) for t in (0.5, -0.5)
    )
    assert same > opposite + 0.05


def test_the_worst_window_is_where_it_went_wrong_and_shows_how_it_is_done(coach: Coach) -> None:
    wrong = swirl(200, 0.5, OLD, range(15, 30))
    feedback = coach.score(wrong)
    worst = feedback.windows[0]
    assert not feedback.is_accepted and len(feedback.windows) <= 3
    assert worst.first <= 22 <= worst.last and worst.last - worst.first == 2 * AROUND
    assert worst.score == min(window.score for window in feedback.windows)
    shown = swirl(int(worst.closest_id[1:]), 0.5, OLD).obs["position"][worst.closest_step]
    middle = wrong.obs["position"][worst.first + AROUND]
    assert np.linalg.norm(shown - middle) < 0.2
    said = f"steps {worst.first} to {worst.last}; see {worst.closest_id} from step {worst.closest_step}"
    assert feedback.reason.startswith("rejected") and said in feedback.reason


def test_windows_do_not_overlap(coach: Coach) -> None:
    spans = sorted((w.first, w.last) for w in coach.score(swirl(300, -0.5, OLD)).windows)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))


def test_the_accepted_are_told_what_they_add(coach: Coach) -> None:
    said = [coach.score(swirl(i, 0.5, NEW)) for i in range(100, 110)]
    reasons = [one.reason for one in said if one.is_accepted]
    assert reasons and all(one.startswith("accepted") and "% of its steps" in one for one in reasons)


@pytest.mark.parametrize("steps", [1, 3, 700])
def test_demonstrations_of_any_length(coach: Coach, steps: int) -> None:
    one = swirl(5, 0.5, OLD)
    rows = np.arange(steps) % STEPS
    feedback = coach.score(Episode("x", {"position": one.obs["position"][rows]}, one.action[rows]))
    assert 0 <= feedback.score <= 1


def test_an_answer_takes_less_than_a_tenth_of_a_second(coach: Coach) -> None:
    rows = np.repeat(np.arange(STEPS), 6)
    one = swirl(5, -0.5, OLD)
    long = Episode("x", {"position": one.obs["position"][rows]}, one.action[rows])
    seconds = []
    for _ in range(9):
        began = time.perf_counter()
        coach.score(long)
        seconds.append(time.perf_counter() - began)
    assert np.median(seconds) < 0.1


def test_saved_and_loaded_it_says_the_same(coach: Coach, tmp_path: Path) -> None:
    coach.save(tmp_path / "coach.safetensors")
    again = Coach.load(tmp_path / "coach.safetensors")
    for turn in (0.5, -0.5):
        assert again.score(swirl(70, turn, OLD)) == coach.score(swirl(70, turn, OLD))
    assert again.ids == coach.ids and again.spec == coach.spec


def test_damaged_and_foreign_files_are_refused(coach: Coach, tmp_path: Path) -> None:
    path = tmp_path / "coach.safetensors"
    coach.save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    foreign = (tmp_path / "foreign").read_bytes()
    for content in (whole[:-50], bytes(flipped), foreign, b"x" * 9, b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match="coach"):
            Coach.load(path)
    with pytest.raises(DataError, match="absent"):
        Coach.load(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be written"):
        coach.save(tmp_path / "no folder" / "x")


def test_a_demonstration_of_something_else_is_refused(coach: Coach) -> None:
    with pytest.raises(SpecError, match="position"):
        coach.score(Episode("x", {"place": np.ones((5, 2))}, np.ones((5, 2))))
    with pytest.raises(DataError, match="no base"):
        Coach.fit([], SPEC)


def corridor() -> tuple[Frames, dict[str, np.ndarray], list[np.ndarray]]:
    """Straight walks from x = 0 … 1 and one from x = 3, with an angle that starts beside the wrap."""
    starts = [*np.linspace(0, 1, 9), 3.0]
    states = [np.column_stack([np.full(40, x), np.linspace(0, 1, 40)]) for x in starts]
    angle = np.repeat([6.2] * 9 + [0.2], 40)[:, None]
    return Frames.of(states, states), {"place": np.concatenate(states), "angle": angle}, states


def test_suggestions_are_where_need_is_planted() -> None:
    frames, obs, _ = corridor()
    spec = DataSpec({"place": ArraySpec((2,)), "angle": ArraySpec((1,), circular=(0,))}, ArraySpec((2,)))
    divergence = np.where((frames.episode == 4) & (np.arange(400) % 40 >= 25), 5.0, 1.0)
    novelty = np.where(frames.episode == 4, 2.0, 1.0)
    divergence[:40] = np.nan
    found = suggest(frames, divergence, novelty, obs, spec, [f"e{i}" for i in range(10)], 4)
    assert [one.kind for one in found] == ["moment", "start", "moment", "start"]
    moment, start = found[0], found[1]
    assert moment.episodes == ("e4",) and moment.step >= 25
    assert moment.state["place"] == obs["place"][160 + moment.step].tolist()
    assert set(start.episodes) == {"e8", "e9"} and start.state["place"] == pytest.approx([2.0, 0.0])
    assert np.cos(start.state["angle"][0] - (6.2 + 0.2 + 2 * np.pi) / 2) == pytest.approx(1.0)
    assert "disagree" in moment.reason and "starts here" in start.reason


def test_nothing_is_suggested_without_grounds() -> None:
    frames, obs, _ = corridor()
    alike = Frames(np.zeros_like(frames.state), frames.action, frames.lengths)
    spec = DataSpec({"place": ArraySpec((2,)), "angle": ArraySpec((1,), circular=(0,))}, ArraySpec((2,)))
    unknown = np.full(400, np.nan)
    assert suggest(alike, unknown, unknown, obs, spec, [f"e{i}" for i in range(10)]) == []
