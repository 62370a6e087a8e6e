"""Training on Ray: runs that outlive what happens to their workers, or end with a clear line."""

import os
import signal
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
from dying_policy import DyingConfig
from line_demos import line_demos
from line_training import HORIZONS, curve, run_of
from worker_processes import in_processes

from imitate.checkpoint import LAST, read
from imitate.cluster.config import ClusterConfig
from imitate.cluster.training import start_on_cluster
from imitate.errors import ClusterError, ConfigError, DataError
from imitate.training.interrupt import Interrupted
from imitate.training.logs import LOG, read_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_demos(tmp_path_factory.mktemp("data") / "line.zarr")


@pytest.fixture
def graves(tmp_path: Path) -> Path:
    (folder := tmp_path / "graves").mkdir()
    return folder


def workers(count: int, **settings: object) -> ClusterConfig:
    return ClusterConfig(**{"workers": count, "min_workers": count, "timeout_s": 200.0, **settings})  # type: ignore


@pytest.mark.parametrize(
    "sharded", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["whole", "in shards"]
)
def test_a_killed_worker_is_replaced_and_the_run_goes_on(
    ray: ModuleType, demos: Path, tmp_path: Path, graves: Path, sharded: bool
) -> None:
    """Where fewer would do; the cluster has room for as many as before."""
    policy = DyingConfig(HORIZONS, width=32, layers=1, graves=str(graves), after=60)
    run = run_of(demos, policy, save_minutes=0.0)
    result = start_on_cluster(workers(2, min_workers=1, sharded=sharded), run, tmp_path / "killed")
    assert len(list(graves.iterdir())) == 1
    assert result.position.step == 60
    assert in_processes(1, run, tmp_path / "whole") == [None]
    # The row of the log in which the worker died is of the steps after it alone.
    assert curve(tmp_path / "killed")[-4:] == pytest.approx(curve(tmp_path / "whole")[-4:], rel=1e-3)


@pytest.mark.thorough
def test_a_worker_that_hangs_is_replaced_and_the_run_goes_on(
    ray: ModuleType, demos: Path, tmp_path: Path, graves: Path
) -> None:
    policy = DyingConfig(HORIZONS, width=32, layers=1, graves=str(graves), after=60, how="stop")
    result = start_on_cluster(
        workers(2, timeout_s=45.0), run_of(demos, policy, save_minutes=0.0), tmp_path / "run"
    )
    assert result.position.step == 60
    (hung,) = graves.iterdir()
    assert not Path(f"/proc/{hung.name}").exists()


@pytest.mark.thorough
def test_a_run_stops_when_asked(ray: ModuleType, demos: Path, tmp_path: Path) -> None:
    run, out = run_of(demos, max_steps=100_000), tmp_path / "run"

    def press() -> None:
        while not (out / LOG).exists() or len(read_log(out / LOG)) < 4:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(Interrupted) as stop:
        start_on_cluster(workers(2), run, out)
    assert stop.value.number == signal.SIGTERM
    assert 0 < read(out / LAST, "none/")[0].step < 100_000
    with pytest.raises(ConfigError, match="already holds a run"):
        start_on_cluster(workers(1), run, out)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("how", "rank", "error", "found"),
    [
        ("die", 1, ClusterError, "workers were lost 2 times .*last.safetensors of step"),
        ("raise", 0, DataError, "rows 3 to 5"),
    ],
)
def test_trouble_that_comes_again_ends_the_run(
    ray: ModuleType, demos: Path, tmp_path: Path, graves: Path, how: str, rank: int, error: type, found: str
) -> None:
    policy = DyingConfig(
        HORIZONS, width=32, layers=1, graves=str(graves), rank=rank, how=how, after=20, times=9
    )
    with pytest.raises(error, match=found):
        start_on_cluster(workers(2, restarts=1), run_of(demos, policy, save_minutes=0.0), tmp_path / "run")
    assert len(list(graves.iterdir())) == 2
    assert (tmp_path / "run" / LAST).exists()


def test_settings_that_cannot_be_shared_out_are_refused(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cluster.shards is 4, expected at least cluster.workers=5"):
        start_on_cluster(workers(5), run_of(demos), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"cluster.shards is 40, expected at most train.batch_size=32"):
        start_on_cluster(workers(2, shards=40), run_of(demos), tmp_path / "run")
