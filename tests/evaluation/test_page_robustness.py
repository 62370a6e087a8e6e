"""Sweeps on the page of several runs: the levels are those of the sweeps, and each curve is there."""

from dataclasses import replace
from pathlib import Path

import pytest
import sample_pages
from sample_runs import episodes, run

from imitate.errors import DataError
from imitate.evaluation.page_robustness import robustness, sweeps
from imitate.evaluation.runs import Entry, read_entries
from imitate.evaluation.stress.kinds import PLAIN
from imitate.evaluation.stress.result import Cell, StressResult, save
from imitate.progress import SILENT


def sweep(folder: Path, delays: dict[float, str], unit: str = "× spread") -> StressResult:
    """20 episodes that all succeed undisturbed; with a delay of so many steps, those of the letters."""
    base = sample_pages.result(folder, [True])

    def cell(kind: str, size: float, outcomes: str) -> Cell:
        return Cell(kind, size, replace(base, episodes=episodes(outcomes), videos={}))

    cells = [cell("delay", size, outcomes) for size, outcomes in delays.items()]
    noise = {"unit": unit, "words": "of the observations", "values": {}}
    half = cell("noise", 1.0, "s" * 10 + "l" * 10)
    found = StressResult((cell(PLAIN, 0.0, "s" * 20), *cells, half), noise)
    (folder / "stress").mkdir()
    save(found, folder / "stress")
    return found


def entries(*folders: Path) -> tuple[Entry, ...]:
    return read_entries([str(folder) for folder in folders], SILENT)


def test_every_level_stands_beside_the_others(tmp_path: Path) -> None:
    a, b = (run(tmp_path / name, "s" * 20) for name in ("a", "b"))
    sweep(a, {1.0: "s" * 10 + "l" * 10, 2.0: "l" * 20})
    sweep(b, {1.0: "s" * 20, 2.0: "s" * 20})
    found = sweeps(entries(a, b))
    assert list(found) == ["a/stress", "b/stress"]
    html = str(robustness(found))
    assert html.count("<svg") == 2 and "never halves within the range" in html
    assert found["a/stress"].halving("delay").level == pytest.approx(1.0)
    assert "1 steps" in html or "1 step" in html


def test_noise_in_another_unit_is_not_drawn_over(tmp_path: Path) -> None:
    a, b = (run(tmp_path / name, "s" * 20) for name in ("a", "b"))
    sweep(a, {})
    sweep(b, {}, unit="m")
    assert "In another unit, so not here: b/stress" in str(robustness(sweeps(entries(a, b))))


def test_runs_without_sweeps_have_no_section(tmp_path: Path) -> None:
    assert robustness(sweeps(entries(run(tmp_path / "a", "sl")))) is None


def test_a_damaged_sweep_is_named(tmp_path: Path) -> None:
    a = run(tmp_path / "a", "sl")
    (a / "stress").mkdir()
    (a / "stress/stress.json").write_text("{")
    with pytest.raises(DataError, match=r"a/stress/stress\.json cannot be read"):
        sweeps(entries(a))
