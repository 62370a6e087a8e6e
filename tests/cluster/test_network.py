"""A Ray on two machines between which the network is cut: commands go on, or end with a clear line."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_commands import clean_environment, command, train_words
from dying_line import DyingLineConfig
from line_demos import line_demos
from line_env import LineConfig
from line_training import HORIZONS, run_of
from two_hosts import Host, two_hosts

from imitate.checkpoint import LAST, load_policy, read
from imitate.policies.bc import BehaviourCloningConfig
from imitate.rollout import rollout
from imitate.training.start import start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.thorough,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces of networks are Linux's"),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="the extra `cluster` is not installed"
    ),
]
PORT = 6379
STARTS_WITHIN_S = 120.0
# The head gives up a machine that is silent for 15 s, where Ray waits for a minute.
HEALTH = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "2000"}
ENDS_WITHIN_S = 120.0
GOES_ON_WITHIN_S = 240.0


class Pair:
    """Two machines, the head of a Ray on the first; the second joins it."""

    def __init__(self, one: Host, other: Host, folder: Path) -> None:
        self.one, self.other = one, other
        self.head = self._start(one, "--head", f"--port={PORT}", f"--temp-dir={folder}")
        self.joined = self._start(other, f"--address={one.address}:{PORT}")

    def words(self, workers: int, timeout_s: int) -> list[str]:
        """The settings of a command that runs on either."""
        words = f"cluster=ray cluster.address={self.one.address}:{PORT} cluster.workers={workers} "
        words += f"cluster.min_workers=1 cluster.timeout_s={timeout_s} cluster.episodes_per_task=1"
        return words.split()

    def on(self, host: Host) -> Callable[[list[str]], list[str]]:
        """How a command is started on one of them."""
        return lambda words: host.words(*words)

    def _start(self, host: Host, *settings: str) -> subprocess.Popen[bytes]:
        words = [str(Path(sys.executable).parent / "ray"), "start", "--block", *settings, "--num-cpus=1"]
        words += [f"--node-ip-address={host.address}", "--object-store-memory=100000000"]
        words += ["--disable-usage-stats", *(["--include-dashboard=false"] if "--head" in settings else [])]
        started = subprocess.Popen(
            host.words(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment() | HEALTH,
        )
        said, until = b"", time.monotonic() + STARTS_WITHIN_S
        while b"Ray runtime started" not in said:
            assert started.stdout is not None and started.poll() is None, said.decode()
            said += started.stdout.readline()
            assert time.monotonic() < until, said.decode()
        return started


@pytest.fixture
def pair() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
    try:
        with two_hosts(folder) as (one, other):
            yield Pair(one, other, folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return line_demos(tmp_path_factory.mktemp("data") / "line.zarr")


def step_of(out: Path) -> int:
    return read(out / LAST, "none/")[0].step


def test_training_bears_a_short_cut_and_goes_on_without_a_machine_after_a_long_one(
    pair: Pair, demos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with command(train_words(demos, out, *pair.words(2, 60)), pair.on(pair.one)) as training:
        training.wait_for((out / LAST).exists)
        pair.other.pull_cable()
        time.sleep(5.0)
        pair.other.plug_cable()
        before = step_of(out)
        training.wait_for(lambda: step_of(out) > before + 5, GOES_ON_WITHIN_S)
        pair.other.pull_cable()
        time.sleep(1.0)
        before = step_of(out)
        training.wait_for(lambda: step_of(out) > before + 5, GOES_ON_WITHIN_S)
        training.send(signal.SIGTERM)
        code, _, last = training.ended(ENDS_WITHIN_S)
        assert code == 128 + signal.SIGTERM, last


def trained(demos: Path, folder: Path, env: LineConfig) -> list[str]:
    """The words of a rollout in `env`, from the seed 5 on."""
    policy = BehaviourCloningConfig(HORIZONS, width=16, layers=1)
    start(run_of(demos, policy, env, max_steps=2, evaluations=0), folder / "run")
    words = ["rollout", f"checkpoint={folder / 'run'}", "seed=5", f"out={folder / 'played'}"]
    return [*words, "device=cpu"]


def test_a_rollout_goes_on_without_a_machine(pair: Pair, demos: Path, tmp_path: Path) -> None:
    """Every episode takes at least 1.5 s, and the cable is pulled while both machines play."""
    (graves := tmp_path / "graves").mkdir()
    env = DyingLineConfig(graves=str(graves), trouble_seed=9, how="slow")
    words = [*trained(demos, tmp_path, env), "episodes=12"]
    with command([*words, *pair.words(2, 300)], pair.on(pair.one)) as playing:
        playing.wait_for(lambda: any(graves.iterdir()))
        pair.other.pull_cable()
        code, _, last = playing.ended(GOES_ON_WITHIN_S)
        assert code == 0, last
    there = json.loads((tmp_path / "played/rollout.json").read_text())["episodes"]
    here = rollout(load_policy(tmp_path / "run").policy, LineConfig(), range(5, 17), workers=0, device="cpu")
    assert [each["seed"] for each in there] == list(range(5, 17))
    assert [(e["success"], e["length"]) for e in there] == [(e.success, e.length) for e in here.episodes]


def test_a_rollout_that_cannot_reach_the_head_ends(pair: Pair, demos: Path, tmp_path: Path) -> None:
    (graves := tmp_path / "graves").mkdir()
    env = DyingLineConfig(graves=str(graves), trouble_seed=7, how="wait")
    words = [*trained(demos, tmp_path, env), "episodes=4"]
    with command([*words, *pair.words(2, 600)], pair.on(pair.other)) as playing:
        playing.wait_for(lambda: any(graves.iterdir()))
        pair.other.pull_cable()
        code, printed, last = playing.ended(ENDS_WITHIN_S)
        assert (code, printed) == (2, ""), last
        assert "the head of the Ray cluster is out of reach" in last
