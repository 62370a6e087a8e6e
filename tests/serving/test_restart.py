"""`imitate serve` in a process of its own: killed, started again, ended, and a robot that it drives."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import small_bundle
from own_machine import free_port

from imitate.deploy.predictor import load_predictor
from imitate.serving.client import PolicyClient

OBS = {"arm.joints": np.ones((2, 2), np.float32), "cam": np.zeros((2, 2, 2, 3), np.uint8)}


def serve(bundle: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "imitate", "serve", f"policy={bundle}", f"server.port={port}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_server_is_found_again_and_one_that_ends_answers_first(tmp_path: Path) -> None:
    bundle, port = small_bundle.written(tmp_path / "linear.imitate"), free_port()
    first = serve(bundle, port)
    with PolicyClient(f"ws://127.0.0.1:{port}", timeout_s=60) as client:
        before = client.predict(OBS, seed=1)
        first.kill()
        first.wait()
        second = serve(bundle, port)
        assert np.array_equal(client.predict(OBS, seed=1), before)
        second.send_signal(signal.SIGTERM)
        out, err = second.communicate(timeout=30)
    assert (second.returncode, out.strip()) == (0, "answered  1 questions")
    assert f"ws://127.0.0.1:{port}" in err


@pytest.mark.slow
def test_a_served_policy_is_a_policy_to_deploy(tmp_path: Path) -> None:
    bundle, port = small_bundle.written(tmp_path / "linear.imitate"), free_port()
    server = serve(bundle, port)
    try:
        PolicyClient(f"ws://127.0.0.1:{port}", timeout_s=60).close()
        there, here = load_predictor(f"ws://127.0.0.1:{port}"), load_predictor(str(bundle))
        assert there.predictor.spec == here.predictor.spec
        assert there.origin["bundle_hash"] == here.origin["bundle_hash"]
        assert there.origin["url"].endswith(str(port))
        rng = np.random.default_rng
        seed = int(rng(5).integers(2**63))
        expected = here.predictor.predict(OBS, rng(seed))
        assert np.array_equal(there.predictor.predict(OBS, rng(5)), expected)
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.mark.slow
def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    bundle, port = small_bundle.written(tmp_path / "linear.imitate"), free_port()
    server = serve(bundle, port)
    try:
        url = f"ws://127.0.0.1:{port}"
        PolicyClient(url, timeout_s=60).close()
        files = Path(f"/proc/{server.pid}/fd")

        def visits() -> None:
            for _ in range(25):
                with PolicyClient(url) as client:
                    client.predict(OBS)

        counts = []
        for _ in range(3):
            threads = [threading.Thread(target=visits) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(0.3)
            counts.append(len(list(files.iterdir())))
        assert counts[2] <= counts[0] + 1
    finally:
        server.terminate()
        server.communicate(timeout=30)
