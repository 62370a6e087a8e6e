"""`imitate report` as a user types it."""

import json
from pathlib import Path

import pytest
import sample_pages

from imitate.cli.main import main


def test_writes_both_files_and_says_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i) for i in range(4)])
    words = ["report", f"data.path={tmp_path / 'd.zarr'}", f"out={tmp_path / 'r.html'}"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "all 4 demonstrations" in shown and str(tmp_path / "r.html") in shown
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "r.json").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report"], "data.path"),
        (["report", "data.path=absent.zarr"], "absent.zarr does not exist"),
        (["report", "data.pth=x"], "did you mean 'data.path'"),
    ],
)
def test_mistakes_end_with_2_and_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
