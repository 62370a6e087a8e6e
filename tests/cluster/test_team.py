"""Several processes train one policy: the same curve whatever their number, and no process waits in vain."""

from pathlib import Path

import pytest
from dying_policy import DyingConfig
from line_demos import line_demos
from line_env import LineConfig
from line_training import HORIZONS, curve, run_of
from worker_processes import in_processes

from imitate.checkpoint import BEST, LAST, load_policy, read
from imitate.cluster.reports import STOP
from imitate.errors import CheckpointError, DataError
from imitate.training.interrupt import Interrupted
from imitate.training.start import start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_demos(tmp_path_factory.mktemp("data") / "line.zarr")


def test_the_curve_is_the_same_for_1_2_and_4_workers(demos: Path, tmp_path: Path) -> None:
    run = run_of(demos, env=LineConfig(max_steps=10))
    for count in (1, 2, 4):
        assert in_processes(count, run, tmp_path / str(count)) == [None] * count
    curves = [curve(tmp_path / str(count)) for count in (1, 2, 4)]
    assert len(curves[0]) == 12
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    assert curves[2] == pytest.approx(curves[0], rel=1e-3)
    start(run, tmp_path / "alone")
    assert curve(tmp_path / "alone") == pytest.approx(curves[0], rel=0.5)  # another noise
    for count in (1, 2, 4):
        names = {path.name for path in (tmp_path / str(count)).iterdir()}
        assert names == {path.name for path in (tmp_path / "alone").iterdir()}
    assert load_policy(tmp_path / "4" / BEST).info.env_config() == LineConfig(max_steps=10)


def test_a_run_that_is_stopped_goes_on_with_any_number(demos: Path, tmp_path: Path) -> None:
    run, out = run_of(demos), tmp_path / "run"
    out.mkdir()
    (out / STOP).write_text("15")
    (stop, nothing) = in_processes(2, run, out)
    assert isinstance(stop, Interrupted) and stop.number == 15
    assert nothing is None
    assert 0 < read(out / LAST, "none/")[0].step < 60
    (out / STOP).unlink()
    assert in_processes(3, run, out) == [None] * 3
    assert read(out / LAST, "none/")[0].step == 60
    assert in_processes(1, run, tmp_path / "whole") == [None]
    # The row of the log in which the run was stopped is of the steps after it alone.
    assert curve(out)[-6:] == pytest.approx(curve(tmp_path / "whole")[-6:], rel=1e-3)


def test_a_mistake_ends_all_at_once(tmp_path: Path) -> None:
    run = run_of(tmp_path / "none.zarr")
    returned = in_processes(2, run, tmp_path / "run")
    assert all(isinstance(error, DataError) and "none.zarr" in str(error) for error in returned)


def test_a_full_disk_ends_all_and_keeps_what_was_saved(demos: Path, tmp_path: Path) -> None:
    (graves := tmp_path / "graves").mkdir()
    policy = DyingConfig(HORIZONS, width=32, layers=1, graves=str(graves), rank=0, after=50, how="disk full")
    (error, nothing) = in_processes(2, run_of(demos, policy, save_minutes=0.0), tmp_path / "run")
    assert isinstance(error, OSError | CheckpointError), error
    assert nothing is None
    assert 0 < read(tmp_path / "run" / LAST, "none/")[0].step < 60
