"""Checkpoints: what is saved comes back, a file is whole or refused, and nothing in it is ever run."""

import json
import os
import pickle
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from imitate import checkpoint
from imitate.checkpoint import BEST, LAST, CheckpointInfo, checkpoint_hash, describe, load_policy, read, save
from imitate.errors import CheckpointError
from imitate.normalize import ArrayStatistics
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons, Policy
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec(
    {"state": ArraySpec((3,), units=("m", "m", "rad"), circular=(2,))}, ArraySpec((2,)), rate_hz=10.0
)
CONFIG = BehaviourCloningConfig(Horizons(2, 4, 2), width=8, layers=1)


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    made = CONFIG.build(SPEC)
    rng = np.random.default_rng(0)

    def some(size: int) -> ArrayStatistics:
        low = rng.normal(size=size)
        return ArrayStatistics(low, low + 2, low + 1, np.ones(size))

    made.normalizer.fit({"state": some(3), "action": some(2)})
    return made


@pytest.fixture(scope="module")
def info(policy: Policy) -> CheckpointInfo:
    return describe(
        CONFIG,
        policy,
        None,
        data_hash="abc",
        seeds={"train": 1},
        step=7,
        metrics={"x": 0.5},
        training={"a": [1]},
    )


@pytest.fixture(scope="module")
def saved(policy: Policy, info: CheckpointInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / LAST
    save(path, weights(policy), info)
    return path


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    state = policy.state_dict()
    live = {
        f"live/{name}": value + 1 if value.is_floating_point() else value for name, value in state.items()
    }
    return live | {f"ema/{name}": value for name, value in state.items()}


def rewrite(path: Path, to: Path, change: Callable[[dict], None] = lambda d: None, **tensors) -> Path:
    """A copy of a checkpoint with a changed document and tensors (None removes one), checksums made right."""
    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["imitate_checkpoint"])
    arrays = {**load_file(path), **tensors}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    document["crc32"] = {name: zlib.crc32(value.numpy().tobytes()) for name, value in arrays.items()}
    change(document)
    document["info_crc32"] = zlib.crc32(json.dumps(document["info"]).encode())
    metadata = {"imitate_checkpoint": json.dumps(document)}
    save_file(arrays, to, metadata)
    return to


def test_saved_policy_predicts_the_same_and_says_what_it_is(
    saved: Path, policy: Policy, info: CheckpointInfo
) -> None:
    loaded = load_policy(saved)
    obs = {"state": torch.randn(5, 2, 3)}
    policy.eval()
    ours, theirs = (p.predict(obs, torch.Generator().manual_seed(0)).values for p in (policy, loaded.policy))
    assert torch.equal(ours, theirs)
    assert not loaded.policy.training
    assert loaded.info == info
    assert loaded.info.spec == SPEC
    assert loaded.info.normalizers == {
        "normalizer.state.normalizers.state": "minmax",
        "normalizer.action": "minmax",
    }
    assert loaded.file == saved


def test_info_survives_json(info: CheckpointInfo) -> None:
    assert CheckpointInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


def test_run_folder_means_best_then_last(
    saved: Path, policy: Policy, info: CheckpointInfo, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"neither best.safetensors nor last.safetensors"):
        load_policy(tmp_path)
    (tmp_path / LAST).write_bytes(saved.read_bytes())
    assert load_policy(tmp_path).file.name == LAST
    save(tmp_path / BEST, weights(policy), replace(info, step=3))
    assert load_policy(str(tmp_path)).info.step == 3
    assert checkpoint_hash(tmp_path) != checkpoint_hash(tmp_path / LAST) == checkpoint_hash(saved)


def test_saving_twice_gives_the_same_file(
    saved: Path, policy: Policy, info: CheckpointInfo, tmp_path: Path
) -> None:
    save(tmp_path / LAST, weights(policy), info)
    assert checkpoint_hash(tmp_path / LAST) == checkpoint_hash(saved)


def test_tied_weights_are_saved(info: CheckpointInfo, tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    save(tmp_path / LAST, {"live/a": tensor, "live/b": tensor, "live/c": tensor.T}, info)
    _, back = read(tmp_path / LAST, "live/")
    assert torch.equal(back["a"], back["b"])
    assert torch.equal(back["c"], tensor.T)


def test_others_may_read_what_the_umask_allows(saved: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~umask


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_file_is_refused(saved: Path, tmp_path: Path, share: float) -> None:
    whole = saved.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors") as caught:
        load_policy(cut)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_changed_byte_is_refused_or_harmless(
    saved: Path, policy: Policy, tmp_path: Path, data: st.DataObject
) -> None:
    changed = bytearray(saved.read_bytes())
    # Half of the draws fall into the header, which is the more delicate part.
    header = 8 + int.from_bytes(changed[:8], "little")
    where = data.draw(st.integers(0, data.draw(st.sampled_from([header, len(changed)])) - 1))
    changed[where] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "changed.safetensors"
    file.write_bytes(changed)
    try:
        loaded = load_policy(file)
    except CheckpointError:
        return
    for name, value in loaded.policy.state_dict().items():
        assert torch.equal(value, policy.state_dict()[name]), (where, name)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200))
def test_foreign_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "foreign"
    file.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_policy(file)


def test_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="not one that imitate wrote"):
        load_policy(tmp_path / "x.safetensors")


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("dump", [pickle.dumps, None])
def test_pickle_is_never_run(dump: Callable | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if dump is None:
        torch.save(Bomb(), tmp_path / "bomb")
    else:
        (tmp_path / "bomb").write_bytes(dump(Bomb()))
    with pytest.raises(CheckpointError):
        load_policy(tmp_path / "bomb")
    assert not (tmp_path / "exploded").exists()


def test_only_a_config_can_be_named_as_policy(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def name_a_program(document: dict) -> None:
        document["info"]["policy"] = {"_target_": "subprocess.Popen", "args": ["touch", "exploded"]}

    with pytest.raises(CheckpointError, match=r"policy\._target_ is 'subprocess.Popen'"):
        load_policy(rewrite(saved, tmp_path / "x.safetensors", name_a_program))
    assert not (tmp_path / "exploded").exists()


KEY = "ema/normalizer.action.scale"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({KEY: None}, r"'normalizer.action.scale' is absent, expected float32 \[2\]"),
        ({"ema/extra": torch.ones(4)}, r"'extra' is float32 \[4\], expected no such key"),
        ({KEY: torch.ones(3)}, r"'normalizer.action.scale' is float32 \[3\], expected float32 \[2\]"),
        ({KEY: torch.ones(2).double()}, r"is float64 \[2\], expected float32 \[2\]"),
    ],
)
def test_weights_that_do_not_fit_name_the_key(
    saved: Path, tmp_path: Path, tensors: dict, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_policy(rewrite(saved, tmp_path / "x.safetensors", **tensors))


def set_in(*path: str, value: object) -> Callable[[dict], None]:
    def change(document: dict) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("info", "policy", "width", value=16), r"weight '.*' is float32 .*, expected float32"),
        (set_in("info", "policy", "width", value="wide"), r"policy.width is 'wide', expected a whole number"),
        (set_in("info", "policy", "widht", value=8), r"unknown key policy.widht \(did you mean 'width'"),
        (
            set_in("info", "normalizers", "normalizer.action", value="gaussian"),
            r"is gaussian, expected minmax",
        ),
        (set_in("info", "unknown", value=1), r"malformed description.*unknown"),
        (set_in("info", "spec", value={"obs": 3}), r"malformed description"),
        (lambda document: document["info"].pop("spec"), r"malformed description.*spec"),
        (lambda document: document["crc32"].update({KEY: 1}), r"checksum of ema/normalizer.action.scale"),
    ],
)
def test_wrong_description_is_refused(saved: Path, tmp_path: Path, change: Callable, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_policy(rewrite(saved, tmp_path / "x.safetensors", change))


def test_newer_format_is_refused(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 2)
    with pytest.raises(CheckpointError, match="format version 1, expected 2"):
        load_policy(saved)


def test_failed_save_keeps_the_old_file(saved: Path, policy: Policy, info: CheckpointInfo) -> None:
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(saved.parent / "no" / "folder" / LAST, weights(policy), info)
    assert saved.read_bytes() == before


WRITER = """
import os, random, signal, sys, time, torch
from pathlib import Path
from imitate.checkpoint import load_policy, read, save
path = Path(sys.argv[1])
info, tensors = read(path)
tensors["live/big"] = torch.ones(1_000_000)
start = time.monotonic()
save(path.with_name("timed"), tensors, info)
took = time.monotonic() - start
path.with_name("timed").unlink()
for attempt in range(40):
    child = os.fork()
    while child == 0:
        save(path, tensors, info)
    time.sleep(random.uniform(0.0, 3 * took))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    load_policy(path)
    read(path)
"""


@pytest.mark.slow
def test_killed_writer_leaves_a_whole_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / LAST
    path.write_bytes(saved.read_bytes())
    # The threads of OpenMP do not live on in a forked process, which may wait for them for ever.
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path)], capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    info, tensors = read(path)
    assert "live/big" in tensors  # At least one save was whole.
    save(path, tensors, info)
    assert [entry.name for entry in tmp_path.iterdir()] == [LAST]
