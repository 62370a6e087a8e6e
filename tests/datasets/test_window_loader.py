"""Facts about batches: they are the windows they claim to be, in an order that can be resumed."""

import itertools
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from loaded_windows import HORIZONS, loaded, require_same

from imitate.datasets.loader import DataConfig, prepare
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.types import DataSpec

Make = Callable[..., DemoStore]


def test_batches_hold_what_the_store_holds(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    data = loaded(store, spec, val_fraction=0.0)
    batch = data.train.batch(2)
    episodes = list(store.episodes())
    ends = store.episode_ends
    for row, index in enumerate(data.train.indices(2)):  # every episode is used: windows count as steps do
        episode = int(np.searchsorted(ends, index, side="right"))
        t = int(index - (ends[episode - 1] if episode else 0))
        source, last = episodes[episode], len(episodes[episode]) - 1
        for key in spec.obs:
            wanted = [source.obs[key][max(0, t - 1)], source.obs[key][t]]
            assert np.array_equal(batch.obs[key][row].numpy(), wanted)
        steps = [t - 1 + k for k in range(6)]
        assert np.array_equal(batch.action[row].numpy(), source.action[np.clip(steps, 0, last)])
        assert data.train.episodes(2)[row] == episode
        assert batch.is_pad[row].tolist() == [not 0 <= s <= last for s in steps]
    assert (batch.obs["camera"].dtype, batch.obs["state"].dtype) == (torch.uint8, torch.float32)
    assert batch.weight.tolist() == [1.0] * 16


def test_outcomes_are_what_came_of_each_action(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    data = loaded(store, spec, val_fraction=0.0)
    batch, plain = data.with_outcome().train.batch(2), data.train.batch(2)
    require_same(batch, plain)
    assert plain.outcome is None
    assert batch.outcome is not None
    episodes, ends = list(store.episodes()), store.episode_ends
    for row, index in enumerate(data.train.indices(2)):
        episode = int(np.searchsorted(ends, index, side="right"))
        t = int(index - (ends[episode - 1] if episode else 0))
        source, last = episodes[episode], len(episodes[episode]) - 1
        acted = np.clip([t - 1 + k for k in range(6)], 0, last)
        after = np.minimum(acted + 1, last)
        for key in spec.obs:
            assert np.array_equal(batch.outcome.obs[key][row].numpy(), source.obs[key][after])
        assert batch.outcome.is_last[row].tolist() == (acted == last).tolist()
        assert batch.outcome.success[row] == float(source.success is not False)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_every_epoch_visits_each_window_once_in_another_order(
    make_store: Make, spec: DataSpec, batch_size: int
) -> None:
    train = loaded(make_store(6), spec, batch_size).train
    windows = len(train)
    seen = np.concatenate([train.indices(step) for step in range(-(-3 * windows // batch_size))])[
        : 3 * windows
    ]
    epochs = seen.reshape(3, windows)
    assert (np.sort(epochs, axis=1) == np.arange(windows)).all()
    assert (epochs[0] != epochs[1]).any()
    assert train.batches_per_epoch == -(-windows // batch_size)


def test_a_batch_depends_on_seed_and_step_alone(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    first, second = loaded(store, spec).train, loaded(store, spec).train
    late = second.batch(23)
    for step in range(23):
        first.batch(step)
    require_same(first.batch(23), late)
    other = prepare(DataConfig(str(store.path)), HORIZONS, spec, 16, seed=4).train
    assert (other.indices(0) != first.indices(0)).any()


def test_the_stream_is_the_batches_from_any_step(make_store: Make, spec: DataSpec) -> None:
    train = loaded(make_store(6), spec).train
    stream = train.stream(5)
    for step, batch in zip(range(5, 20), stream, strict=False):
        require_same(batch, train.batch(step))
    stream.close()


def test_the_stream_passes_errors_on(make_store: Make, spec: DataSpec) -> None:
    store = make_store(6)
    train = loaded(store, spec, memory_gib=0.0).train
    chunk = store.path / "data/action/0.0"
    chunk.write_bytes(b"\xff" * chunk.stat().st_size)
    with pytest.raises(DataError, match="data/action"):
        next(train.stream(0))


def test_closing_the_stream_ends_its_thread(make_store: Make, spec: DataSpec) -> None:
    train = loaded(make_store(3), spec).train
    before = threading.active_count()
    stream = train.stream()
    list(itertools.islice(stream, 3))
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before
