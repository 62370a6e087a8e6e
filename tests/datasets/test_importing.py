"""What an import promises: what is carried over is the same, the rest is said, failures leave nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.types import Episode


def test_a_store_of_our_own_keeps_its_hash(make_store: Callable[..., DemoStore], tmp_path: Path) -> None:
    store = make_store(4)
    report = import_file(store.path, tmp_path / "copy.zarr")
    assert report.data_hash == store.content_hash()
    with pytest.raises(DataError, match="already exists"):
        import_file(store.path, tmp_path / "copy.zarr")


def test_an_interrupted_import_leaves_nothing_and_can_be_repeated(
    make_store: Callable[..., DemoStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(4)

    def interrupted(self: DemoStore) -> Iterator[Episode]:
        yield self.episode(0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DemoStore, "episodes", interrupted)
        import_file(store.path, tmp_path / "copy.zarr")
    assert [child.name for child in tmp_path.iterdir()] == ["demos.zarr"]
    (tmp_path / ".copy.zarr.importing").mkdir()  # what kill -9 leaves
    assert import_file(store.path, tmp_path / "copy.zarr").episodes == 4
    assert sorted(child.name for child in tmp_path.iterdir()) == ["copy.zarr", "demos.zarr"]
