"""A policy as machine code: the same chunks, only behind a checked signature, only on its kind of machine."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from small_exports import saved, small_config, trained
from small_policies import CONFIGS, SPEC, make_batch

from imitate.deploy.predictor import load_predictor
from imitate.errors import BundleError, CheckpointError, ConfigError
from imitate.export.bundle import export_policy
from imitate.export.compiling import require_compiler
from imitate.runtime import open_bundle
from imitate.runtime.compiled import CompiledGraph, here

try:
    require_compiler()
    HAS_COMPILER = True
except ConfigError:
    HAS_COMPILER = False
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Path]:
    """A signed bundle of a diffusion policy with machine code, the key to check it, and its checkpoint."""
    folder, key = tmp_path_factory.mktemp("world"), Ed25519PrivateKey.generate()
    private = folder / "private.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    config = small_config(next(path for path in CONFIGS if path.stem == "diffusion"))
    loaded = saved(trained(config, SPEC), config, folder / "run")
    out = folder / "p.imitate"
    export_policy(loaded, out, compared=64, machine_code=True, sign_with=private)
    return out, key.public_key().public_bytes_raw(), folder / "run"


@pytest.mark.slow
@needs_compiler
def test_machine_code_gives_the_chunks_of_the_graph(world) -> None:
    out, key, _ = world
    bundle = open_bundle(out, key)
    graph, code = bundle.policy(), bundle.policy(compiled=True, warm_up=2)
    config = small_config(next(path for path in CONFIGS if path.stem == "diffusion"))
    obs, rng = make_batch(config, 8, seed=3).obs, np.random.default_rng(0)
    for row in range(8):
        seen = {name: value[row].numpy() for name, value in obs.items()}
        noise = rng.standard_normal(graph.noise_size, np.float32)
        np.testing.assert_allclose(
            code.predict_with(seen, noise), graph.predict_with(seen, noise), rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
@needs_compiler
def test_machine_code_runs_only_where_its_signature_was_checked(world) -> None:
    out, _, run = world
    with pytest.raises(BundleError, match=r"whose it is: sign it .* public_key=public.pem") as said:
        open_bundle(out).policy(compiled=True)
    assert str(said.value).startswith(str(out))
    open_bundle(out).policy()
    with pytest.raises(BundleError, match="whose it is"):
        load_predictor(str(out), compiled=True)
    with pytest.raises(CheckpointError, match="compiled=true, but"):
        load_predictor(str(run), compiled=True)
    with pytest.raises(CheckpointError, match="is a server: say it there"):
        load_predictor("ws://127.0.0.1:1", compiled=True)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("what", ["torch", "processor"])
def test_machine_code_for_another_machine_is_refused(world, what: str) -> None:
    out, key, _ = world
    bundle = open_bundle(out, key)
    other = {**(bundle.manifest.compiled or {}), what: "another"}
    elsewhere = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, compiled=other))
    with pytest.raises(BundleError, match=f"compiled for {what} another, here is .* export it here"):
        elsewhere.policy(compiled=True)


def test_what_is_no_machine_code_is_one_line() -> None:
    threads = torch.get_num_threads()
    with pytest.raises(BundleError, match="cannot be loaded") as said:
        CompiledGraph(b"nothing", here(), ["x"], threads)
    assert "\n" not in str(said.value)


def test_no_compiler_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    from torch._inductor import config as settings
    from torch._inductor import cpp_builder

    cpp_builder.cpp_compiler_search.cache_clear()
    config = small_config(next(path for path in CONFIGS if path.stem == "bc"))
    loaded = saved(trained(config, SPEC, steps=1), config, tmp_path / "run")
    try:
        # Not by monkeypatch, which in the end deletes the setting for all later tests.
        missing = settings.patch({"cpp.cxx": (str(tmp_path / "no_compiler"),)})
        with missing, pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
            export_policy(loaded, tmp_path / "p", compared=8, machine_code=True)
    finally:
        cpp_builder.cpp_compiler_search.cache_clear()
    assert not (tmp_path / "p").exists()
