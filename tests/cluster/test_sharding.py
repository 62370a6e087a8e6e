"""Batches in parts: every window of a batch is learnt from once, by one worker."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from line_demos import line_demos

from imitate.cluster.sharding import WorkerWindows, dealt, joined, parts
from imitate.datasets.loader import DataConfig, TrainingData, prepare
from imitate.errors import ConfigError
from imitate.policy import Horizons


@given(st.integers(1, 500), st.integers(1, 64))
def test_parts_cover_a_batch_evenly(batch_size: int, shards: int) -> None:
    if shards > batch_size:
        with pytest.raises(ConfigError, match=f"cluster.shards is {shards}, expected at most train.batch_s"):
            parts(batch_size, shards)
        return
    rows = [list(range(batch_size))[part] for part in parts(batch_size, shards)]
    assert list(chain(*rows)) == list(range(batch_size))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@given(st.integers(1, 64), st.integers(1, 80))
def test_every_shard_has_one_worker(shards: int, workers: int) -> None:
    if workers > shards:
        with pytest.raises(
            ConfigError, match=f"cluster.shards is {shards}, expected at least cluster.worker"
        ):
            dealt(shards, 0, workers)
        return
    hands = [list(dealt(shards, rank, workers)) for rank in range(workers)]
    assert sorted(chain(*hands)) == list(range(shards))
    assert min(map(len, hands)) >= 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = line_demos(tmp_path_factory.mktemp("data") / "line.zarr")
    return prepare(DataConfig(str(path)), Horizons(2, 4, 2), None, 30, 0)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_workers_together_read_the_batch_of_one_machine(data: TrainingData, workers: int) -> None:
    rows = parts(30, 4)
    shares = [
        WorkerWindows(data.train, [rows[shard] for shard in dealt(4, rank, workers)])
        for rank in range(workers)
    ]
    for step in (0, 7, 8):  # the last begins a new epoch
        whole = data.train.batch(step)
        indices = np.concatenate([share.indices(step) for share in shares])
        assert sorted(indices) == sorted(data.train.indices(step))
        order = np.concatenate([np.arange(30)[rows[s]] for r in range(workers) for s in dealt(4, r, workers)])
        found = joined([share.batch(step) for share in shares])
        assert torch.equal(found.action, whole.action[order])
        assert all(torch.equal(found.obs[key], value[order]) for key, value in whole.obs.items())
        assert [len(share.episodes(step)) for share in shares] == [len(share.batch(step)) for share in shares]


def test_a_worker_reads_its_rows_alone(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    share, taken = WorkerWindows(data.train, [slice(0, 5), slice(20, 25)]), []
    for rows in data.train._rows.values():
        take = rows.take
        monkeypatch.setattr(
            rows, "take", lambda wanted, take=take: (taken.append(len(wanted)), take(wanted))[1]
        )
    share.batch(0)
    assert set(taken) == {5}
