"""Keep-lists: the recommended one, shares by one score, and what may not be asked for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages
from judged_sets import judged

from imitate.curation.faults import EXTRANEOUS
from imitate.curation.measurement import Measurement
from imitate.curation.selection import keep_list
from imitate.datasets.keep_list import read_keep_list, write_keep_list
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError, DataError
from imitate.types import Episode

COUNT, FAILED, STRAYS, COPY = 9, 2, 4, 9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DemoStore:
    """Nine reaches of 20, 22, … steps, one failed, and a copy of the first; too few to judge."""
    episodes = [sample_pages.episode(i, 20 + 2 * i, success=i != FAILED) for i in range(COUNT)]
    copy = Episode("copy", episodes[0].obs, episodes[0].action, success=True, rate_hz=10.0)
    return sample_pages.store(tmp_path_factory.mktemp("data") / "d.zarr", [*episodes, copy])


@pytest.fixture(scope="module")
def measured(store: DemoStore) -> Measurement:
    """Episode 4 is called one with an excursion, by decree; the second, nearly a copy by decree, is not."""
    found = judged(store)
    episodes = [replace(one, fault=None, flag=None, near_duplicate_of=None) for one in found.episodes]
    flag = found.episodes[STRAYS].flag
    assert flag is not None
    episodes[STRAYS] = replace(episodes[STRAYS], fault=EXTRANEOUS, flag=replace(flag, fault=EXTRANEOUS))
    return replace(found, episodes=episodes)


def kept(entries: list[dict[str, Any]]) -> list[int]:
    return [i for i, entry in enumerate(entries) if entry["keep"]]


def entry_of(entries: list[dict[str, Any]], name: str) -> Mapping[str, Any]:
    return next(entry for entry in entries if entry["id"] == name)


def test_recommended_leaves_out_facts_and_cuts_excursions(measured: Measurement) -> None:
    entries = keep_list(measured, "recommended", None, 0)
    assert kept(entries) == [i for i in range(COUNT) if i != FAILED]
    assert entry_of(entries, "copy")["reasons"] == ["exact duplicate of seed0"]
    assert entries[FAILED]["reasons"] == ["failed demonstration"] and entries[FAILED]["weight"] == 0.0
    flag = measured.episodes[STRAYS].flag
    assert flag is not None
    assert entries[STRAYS]["segments"] == [{"start": flag.start, "stop": flag.stop, "weight": 0.0}]
    assert "extraneous segment" in entries[STRAYS]["reasons"][0]


def test_nearly_the_same_as_another_is_named_and_kept(measured: Measurement) -> None:
    episodes = [replace(measured.episodes[0], near_duplicate_of="seed7"), *measured.episodes[1:]]
    first = keep_list(replace(measured, episodes=episodes), "recommended", None, 0)[0]
    assert first["keep"] and first["weight"] == 1.0 and first["reasons"] == ["nearly the same as seed7"]


def test_everything_is_everything(measured: Measurement) -> None:
    entries = keep_list(measured, "everything", None, 0)
    assert kept(entries) == list(range(COUNT + 1))
    assert all(entry["reasons"] == [] and entry["segments"] == [] for entry in entries)


@pytest.mark.parametrize(("share", "count"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_the_share_is_of_those_without_hard_facts(measured: Measurement, share: float, count: int) -> None:
    entries = keep_list(measured, "shortest", share, 0)
    usable = [i for i in range(COUNT) if i != FAILED]
    assert kept(entries) == usable[:count]
    if count < 8:
        assert entries[8]["reasons"] == ["rank 8 of 8 by shortest"]


def test_quality_keeps_the_highest_and_divergence_the_lowest(measured: Measurement) -> None:
    usable = [i for i in range(COUNT) if i != FAILED]
    quality = {i: measured.episodes[i].quality for i in usable}
    assert kept(keep_list(measured, "quality", 1 / 8, 0)) == [max(quality, key=lambda i: quality[i])]
    divergence = {i: measured.episodes[i].scores["divergence"] for i in usable}
    lowest = min(usable, key=lambda i: divergence[i] or 0.0)
    assert kept(keep_list(measured, "divergence", 1 / 8, 0)) == [lowest]


def test_random_is_drawn_by_its_seed(measured: Measurement) -> None:
    drawn = [tuple(kept(keep_list(measured, "random", 0.5, seed))) for seed in range(8)]
    assert drawn[0] == tuple(kept(keep_list(measured, "random", 0.5, 0)))
    assert len(set(drawn)) > 4 and {len(one) for one in drawn} == {4}


@pytest.mark.parametrize("method", ["mutual_information", "mode_divergence", "novelty", "jerk"])
def test_episodes_that_were_not_compared_do_not_stand_in_the_way(measured: Measurement, method: str) -> None:
    # The copy has none of these scores.
    entries = keep_list(measured, method, 0.5, 0)
    assert len(kept(entries)) == 4 and COPY not in kept(entries)


def test_a_score_that_nobody_has_is_an_error(measured: Measurement) -> None:
    with pytest.raises(DataError, match="surprise"):
        keep_list(measured, "surprise", 0.5, 0)


def test_of_known_scores_the_worst_go_before_unknown_ones(measured: Measurement) -> None:
    scores = {**measured.episodes[0].scores, "jerk": None}
    first = replace(measured.episodes[0], scores=scores)
    entries = keep_list(replace(measured, episodes=[first, *measured.episodes[1:]]), "jerk", 1 / 8, 0)
    assert kept(entries) == [0]


@pytest.mark.parametrize(
    ("method", "share", "message"),
    [
        ("qualty", 0.5, "method is 'qualty' .*did you mean 'quality'"),
        ("recommended", 0.5, "says itself what to keep"),
        ("quality", None, "keep is None, expected a share"),
        ("quality", 0.0, "keep is 0.0, expected a share"),
        ("quality", 1.5, "keep is 1.5, expected a share"),
        ("random", float("nan"), "keep is nan, expected a share"),
    ],
)
def test_what_may_not_be_asked_for(
    measured: Measurement, method: str, share: float | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        keep_list(measured, method, share, 0)


def test_training_reads_what_was_chosen(measured: Measurement, store: DemoStore, tmp_path: Path) -> None:
    entries = keep_list(measured, "recommended", None, 0)
    write_keep_list(tmp_path / "keep.json", entries, store.content_hash(), {"method": "recommended"})
    chosen = read_keep_list(tmp_path / "keep.json", store, store.content_hash())
    assert list(chosen.episodes) == kept(entries)
    flag = measured.episodes[STRAYS].flag
    assert flag is not None
    own = chosen.weights[measured.slice_of(STRAYS)]
    assert np.flatnonzero(own == 0).tolist() == list(range(flag.start, flag.stop))
    assert chosen.weights[measured.slice_of(0)].all()
