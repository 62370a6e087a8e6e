"""What an import promises: what is carried over is the same, the rest is said, failures leave nothing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from imitate.datasets import importing
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import writable
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.errors import DataError
from imitate.progress import Progress
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


def test_what_an_export_wrote_wrongly_is_not_kept(
    make_store: Callable[..., DemoStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(4)
    right = writable("robomimic")

    def wrong(given: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
        said = right.write(given, out, progress)
        with h5py.File(out, "r+") as file:
            file["data/demo_1/actions"][2, 1] += 0.01
        return said

    monkeypatch.setattr(importing, "writable", lambda key: replace(right, write=wrong))
    with pytest.raises(DataError, match="'action' of episode 'demo_1' is not what was to be written"):
        importing.export_store(store, tmp_path / "b.hdf5", "robomimic")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demos.zarr"]


def test_a_folder_of_no_format_is_answered_with_what_it_holds(
    make_store: Callable[..., DemoStore], tmp_path: Path
) -> None:
    (tmp_path / "lab" / "monday").mkdir(parents=True)
    make_store(2).path.rename(tmp_path / "lab/monday/demos.zarr")
    (tmp_path / "lab/notes.txt").write_text("three failed")
    (tmp_path / "lab/away").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"can be imported: monday/demos.zarr \(imitate store\); name one"):
        import_file(tmp_path / "lab", tmp_path / "out.zarr")
    shutil.rmtree(tmp_path / "lab/monday")
    with pytest.raises(DataError, match=r"nor is anything in it: it holds away, notes.txt; see docs"):
        import_file(tmp_path / "lab", tmp_path / "out.zarr")
    with pytest.raises(DataError, match=r"notes.txt is in no known format; see docs"):
        import_file(tmp_path / "lab/notes.txt", tmp_path / "out.zarr")
    (tmp_path / "mix.yaml").write_text("stores:\n  - path: absent.zarr\n")
    with pytest.raises(DataError, match=r"stores\[0\].weight is missing"):
        import_file(tmp_path / "mix.yaml", tmp_path / "out.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it is empty"):
        import_file(tmp_path / "empty", tmp_path / "out.zarr")
