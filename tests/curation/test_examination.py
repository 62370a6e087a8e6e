"""Planted faults are found where they are, and good sets have none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_reaches import STRAY_FROM, STRAY_STEPS, frames, planted, reach, round_an_obstacle

from imitate.curation.examination import NAME_OF_STAGES, Examination, between, examine, projection
from imitate.curation.faults import EXTRANEOUS, NOISY, SLOW, WRONG_STYLE
from imitate.datasets.quality import neighbour_index
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex, Neighbours
from imitate.progress import SILENT

EACH = 3


def examined(of: Frames) -> Examination:
    with SILENT.task("examine", len(NAME_OF_STAGES)) as bar:
        return examine(of, bar)


@pytest.fixture(scope="module")
def found() -> tuple[Examination, np.ndarray]:
    reaches, kinds = planted(0, each=EACH)
    return examined(frames(reaches)), np.array(kinds)


def names(found: tuple[Examination, np.ndarray], kind: str) -> list[str]:
    examination, kinds = found
    assert examination.judgement is not None
    return [examination.judgement.faults[i] for i in np.flatnonzero(kinds == kind)]


def test_every_planted_fault_is_named_and_no_good_one(found: tuple[Examination, np.ndarray]) -> None:
    assert names(found, "noisy") == [NOISY] * EACH
    assert names(found, "stray") == [EXTRANEOUS] * EACH
    # At half the pace the end comes no nearer for long, and round a spiral it does neither.
    assert set(names(found, "slow")) <= {SLOW, EXTRANEOUS} and SLOW in names(found, "slow")
    assert set(names(found, "other way")) <= {WRONG_STYLE, EXTRANEOUS}
    assert not any(names(found, "clean"))


def test_excursions_are_cut_where_they_are(found: tuple[Examination, np.ndarray]) -> None:
    examination, kinds = found
    flags = {flag.episode: flag for flag in examination.flags()}
    for episode in np.flatnonzero(kinds == "stray"):
        flag = flags[int(episode)]
        assert flag.start == pytest.approx(STRAY_FROM, abs=2)
        assert flag.stop == pytest.approx(STRAY_FROM + STRAY_STEPS, abs=4)
        assert f"steps {flag.start} to {flag.stop - 1}" in flag.text


def test_flags_lie_within_their_episodes(found: tuple[Examination, np.ndarray]) -> None:
    examination, kinds = found
    flags = examination.flags()
    assert [flag.episode for flag in flags] == [i for i, kind in enumerate(kinds) if kind != "clean"]
    for flag in flags:
        assert 0 <= flag.start < flag.stop <= examination.frames.lengths[flag.episode]
    noisy = next(flag for flag in flags if flag.fault == NOISY)
    assert (noisy.start, noisy.stop) == (0, examination.frames.lengths[noisy.episode])


def test_scores_are_one_number_for_each_episode_or_step(found: tuple[Examination, np.ndarray]) -> None:
    examination, kinds = found
    assert all(values.shape == (len(examination.frames),) for values in examination.steps.values())
    assert all(examination.score(name).shape == kinds.shape for name in examination.names)
    pace = examination.score("pace")
    assert np.median(pace[kinds == "slow"]) == pytest.approx(0.5 * np.median(pace[kinds == "clean"]), rel=0.1)
    progress = examination.score("progress")
    assert np.median(progress[kinds == "clean"]) == pytest.approx(1.0, abs=0.15)
    assert progress[kinds == "slow"].max() < 0.75
    assert np.nanargmax(examination.score("badness")) in np.flatnonzero(kinds != "clean")


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_in_a_good_set_nobody_is_named(seed: int) -> None:
    generator = np.random.default_rng(seed)
    examination = examined(frames([reach(generator) for _ in range(40)]))
    assert examination.flags() == [] and examination.duplicates == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_ways_that_are_equally_common_are_no_fault(seed: int) -> None:
    generator = np.random.default_rng(seed)
    reaches = [round_an_obstacle(generator, side) for side in (-1, 1) * 20]
    assert examined(frames(reaches)).flags() == []


def test_below_ten_episodes_nobody_is_judged() -> None:
    generator = np.random.default_rng(0)
    few = examined(frames([reach(generator, "slow" if i == 3 else "clean") for i in range(9)]))
    assert few.flags() == [] and few.judgement is None and few.evidence is None
    assert "surprise" not in few.names and np.isfinite(few.score("divergence")).all()


def test_the_projection_keeps_the_two_widest_directions() -> None:
    generator = np.random.default_rng(0)
    turned, _ = np.linalg.qr(generator.normal(size=(4, 4)))
    hidden = generator.normal(size=(500, 4)) * [5.0, 2.0, 0.1, 0.1]
    known = np.arange(500) < 400
    flat = projection(hidden @ turned.T, known)
    assert flat.shape == (500, 2) and flat.dtype == np.float32
    for column, size in ((0, 5.0), (1, 2.0)):
        assert abs(np.corrcoef(flat[:, column], hidden[:, column])[0, 1]) > 0.99
        assert flat[known, column].std() == pytest.approx(size, rel=0.1)


def test_one_feature_or_none_still_has_a_plane() -> None:
    line = projection(np.arange(5.0)[:, None], np.ones(5, bool))
    assert np.ptp(line[:, 0]) > 0 and not line[:, 1].any()
    assert projection(np.empty((5, 0)), np.ones(5, bool)).shape == (5, 2)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 9),
)
def test_steps_that_are_not_examined_get_what_lies_between(
    lengths: list[int], share: float, seed: int
) -> None:
    of = Frames.of([np.zeros((n, 1)) for n in lengths], [np.zeros((n, 1)) for n in lengths])
    drawn = np.random.default_rng(seed)
    chosen = np.flatnonzero(drawn.random(len(of)) < share)
    values = np.full(len(of), np.nan)
    values[chosen] = drawn.standard_normal(len(chosen))
    values[chosen[::5]] = np.nan  # examined, but it could not be told
    filled = between(of, values, chosen)
    np.testing.assert_array_equal(filled[chosen], values[chosen])
    for rows in (of.rows(index) for index in range(len(lengths))):
        known = np.flatnonzero(np.isfinite(values[rows]))
        others = np.setdiff1d(np.arange(rows.stop - rows.start), chosen - rows.start)
        want = np.interp(others, known, values[rows][known]) if len(known) else np.full(len(others), np.nan)
        np.testing.assert_allclose(filled[rows][others], want, atol=1e-12)


def test_a_long_data_set_is_examined_in_part_and_scored_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_index, "EXAMINED_EXACTLY", 200)
    drawn = np.random.default_rng(0)
    parts = [np.cumsum(drawn.standard_normal((60, 2)), axis=0) for _ in range(12)]
    of = Frames.of(parts, [np.diff(part, axis=0, append=part[-1:]) for part in parts])
    asked: list[int] = []
    plain = NeighbourIndex.neighbours

    def counted(index: NeighbourIndex, k: int, rows: np.ndarray) -> Neighbours:
        asked.append(len(rows))
        return plain(index, k, rows)

    monkeypatch.setattr(NeighbourIndex, "neighbours", counted)
    found = examined(of)
    assert asked == [200, 200]
    for name in ("novelty", "divergence", "mutual_information"):
        assert np.isfinite(found.steps[name]).all(), name
