"""One Ray for the tests of a file: starting it takes as long as all that they do with it."""

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from imitate.cluster.config import ClusterConfig
from imitate.cluster.session import session


@pytest.fixture(scope="session")
def ray() -> Iterator[ModuleType]:
    if importlib.util.find_spec("ray") is None:  # it may be imported only where the session does
        pytest.skip("the extra `cluster` is not installed")
    with session(ClusterConfig(workers=4)) as connected:
        yield connected


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
