"""Progress in a log file: how far, how long, and what is left, without noise."""

import pytest

from imitate.cli.console import PlainProgress, TerminalProgress


def test_plain_progress_ends_with_a_line_of_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress().task("train", 100, "%") as task:
        task.advance(33.333333, "loss 0.5")
        task.advance(66.666667)
    assert capsys.readouterr().err == "train: 100/100 %, 0 s, 0 s left  loss 0.5\n"


def test_shares_are_shown_with_one_decimal(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress().task("train", 100, "%") as task:
        task.advance(4.54336)
    assert capsys.readouterr().err.startswith("train: 4.5/100 %, ")


@pytest.mark.parametrize(
    ("done", "shown"), [(100.0000001, "train: 100/100 %, 0 s, 0 s left\n"), (0.0, "train: 0/100 %, 0 s\n")]
)
def test_what_is_left_is_told_where_it_is_known(
    done: float, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with PlainProgress().task("train", 100, "%") as task:
        task.advance(done)
    assert capsys.readouterr().err == shown


def test_a_task_inside_a_task_can_be_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    with progress.task("train", 2) as outer, progress.task("rollout", 1) as inner:
        inner.advance(1, "success 1/1")
        outer.advance()
    assert "rollout" in capsys.readouterr().err
