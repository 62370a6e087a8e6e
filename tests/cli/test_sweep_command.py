"""`imitate sweep`: a grid is done whole, goes on where it stopped, and one bad cell stops no other."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imitate.checkpoint import LAST
from imitate.cli.main import main
from imitate.cli.sweep import SweepCommand
from imitate.config import compose
from imitate.datasets.durable import only_one
from imitate.errors import ConfigError
from imitate.evaluation.grid import LOCK, Cell, CellResult, table
from imitate.evaluation.statistics import wilson

QUICK = ["train.max_steps=4", "train.max_minutes=null", "train.batch_size=8", "policy.width=16"]
QUICK += ["train.validations=0", "train.evaluations=0", "train.device=cpu"]
PLAYED = ["rollout.workers=0", "device=cpu", "videos=0"]


def listed(words: list[str]) -> str:
    return json.dumps(words, separators=(",", ":"))


def sweep(out: Path, data: Path, *more: str) -> list[str]:
    return ["sweep", "policies=[bc]", "tasks=[point_obstacle]", "seeds=[0,1]", f"data={data}", f"out={out}",
            "episodes=3", f"train={listed(QUICK)}", f"rollout={listed(PLAYED)}", *more]  # fmt: skip


def cell(policy: str, task: str, seed: int) -> Cell:
    return Cell(policy, task, seed, f"out/{policy}/{task}/seed_{seed}", (), ())


def test_the_table_has_each_cell_and_all_seeds_together() -> None:
    found = [
        CellResult(cell("bc", "reach", 0), 3, 10),
        CellResult(cell("bc", "reach", 1), 5, 10),
        CellResult(cell("bc", "push", 0), error="train ended with 2: no"),
    ]
    rows = table(found)
    assert [row["seed"] for row in rows] == [0, 1, 0, None, None]
    assert rows[3]["success_rate"] == 0.4 and tuple(rows[3]["interval"]) == wilson(8, 20)
    assert (rows[3]["lowest"], rows[3]["highest"]) == (0.3, 0.5)
    assert rows[4]["interval"] is None and rows[4]["done"] == 0 and rows[4]["error"]


def test_mistakes_are_told_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, said in (
        ("policies=[bc,difusion]", "there is no such policy"),
        ("train=['train.max_step=4']", "unknown key train.max_step"),
        ("seeds=[0,0]", "each once"),
    ):
        assert main(sweep(tmp_path / "out", tmp_path / "d.zarr", word)) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_task_is_put_into_the_path_of_the_data() -> None:
    made = compose("sweep", ["data=d/{task}.zarr", "out=o", "tasks=[tabletop/reach]"])
    assert isinstance(made, SweepCommand)
    assert "data.path=d/tabletop_reach.zarr" in made._cell("bc", "tabletop/reach", 0).train


def test_a_cell_with_other_settings_is_not_taken_for_done(tmp_path: Path) -> None:
    one = Cell("bc", "reach", 0, str(tmp_path / "c"), ("policy=bc",), ())
    one.begin()
    one.require_same()
    with pytest.raises(ConfigError, match="other settings"):
        Cell("bc", "reach", 0, str(tmp_path / "c"), ("policy=bc", "optim.lr=1"), ()).require_same()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_grid_is_done_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "demos.zarr", tmp_path / "out"
    assert main(["collect", "env=point_obstacle", "episodes=6", "seed=0", f"out={data}"]) == 0
    cells = out / "bc" / "point_obstacle"
    # What one cell would go on from is damaged: it fails, and the other is done.
    (cells / "seed_0").mkdir(parents=True)
    (cells / "seed_0" / LAST).write_bytes(b"no checkpoint")
    assert main(sweep(out, data)) == 1
    said = capsys.readouterr().out
    assert "failed: train ended with 2" in said and "page" in said
    first = (cells / "seed_1" / "rollout" / "rollout.json").read_bytes()
    shutil.rmtree(cells / "seed_0")
    assert main(sweep(out, data)) == 0
    assert (cells / "seed_1" / "rollout" / "rollout.json").read_bytes() == first
    rows = json.loads((out / "sweep.json").read_text())["rows"]
    assert [row["episodes"] for row in rows] == [3, 3, 6]
    assert (out / "point_obstacle.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_sweep_that_is_ended_lets_its_cell_save_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    data, out = tmp_path / "demos.zarr", tmp_path / "out"
    assert main(["collect", "env=point_obstacle", "episodes=6", "seed=0", f"out={data}"]) == 0
    long = [word.replace("max_steps=4", "max_steps=1000000") for word in QUICK]
    words = [*sweep(out, data), "seeds=[0]", f"train={listed(long)}"]
    folder = out / "bc/point_obstacle/seed_0"
    with subprocess.Popen([sys.executable, "-m", "imitate", *words], start_new_session=True) as child:
        until = time.monotonic() + 120
        while not (folder / "config.json").exists():
            assert time.monotonic() < until and child.poll() is None
            time.sleep(0.1)
        time.sleep(3)
        child.send_signal(number)
        assert child.wait(100) == (128 + number if number == signal.SIGTERM else -number)
    with only_one(folder / LOCK):  # once what was left behind has ended
        pass
    assert (folder / LAST).is_file() and "to go on" in (folder / "cell.log").read_text()
    assert not (folder / "rollout").exists()
