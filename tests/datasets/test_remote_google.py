"""Stores in Google's Cloud Storage, read by its real client from a server that speaks its language."""

from collections.abc import Callable, Iterator
from pathlib import Path

import google_store
import pytest
from google_store import BUCKET, GoogleStore
from refused_data import refused
from server_programs import free_port

from imitate.datasets import remote
from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore

URL = f"gs://{BUCKET}/demos.zarr"
ENDPOINT = "CLOUD_STORAGE_EMULATOR_ENDPOINT"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStore]:
    pytest.importorskip("pyarrow")
    started = GoogleStore(tmp_path_factory.mktemp("google") / "log")
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: GoogleStore) -> None:
    google_store.write_account(tmp_path / "account.json")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv(ENDPOINT, server.url)
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))


@pytest.fixture
def demos(server: GoogleStore, make_store: Callable[..., DemoStore]) -> DemoStore:
    store = make_store(5)
    server.put_folder(store.path, "demos.zarr")
    return store


def test_a_store_at_google_is_the_same_store(demos: DemoStore) -> None:
    with open_store(URL) as found:
        assert found.content_hash() == demos.content_hash()
        assert found.address == URL


def test_the_md5_of_google_is_compared(demos: DemoStore) -> None:
    stream, tag = remote.Arrow.of("gs").open(f"{BUCKET}/demos.zarr/.zattrs")
    stream.close()
    assert remote.MD5.fullmatch(tag)


def test_what_is_not_there_is_told(demos: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"gs://{BUCKET}/none.zarr does not exist" in refused(capsys, f"gs://{BUCKET}/none.zarr")


def test_a_truncated_object_is_told(
    demos: DemoStore, server: GoogleStore, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = (demos.path / "data/action/0.0").read_bytes()
    server.put("demos.zarr/data/action/0.0", chunk[: len(chunk) // 2])
    assert "data/action/0.0 is truncated" in refused(capsys, URL)


def test_a_server_that_is_not_there_is_told_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(remote, "READ_S", 3.0)
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{free_port()}")
    assert f"{URL} cannot be read" in refused(capsys, URL)


def test_credentials_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    assert f"{URL} cannot be read" in refused(capsys, URL)
