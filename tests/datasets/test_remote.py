"""Stores on an S3 server are read as those of this machine, and each mistake is told in one line."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from object_store import BUCKET, ObjectStore, failing_after, way_to
from refused_data import refused
from server_programs import free_port

from imitate.cli.main import main
from imitate.datasets import remote
from imitate.datasets.opening import open_store
from imitate.datasets.remote import is_remote, local_copy
from imitate.datasets.store import DemoStore
from imitate.errors import DataError, MissingExtraError
from imitate.progress import Silent

URL = f"s3://{BUCKET}/demos.zarr"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    pytest.importorskip("pyarrow")
    started = ObjectStore(tmp_path_factory.mktemp("moto") / "log")
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", "somebody"),
        ("SECRET_ACCESS_KEY", "secret"),
        ("REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))


@pytest.fixture
def demos(
    server: ObjectStore, make_store: Callable[..., DemoStore], monkeypatch: pytest.MonkeyPatch
) -> DemoStore:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    store = make_store(5)
    server.put_folder(store.path, "demos.zarr")
    return store


def whole_copies() -> list[Path]:
    folder = Path(remote.os.environ[remote.CACHE]) / "remote"
    return [one for one in folder.glob("*") if not one.suffix] if folder.is_dir() else []


def test_a_remote_store_is_the_same_store(demos: DemoStore) -> None:
    with open_store(URL) as found:
        assert found.content_hash() == demos.content_hash()
        assert [one.id for one in found.episodes()] == [one.id for one in demos.episodes()]
    with open_store(URL):
        assert len(whole_copies()) == 1


def test_a_store_that_has_grown_is_copied_anew(
    demos: DemoStore, server: ObjectStore, make_episode: Callable
) -> None:
    open_store(URL).close()
    with DemoStore.open(demos.path) as store:
        store.append(make_episode(9))
    server.put_folder(demos.path, "demos.zarr")
    with open_store(URL) as found:
        assert len(found) == 6
    assert len(whole_copies()) == 2


@pytest.mark.slow
def test_commands_read_it(demos: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"data.path={URL}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 5
    assert main(["report", f"data.path={URL}", f"out={tmp_path / 'report.html'}"]) == 0
    data = json.loads((tmp_path / "report.json").read_text())["data"]
    assert (data["hash"], data["path"]) == (demos.content_hash(), URL)
    page = (tmp_path / "report.html").read_text()
    assert f"data.path={URL}" in page and "cache" not in page
    assert main(["inspect", f"data.path={URL}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["path"] == URL


class Shown(Silent):
    """What a person would see."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.total = self.done = 0.0

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator["Shown"]:
        self.total += total
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount


def test_a_copy_that_takes_time_is_shown(demos: DemoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Shown()
    local_copy(URL, seen)
    assert not seen.said and not seen.total  # quick enough
    monkeypatch.setattr(remote, "QUIET_S", -1.0)
    monkeypatch.setenv(remote.CACHE, os.environ[remote.CACHE] + "_slow")
    local_copy(URL, seen)
    (line,) = seen.said
    assert line.startswith(f"copying {URL}: ") and line.endswith(" s left")
    size = sum(file.stat().st_size for file in demos.path.rglob("*") if file.is_file()) / 1e6
    assert seen.done == pytest.approx(seen.total) == pytest.approx(size)


def test_an_interrupted_copy_goes_on_where_it_was(
    demos: DemoStore, server: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with failing_after(server.port, 12) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        said = refused(capsys, URL)
    assert f"{URL}/" in said and ("cannot be read" in said or "is truncated" in said)
    assert not whole_copies()
    began = {path.name for path in Path(remote.os.environ[remote.CACHE]).rglob("*") if path.is_file()}
    assert {".zattrs", ".zgroup"} <= began
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with open_store(URL) as found:
        assert found.content_hash() == demos.content_hash()


def test_what_is_changed_on_the_way_is_told(
    demos: DemoStore, server: ObjectStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.put("demos.zarr/note", b"as it was spoken")
    with way_to(server.port, lambda block: block.replace(b"spoken", b"broken")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert f"{URL}/note came with other content than the server says" in refused(capsys, URL)
    server.remove("demos.zarr/note")


def test_a_server_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert f"{URL} cannot be read" in refused(capsys, URL)


def test_a_bucket_or_name_that_is_not_there_is_told(
    demos: DemoStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "s3://nowhere/demos.zarr does not exist" in refused(capsys, "s3://nowhere/demos.zarr")
    assert f"s3://{BUCKET}/none.zarr does not exist" in refused(capsys, f"s3://{BUCKET}/none.zarr")


def test_wrong_credentials_are_told(
    demos: DemoStore, server: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    server.require_credentials(True)
    try:
        said = refused(capsys, URL)
    finally:
        server.require_credentials(False)
    assert f"{URL} cannot be read" in said and ("ACCESS" in said.upper() or "FORBIDDEN" in said.upper())


def test_a_truncated_object_is_told(
    demos: DemoStore, server: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = (demos.path / "data/action/0.0").read_bytes()
    server.put("demos.zarr/data/action/0.0", chunk[: len(chunk) // 2])
    said = refused(capsys, URL)
    assert "data/action/0.0 is truncated" in said


def test_file_paths_and_others(make_store: Callable[..., DemoStore]) -> None:
    store = make_store(2)
    with open_store(f"file://{store.path}") as found:
        assert len(found) == 2
    assert is_remote("s3://b/x") and is_remote("s3:/b/x")
    assert not any(map(is_remote, ("demos.zarr", "/a/b", "C:/a", "a:b", "./s3://x", "s3://")))
    with pytest.raises(DataError, match=r"nothing is known of abc://"):
        local_copy("abc://b/x")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(remote.import_extra.__globals__["importlib"].sys.modules, "pyarrow", None)
    monkeypatch.setitem(remote.import_extra.__globals__["importlib"].sys.modules, "pyarrow.fs", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'imitate\[remote\]'"):
        local_copy(URL)
