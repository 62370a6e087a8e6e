"""Settings of a cluster: what is refused, and what a missing Ray says."""

import importlib.util
import socket

import pytest

from imitate.cluster.config import ClusterConfig
from imitate.cluster.session import session
from imitate.config import compose
from imitate.errors import ClusterError, ConfigError, MissingExtraError

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ({"workers": 0}, "cluster.workers is 0, expected at least 1"),
        ({"shards": 0}, "cluster.shards is 0"),
        ({"restarts": -1}, "cluster.restarts is -1, expected at least 0"),
        ({"timeout_s": 0.0}, "cluster.timeout_s is 0.0, expected more than 0"),
        ({"timeout_s": float("nan")}, "cluster.timeout_s is nan"),
        ({"min_workers": 3}, "cluster.min_workers is 3, expected at most cluster.workers=2"),
        ({"object_store_mb": 1}, "cluster.object_store_mb is 1, expected at least 80"),
        ({"address": "head"}, "cluster.address is 'head', expected host:port"),
        ({"address": "head:"}, "cluster.address is 'head:', expected host:port"),
    ],
)
def test_a_wrong_setting_is_named(setting: dict, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        ClusterConfig(**setting)


@pytest.mark.parametrize(
    ("verb", "key"), [("rollout", "checkpoint"), ("stress", "checkpoint"), ("train", "data.path")]
)
def test_no_cluster_unless_asked_for(verb: str, key: str) -> None:
    keys = [f"{key}=x", "out=y"]
    assert compose(verb, keys).cluster is None
    command = compose(verb, [*keys, "cluster=ray", "cluster.workers=3", "cluster.address=10.0.0.5:6379"])
    assert command.cluster == ClusterConfig(address="10.0.0.5:6379", workers=3)
    assert command.cluster.host_and_port() == ("10.0.0.5", 6379)


@pytest.mark.skipif(HAS_RAY, reason="the extra `cluster` is installed")
def test_without_ray_the_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"imitate\[cluster\]"), session(ClusterConfig()):
        pass


def test_a_head_that_is_not_there_is_said_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        found = f"cluster.address={address}: nothing answers"
        with pytest.raises(ClusterError, match=found), session(ClusterConfig(address=address)):
            pass
