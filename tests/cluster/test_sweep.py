"""`imitate sweep` on a cluster: the cells of one machine, also where a worker is killed meanwhile."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from imitate.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
QUICK = ["train.max_steps=4", "train.max_minutes=null", "train.batch_size=8", "train.validations=0"]
QUICK += ["train.evaluations=0", "train.device=cpu"]
PLAYED = ["rollout.workers=0", "device=cpu", "videos=0"]
# CI has a smaller grid: each cell starts two processes.
POLICIES = ("bc", "bc_gmm") if os.environ.get("IMITATE_CLUSTER_TESTS") == "all" else ("bc",)
TASK, SEEDS = "point_obstacle", (0, 1)
ON_RAY = ["cluster=ray", "cluster.workers=2"]


def listed(words: list[str]) -> str:
    return json.dumps(words, separators=(",", ":"))


def sweep(out: Path, data: Path, *more: str) -> list[str]:
    grid = [f"policies=[{','.join(POLICIES)}]", f"tasks=[{TASK}]", f"seeds=[{','.join(map(str, SEEDS))}]"]
    settings = [
        f"data={data}",
        f"out={out}",
        "episodes=3",
        f"train={listed(QUICK)}",
        f"rollout={listed(PLAYED)}",
    ]
    return ["sweep", *grid, *settings, *more]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "demos.zarr"
    assert main(["collect", f"env={TASK}", "episodes=6", "seed=0", f"out={path}"]) == 0
    return path


def cells(out: Path) -> dict[str, Path]:
    return {f"{policy} {seed}": out / policy / TASK / f"seed_{seed}" for policy in POLICIES for seed in SEEDS}


def played(out: Path) -> dict[str, list[dict]]:
    """What happened in each cell that is done, but for how long it took."""
    found = {}
    for name, folder in cells(out).items():
        if not folder.exists():
            continue
        episodes = json.loads((folder / "rollout/rollout.json").read_text())["episodes"]
        found[name] = [{key: one[key] for key in ("seed", "success", "score", "length")} for one in episodes]
    return found


def written(out: Path) -> dict[str, int]:
    """When each cell was done."""
    return {name: (path / "rollout/rollout.json").stat().st_mtime_ns for name, path in cells(out).items()}


def training(folder: Path) -> Iterator[int]:
    """The process that trains in `folder`."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "train" in words and f"out={folder}" in words:
            yield int(process.name)


def kill_worker_of(folder: Path) -> list[int]:
    """Kill what has started the training in `folder`, as soon as it has; both processes, once it is done."""
    killed: list[int] = []

    def wait_and_kill() -> None:
        while not (found := list(training(folder))):
            time.sleep(0.05)
        status = Path(f"/proc/{found[0]}/status").read_text()
        worker = int(status.split("PPid:")[1].split()[0])
        os.kill(worker, signal.SIGKILL)
        killed.extend([worker, found[0]])

    threading.Thread(target=wait_and_kill, daemon=True).start()
    return killed


def test_a_sweep_on_a_cluster_is_that_of_one_machine(
    ray: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    killed = kill_worker_of(cells(there)["bc 1"])
    assert main(sweep(there, data, *ON_RAY)) == 0
    assert len(killed) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in killed)
    assert main(sweep(here, data, "seeds=[1]")) == 0
    assert played(here) == {name: found for name, found in played(there).items() if name.endswith("1")}
    tables = [json.loads((out / "sweep.json").read_text())["rows"] for out in (there, here)]
    assert [row for row in tables[0] if row["seed"] == 1] == tables[1][: len(POLICIES)]
    assert len(tables[0]) == 3 * len(POLICIES)
    assert (there / f"{TASK}.html").is_file()
    # What is done is not done again, and what is not is.
    kept = written(there)
    again = f"{POLICIES[-1]} 0"
    shutil.rmtree(cells(there)[again])
    assert main(sweep(there, data, *ON_RAY)) == 0
    assert f"{len(kept) - 1} of {len(kept)} cells are done already" in capsys.readouterr().err
    now = written(there)
    assert [name for name in now if now[name] != kept[name]] == [again]


@pytest.mark.thorough
def test_a_cell_whose_workers_keep_dying_is_reported_and_stops_no_other(
    ray: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = kill_worker_of(cells(tmp_path)["bc 1"])
    assert main(sweep(tmp_path, data, *ON_RAY, "policies=[bc]", "cluster.restarts=0")) == 1
    assert len(killed) == 2
    found = json.loads((tmp_path / "sweep.json").read_text())["cells"]
    assert [bool(one["error"]) for one in found] == [False, True]
    assert "a worker died 1 times" in found[1]["error"] and found[0]["episodes"] == 3
    assert "seed 1  failed: a worker died" in capsys.readouterr().out
