"""The numbers behind the page: traces come back, CSV and JSON agree, correlations are Spearman's."""

import base64
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sample_pages
from hypothesis import given
from hypothesis import strategies as st
from judged_sets import judged
from scipy.stats import spearmanr

from imitate.curation.measurement import Measurement
from imitate.curation.page_correlations import correlation_section, rank_correlations
from imitate.curation.page_csv import episodes_csv
from imitate.curation.page_places import hex_map
from imitate.curation.page_traces import UNKNOWN, Curve, page_data, score_curves, signal_curves
from imitate.datasets.episode_store import ACTION


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    episodes = [sample_pages.episode(i, 20 + 20 * i, success=i != 3) for i in range(9)]
    return judged(sample_pages.store(tmp_path_factory.mktemp("data") / "d.zarr", episodes))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(-100, 0), st.floats(0.1, 100))
def test_a_byte_is_within_half_a_step_of_its_value(values: list[float], low: float, high: float) -> None:
    curve = Curve("x", "", "state", np.array(values), low, high)
    back = low + curve.quantised(curve.values) * (high - low) / 254
    assert np.abs(back - np.clip(values, low, high)).max() <= (high - low) / 254 / 2 + 1e-9


def test_unknown_values_stay_unknown() -> None:
    curve = Curve("x", "", "state", np.array([np.nan, np.inf, 1.0]), 1.0, 1.0)
    assert curve.quantised(curve.values).tolist() == [UNKNOWN, UNKNOWN, 0]


def test_traces_are_the_data_at_their_steps(measured: Measurement) -> None:
    data = page_data(measured, hex_map(measured))
    curves = [*signal_curves(measured), *score_curves(measured)]
    assert [curve["label"] for curve in data["curves"]] == [curve.label for curve in curves]
    for i, episode in enumerate(data["episodes"]):
        stored = np.frombuffer(base64.b64decode(episode["traces"]), np.uint8).reshape(len(curves), -1)
        assert stored.shape[1] == episode["points"] <= 120
        at = np.unique(np.linspace(0, episode["steps"] - 1, episode["points"]).round().astype(int))
        column = measured.arrays[ACTION][measured.slice_of(i), 0][at]
        low, high = data["curves"][0]["low"], data["curves"][0]["high"]
        assert np.abs(low + stored[0] * (high - low) / 254 - column).max() <= (high - low) / 254
    json.dumps(data, allow_nan=False)


def test_a_short_peak_of_a_score_survives_thinning(measured: Measurement) -> None:
    divergence = np.zeros(measured.steps)
    divergence[measured.slice_of(8).start + 101] = 1.0
    alone = replace(measured, steps_scores={"divergence": divergence})
    (curve,) = score_curves(alone)
    data = page_data(alone, hex_map(alone))
    assert data["episodes"][8]["points"] < data["episodes"][8]["steps"]
    assert curve.high == 1.0 and 254 in base64.b64decode(data["episodes"][8]["traces"])[-120:]


def test_constants_are_not_drawn_and_what_moves_is_preferred(measured: Measurement) -> None:
    curves = signal_curves(measured)
    assert [curve.label for curve in curves] == ["vx", "vy", "x", "y", "angle"]
    still = [replace(one, std=0.0, max=one.min) for one in measured.ranges["arm"]]
    assert len(signal_curves(replace(measured, ranges={**measured.ranges, "arm": still}))) == 2


def test_visits_name_every_step(measured: Measurement) -> None:
    data = page_data(measured, hex_map(measured))
    flat = np.concatenate([np.array(visits).reshape(-1, 3) for visits in data["visits"]])
    assert np.sum(flat[:, 2] - flat[:, 1]) == measured.steps


def test_csv_holds_the_numbers_of_the_json(measured: Measurement) -> None:
    rows = list(csv.DictReader(io.StringIO(episodes_csv(measured))))
    assert [row["id"] for row in rows] == [e.record.id for e in measured.episodes]
    for row, episode in zip(rows, measured.episodes, strict=True):
        assert row["keep"] == ("yes" if episode.keep else "no")
        assert row["reasons"] == "; ".join(episode.reasons)
        assert float(row["quality"]) == episode.quality
        for name, value in episode.scores.items():
            assert row[name] == "" if value is None else float(row[name]) == value


def test_csv_keeps_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    name = 'a, "b"\nc'
    store = sample_pages.store(
        tmp_path / "d.zarr", [sample_pages.episode(i, id=f"{name}{i}") for i in range(3)]
    )
    rows = list(csv.DictReader(io.StringIO(episodes_csv(judged(store)), newline="")))
    assert [row["id"] for row in rows] == [f"{name}{i}" for i in range(3)]


def test_correlations_are_spearmans_and_know_what_they_cannot_tell() -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=60)
    columns = np.stack(
        [a, np.exp(a), -(a**3), a + generator.normal(size=60), np.ones(60), np.full(60, np.nan)], 1
    )
    found = rank_correlations(columns)
    assert found[0, 1] == pytest.approx(1) and found[0, 2] == pytest.approx(-1)
    assert found[0, 3] == pytest.approx(spearmanr(a, columns[:, 3])[0])
    assert np.isnan(found[4]).all() and np.isnan(found[:, 5]).all()
    columns[:20, 3] = np.nan
    assert rank_correlations(columns)[0, 3] == pytest.approx(spearmanr(a[20:], columns[20:, 3])[0])


def test_correlations_of_one_episode_are_left_out(tmp_path: Path) -> None:
    store = sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(0)])
    assert correlation_section(judged(store)) is None
