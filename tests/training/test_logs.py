"""The log is readable at any time, and a resumed run leaves no doubled rows."""

from pathlib import Path

import pytest

from imitate.errors import MissingExtraError
from imitate.training.logs import LOG, JsonLog, open_logs, read_log
from imitate.training.run import Position


def test_rows_come_back_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / LOG
    log = JsonLog(path, 0)
    log.write(5, {"a": 1.5})
    log.write(10, {"b": 2.0})
    rows = [{"step": 5, "a": 1.5}, {"step": 10, "b": 2.0}]
    assert read_log(path) == rows
    with path.open("a") as file:
        file.write('{"step": 15, "a"')
    assert read_log(path) == rows


def test_resumed_log_drops_rows_after_the_save(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / LOG, 0)
    for step in (5, 10, 15):
        log.write(step, {})
    JsonLog(tmp_path / LOG, 2).write(15, {"again": 1.0})
    assert read_log(tmp_path / LOG) == [{"step": 5}, {"step": 10}, {"step": 15, "again": 1.0}]


def test_tensorboard_holds_the_curves(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with open_logs(tmp_path, Position(), "", {}) as logs:
        logs.write(3, {"train/loss": 0.25})
    found = events.EventAccumulator(str(tmp_path / "tb")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(3, 0.25)]


def test_missing_wandb_names_the_extra(tmp_path: Path) -> None:
    try:
        import wandb  # noqa: F401
    except ModuleNotFoundError:
        with (
            pytest.raises(MissingExtraError, match=r"imitate\[logging\]"),
            open_logs(tmp_path, Position(), "p", {}),
        ):
            pass
