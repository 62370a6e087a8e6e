"""A Ray to work with: connected to, or started on loopback for one command and taken away at its end."""

import atexit
import logging
import math
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType

from imitate.cluster.config import ClusterConfig
from imitate.cluster.watcher import watched
from imitate.errors import ClusterError, import_extra

CONNECT_S = 5.0
"""How long the head of a cluster may take to accept a connection, in seconds."""

LEAVE_S = 5.0
"""How long taking leave of a cluster may take, in seconds."""

STARTS_QUIETLY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "SPT_NOENV": "1",  # a process of Ray that gives itself a title keeps the marks in its environment
}


def for_this_user_alone() -> dict[str, str]:
    """Settings of a Ray that is reached from this machine only, and only with a token made for it.

    Ray takes the machine's first address for its own, which others can reach, unless clusters are disabled.
    """
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away
    }


@contextmanager
def session(config: ClusterConfig) -> Iterator[ModuleType]:
    """The module `ray`, connected; inside another session, that one is used again.

    Raises MissingExtraError without the extra, ClusterError where no Ray can be reached or started.
    """
    if config.address:
        # Ray itself waits a minute for a head that is not there, and then ends the process.
        _require_there(config)
    # Ray reads these when it is imported.
    os.environ.update(STARTS_QUIETLY | ({} if config.address else for_this_user_alone()))
    ray = import_extra("ray", "cluster")
    if ray.is_initialized():
        yield ray
        return
    # Ray tells of lost workers where a command writes its result.
    with redirect_stdout(sys.stderr), _connected(ray, config) if config.address else _started(ray, config):
        yield ray


@contextmanager
def _connected(ray: ModuleType, config: ClusterConfig) -> Iterator[None]:
    try:
        ray.init(address=config.address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise ClusterError(f"cluster.address={config.address}: Ray refuses: {error}") from error
    host, _ = head(ray)
    with _unless_lost(ray, lambda: _leave(ray, host)):
        yield


@contextmanager
def _unless_lost(ray: ModuleType, leave: Callable[[], None]) -> Iterator[None]:
    """`leave` Ray at the end, also by an error, unless its part on this machine is gone by then.

    Ray would then end this process, without a word, before it has said what happened.
    """
    here = raylet(ray)
    try:
        yield
    finally:
        if listens(here) is False:
            atexit.unregister(ray.shutdown)
            atexit.register(_end_at_once)
        else:
            leave()


def _end_at_once() -> None:
    """End as a command does that a ClusterError ends: Ray's own threads crash an interpreter that ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)


def _leave(ray: ModuleType, host: str) -> None:
    """Disconnect; where the network to the head `host` is cut, Ray would wait for it here and at the exit."""
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(LEAVE_S)
    if leaving.is_alive():
        _hang_up(host)
        leaving.join(3 * LEAVE_S)
    if leaving.is_alive():
        atexit.unregister(ray.shutdown)


def _hang_up(host: str) -> None:
    """End this process's connections to `host`, so that nobody waits for them any longer; Linux alone."""
    folder = Path("/proc/self/fd")
    for name in [path.name for path in folder.iterdir()] if folder.exists() else []:
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as connection:
            if connection.getpeername()[0].endswith(host):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def _started(ray: ModuleType, config: ClusterConfig) -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="ray-")  # short: the paths of its sockets may not exceed 107 characters
    try:
        with watched(folder):
            try:
                _start(ray, config, folder)
            except ClusterError:
                # On a busy machine its parts may not find each other in the half minute that Ray gives them.
                _start(ray, config, folder)
            with _unless_lost(ray, ray.shutdown):
                yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(ray: ModuleType, config: ClusterConfig, folder: str) -> None:
    try:
        with _path_for_workers():
            ray.init(
                address="local",
                num_cpus=math.ceil(config.workers * config.cpus),
                object_store_memory=config.object_store_mb * 2**20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=folder,
            )
    except Exception as error:  # Ray raises many kinds, among them Exception itself
        ray.shutdown()
        raise ClusterError(f"Ray cannot be started on this machine: {error}") from error


@contextmanager
def _path_for_workers() -> Iterator[None]:
    """What starts in this block imports from where this process does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _require_there(config: ClusterConfig) -> None:
    if not listens(config.host_and_port()):
        raise ClusterError(
            f"cluster.address={config.address}: nothing answers there within {CONNECT_S:g} s; is Ray running "
            "(ray start --head on that machine), and may this machine reach it?"
        )


def listens(address: tuple[str, int]) -> bool | None:
    """Whether a program accepts connections at (host, port); None where not even a refusal comes back."""
    try:
        socket.create_connection(address, CONNECT_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True


def head(ray: ModuleType) -> tuple[str, int]:
    """(host, port) of the head of the cluster that is connected to."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host, int(port)


def raylet(ray: ModuleType) -> tuple[str, int]:
    """(host, port) of the raylet that this process is connected to."""
    here = ray.get_runtime_context().get_node_id()
    (found,) = (machine for machine in ray.nodes() if machine["NodeID"] == here)
    return found["NodeManagerAddress"], found["NodeManagerPort"]
