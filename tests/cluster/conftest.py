"""One Ray for all tests that only work with it: starting it takes as long as all that they do with it."""

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from cluster_commands import MARK, is_gone

from imitate.cluster.config import ClusterConfig
from imitate.cluster.session import session

EVERYTHING = "IMITATE_CLUSTER_TESTS=all scripts/test tests/cluster"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, one of them runs all that start a Ray: they share it, and two at
    the same time would only wait for each other. CI leaves out what is marked as thorough."""
    for item in items:
        if item.get_closest_marker("thorough") and os.environ.get("IMITATE_CLUSTER_TESTS") != "all":
            item.add_marker(pytest.mark.skip(reason=f"runs with {EVERYTHING}"))
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def ray() -> Iterator[ModuleType]:
    if importlib.util.find_spec("ray") is None:  # it may be imported only where the session does
        pytest.skip("the extra `cluster` is not installed")
    mark = os.environ[MARK] = uuid.uuid4().hex
    with session(ClusterConfig(workers=4)) as connected:
        # What Ray starts has the mark from it. A forkserver that tests start would live as long as they all.
        del os.environ[MARK]
        yield connected
    assert is_gone(mark), "parts of Ray have outlived their session"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
