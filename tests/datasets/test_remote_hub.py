"""Stores at Hugging Face, read by its real client from a server that gives the answers it needs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import REPOSITORY, TOKEN, HubServer, hub

from imitate.datasets.store import DemoStore

URL = f"hf://datasets/{REPOSITORY}/demos.zarr"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with hub() as started:
        yield started


@pytest.fixture
def inspected(server: HubServer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`imitate inspect` of a URL, in its own process: the client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    settings |= {"IMITATE_CACHE": str(tmp_path / "cache")}

    def run(url: str = URL, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "imitate", "inspect", f"data.path={url}"]
        return subprocess.run(
            command, env=os.environ | settings | more, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.slow
def test_a_store_at_hugging_face_is_the_same_store(
    server: HubServer, inspected: Callable[..., subprocess.CompletedProcess[str]], make_store: Callable
) -> None:
    store: DemoStore = make_store(5)
    server.put_folder(store.path, "demos.zarr")
    done = inspected()
    assert done.returncode == 0, done.stderr
    assert store.content_hash() in done.stdout and done.stdout.startswith(f"{URL}  ")
    server.is_private = True
    done = inspected()
    assert done.returncode == 2 and f"{URL} does not exist" in done.stderr and "HF_TOKEN" in done.stderr
    assert inspected(HF_TOKEN=TOKEN).returncode == 0


@pytest.mark.slow
def test_mistakes_are_told(
    server: HubServer, inspected: Callable[..., subprocess.CompletedProcess[str]], make_store: Callable
) -> None:
    store: DemoStore = make_store(5)
    server.put_folder(store.path, "demos.zarr")
    missing = URL.replace("demos", "none")
    assert f"{missing} does not exist" in inspected(missing).stderr
    name = "demos.zarr/data/action/0.0"
    server.claimed[name] = len(server.files[name]) + 1
    done = inspected()
    assert done.returncode == 2 and "data/action/0.0 is truncated" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
