"""A cluster that loses a part: commands end with a clear line and their checkpoint, and leave nothing."""

import importlib.util
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from cluster_commands import command, train_words
from dying_line import DyingLineConfig
from line_demos import line_demos
from line_training import HORIZONS, run_of

from imitate.checkpoint import LAST, read
from imitate.policies.bc import BehaviourCloningConfig
from imitate.training.start import start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="the extra `cluster` is not installed"
    ),
]
ENDS_WITHIN_S = 120.0
ONE_WORKER = ["cluster=ray", "cluster.workers=1", "cluster.shards=1", "cluster.timeout_s=400"]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_demos(tmp_path_factory.mktemp("data") / "line.zarr")


@pytest.mark.parametrize("part", [pytest.param("gcs_server", marks=pytest.mark.thorough), "raylet"])
def test_a_lost_head_ends_training_with_its_checkpoint(demos: Path, tmp_path: Path, part: str) -> None:
    out = tmp_path / "run"
    with command(train_words(demos, out, *ONE_WORKER)) as training:
        training.wait_for((out / LAST).exists)
        os.kill(training.part(part), signal.SIGKILL)
        code, printed, last = training.ended(ENDS_WITHIN_S)
        assert (code, printed) == (2, ""), last
        assert "Ray" in last and " gone" in last and f"kept: {out / LAST} of step" in last
        assert read(out / LAST, "none/")[0].step > 0
        assert training.is_gone()


@pytest.mark.thorough
@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_a_lost_head_ends_a_rollout(demos: Path, tmp_path: Path, part: str) -> None:
    (graves := tmp_path / "graves").mkdir()
    env = DyingLineConfig(graves=str(graves), trouble_seed=7, how="wait")
    policy = BehaviourCloningConfig(HORIZONS, width=16, layers=1)
    start(run_of(demos, policy, env, max_steps=2, evaluations=0), tmp_path / "run")
    words = [
        "rollout",
        f"checkpoint={tmp_path / 'run'}",
        "episodes=4",
        "seed=5",
        f"out={tmp_path / 'played'}",
    ]
    with command([*words, "device=cpu", *ONE_WORKER]) as playing:
        playing.wait_for(lambda: any(graves.iterdir()))
        os.kill(playing.part(part), signal.SIGKILL)
        code, printed, last = playing.ended(ENDS_WITHIN_S)
        assert (code, printed) == (2, ""), last
        assert "Ray" in last and " gone" in last and "repeat the command" in last
        assert playing.is_gone()


def test_a_command_that_is_killed_takes_its_ray_along(demos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with command(train_words(demos, out, *ONE_WORKER)) as training:
        training.wait_for((out / LAST).exists)
        assert len(training.processes()) > 4
        training.process.kill()
        assert training.is_gone()


@pytest.mark.parametrize(
    "where",
    [[], pytest.param(ONE_WORKER, marks=pytest.mark.thorough)],
    ids=["one machine", "a cluster"],
)
def test_a_full_disk_keeps_the_last_whole_checkpoint(demos: Path, tmp_path: Path, where: list[str]) -> None:
    """One of 26 MB has room for one checkpoint of 17 MB, not for the next beside it."""
    (disk := tmp_path / "disk").mkdir()
    in_own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mounted = f"mount -t tmpfs -o size=26m none {shlex.quote(str(disk))}"
    tried = subprocess.run([*in_own_mounts, mounted], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {tried.stderr}")

    def around(words: list[str]) -> list[str]:
        """The disk is gone with its namespace; what it holds at the end is looked at elsewhere."""
        kept = f"cp -r {shlex.quote(str(disk))} {shlex.quote(str(tmp_path / 'kept'))}"
        return [*in_own_mounts, f"{mounted}; code=0; {shlex.join(words)} || code=$?; {kept}; exit $code"]

    with command(train_words(demos, disk / "run", *where), around) as training:
        code, printed, last = training.ended(ENDS_WITHIN_S)
        assert (code, printed) == (2, "")
        assert last.startswith("imitate: ") and "No space left on device" in last and LAST in last
        assert training.is_gone()
    kept = tmp_path / "kept/run"
    assert read(kept / LAST, "live/")[0].step >= 1
    assert not [path.name for path in kept.iterdir() if "unfinished" in path.name or path.name == ".ray"]
