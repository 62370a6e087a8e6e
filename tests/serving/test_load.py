"""The load test of the policy server in small, and that it notices a server which lets strangers in."""

import asyncio
import json
import sys
from pathlib import Path

import benchmark
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("websockets")

import small_bundle
from served_policy import Doubling, serving

sys.path.insert(0, str(benchmark.BENCHMARKS))
from serving_strangers import Strangers


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory and open files from /proc")
def test_clients_go_on_and_strangers_stay_out(tmp_path: Path) -> None:
    bundle, out = small_bundle.written(tmp_path / "linear.imitate"), tmp_path / "serving.json"
    words = ("--policy", str(bundle), "--clients", "3", "--minutes", "0.5", "--json", str(out))
    done = benchmark.run("serving", *words, timeout_s=280)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(out.read_text())}
    assert rows["clients back after SIGKILL"]["value"] == 3
    assert rows["questions refused"]["value"] == 0
    for kind in ("malformed", "oversized", "unauthenticated", "slow-loris"):
        turned_away = rows[f"{kind} clients turned away"]
        assert turned_away["value"] == turned_away["baseline"] > 0
    assert rows["3 clients, answer p99"]["value"] > 0
    for life in ("life 1", "life 2"):
        files = rows[f"{life}: open files, most (baseline: at first)"]
        assert 0 < files["value"] <= files["baseline"] + 5


def test_a_server_without_a_token_is_noticed() -> None:
    with serving(Doubling()) as server:
        strangers = Strangers(server.port, {}, 1_000_000)

        async def try_once() -> None:
            over = asyncio.Event()
            trying = [
                asyncio.create_task(strangers.keep_trying(kind, over))
                for kind in ("unauthenticated", "malformed", "oversized")
            ]
            while sum(strangers.tried.values()) < 3 or len(strangers.tried) < 3:
                await asyncio.sleep(0.05)
            over.set()
            await asyncio.gather(*trying)

        asyncio.run(asyncio.wait_for(try_once(), 60))
    assert strangers.let_in and all(what.startswith("unauthenticated") for what in strangers.let_in)
    assert strangers.turned_away["malformed"] == strangers.tried["malformed"] > 0
    assert strangers.turned_away["oversized"] == strangers.tried["oversized"] > 0
    assert not strangers.turned_away["unauthenticated"]
