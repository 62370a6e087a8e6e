"""Training on two collected stores together, as a person does it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imitate.checkpoint import LAST, read
from imitate.cli.main import main
from imitate.datasets.opening import open_store

SMALL = [
    "policy=bc", "policy.width=32", "env=tabletop/pick_place", "train.max_minutes=null",
    "train.batch_size=16", "train.validations=1", "train.evaluations=0",
    "train.device=cpu", "train.precision=fp32",
]  # fmt: skip
MIXTURE = """
stores:
  - path: one.zarr
    weight: 0.7
  - path: other.view.json
    weight: 0.3
    keys: {eef_pos: ee_pos}
    normalise: own
"""


STEPS = 200


def interrupted(words: list[str], last: Path) -> int:
    """Run the command until `last` is there, end it by SIGTERM, and give the step that was kept."""
    command = [sys.executable, "-m", "imitate", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + 200
        while not last.exists():
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 143
    return read(last, "none/")[0].step


@pytest.mark.slow
def test_a_mixture_is_trained_on_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("one", 0), ("two", 7)):
        words = ["env=tabletop/pick_place", "episodes=3", f"seed={seed}", f"out={name}.zarr"]
        assert main(["collect", *words]) == 0
    renamed = ["observations={ee_pos: eef_pos}", "out=other.view.json"]
    assert main(["data", "rename", "data.path=two.zarr", *renamed]) == 0
    Path("mix.yaml").write_text(MIXTURE)
    words = ["train", *SMALL, "data.path=mix.yaml", f"train.max_steps={STEPS}"]
    assert main([*words, "out=whole"]) == 0
    info, whole = read(Path("whole", LAST))
    assert info.data_hash == open_store("mix.yaml").content_hash()
    assert info.spec.obs["ee_pos"].units == ("m", "m", "m")
    stopped_at = interrupted([*words, "out=parts", "train.save_minutes=0"], Path("parts", LAST))
    assert 0 < stopped_at < STEPS
    assert main([*words, "out=parts", "resume=true"]) == 0
    resumed, parts = read(Path("parts", LAST))
    assert (resumed.step, resumed.data_hash) == (STEPS, info.data_hash)
    assert all(bool((whole[key] == parts[key]).all()) for key in whole)
    # Other weights are other data.
    Path("mix.yaml").write_text(MIXTURE.replace("0.3", "0.4"))
    capsys.readouterr()
    assert main([*words, "out=whole", "resume=true"]) == 2
    assert "trained on data with hash" in capsys.readouterr().err
    assert main(["data", "list", "data.path=mix.yaml", "--json"]) == 0
    shares = json.loads(capsys.readouterr().out)["shares"]
    assert shares == pytest.approx({"one.zarr": 0.7 / 1.1, "other.view.json": 0.4 / 1.1})
    assert main(["inspect", "data.path=mix.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 6
