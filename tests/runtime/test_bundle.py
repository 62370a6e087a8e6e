"""Exported policies are opened whole and unchanged, or refused in one clear line."""

import dataclasses
import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("cryptography")

import small_bundle
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.errors import BundleError
from imitate.export.writing import zipped
from imitate.runtime import Manifest, open_bundle
from imitate.runtime.manifest import MANIFEST, MODEL, SIGNATURE


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle.written(tmp_path_factory.mktemp("bundles") / "linear.imitate")


def refused(path: Path, **arguments: object) -> str:
    """The line that says why `path` cannot be used."""
    with pytest.raises(BundleError) as caught:
        open_bundle(path, **arguments).policy()  # type: ignore[arg-type]
    line = str(caught.value)
    assert str(path) in line and "\n" not in line
    return line


def with_parts(path: Path, change: Callable[[dict[str, bytes]], None], out: Path) -> Path:
    """The bundle `path` with its parts changed, its checksums right."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    change(parts)
    out.write_bytes(zipped(parts))
    return out


def test_everything_in_it_is_what_was_written(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert opened.manifest.spec == small_bundle.SPEC
    assert opened.manifest.horizons == small_bundle.HORIZONS
    assert opened.manifest.control_period_s == pytest.approx(0.1)
    assert opened.part(MODEL) == small_bundle.graph()
    assert opened.part("observations.npz") is None
    assert not opened.is_signed


def test_the_same_parts_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    assert small_bundle.written(tmp_path / "again").read_bytes() == bundle.read_bytes()


def test_a_manifest_survives_json() -> None:
    whole = small_bundle.described(hashes={"model.onnx": "0"})
    assert Manifest.from_bytes(whole.to_bytes()) == whole
    unlimited = dataclasses.replace(whole, action_low=(-np.inf, -5.0), action_high=(np.inf, 5.0))
    assert Manifest.from_bytes(unlimited.to_bytes()) == unlimited


def test_a_signature_is_demanded_by_a_key(bundle: Path, tmp_path: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signed = small_bundle.written(tmp_path / "signed", key)
    assert open_bundle(signed, public).is_signed
    assert open_bundle(signed, key.public_key().public_bytes_raw()).is_signed
    assert open_bundle(signed).is_signed
    assert "not signed" in refused(bundle, public_key=public)
    assert "signature" in refused(signed, public_key=other.public_key().public_bytes_raw())
    assert "32" in refused(signed, public_key=b"short")
    assert "no PEM" in refused(signed, public_key=signed)
    assert "cannot be read" in refused(signed, public_key=tmp_path / "absent.pem")
    kind = generate_private_key(SECP256R1()).public_key()
    public.write_bytes(kind.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert "another kind" in refused(signed, public_key=public)

    def loosen(parts: dict[str, bytes]) -> None:
        plain = json.loads(parts[MANIFEST])
        plain["action_high"] = [500, 500]
        parts[MANIFEST] = json.dumps(plain).encode()

    tampered = with_parts(signed, loosen, tmp_path / "tampered")
    assert "changed after it was signed" in refused(tampered, public_key=key.public_key().public_bytes_raw())


def change_part(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda parts: parts.__setitem__(name, content)


def change_manifest(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(parts: dict[str, bytes]) -> None:
        parts[MANIFEST] = json.dumps({**json.loads(parts[MANIFEST]), **changes}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_part(MODEL, b"other weights"), "SHA-256 of model.onnx"),
        (change_part("golden.npz", b""), "SHA-256 of golden.npz"),
        (change_part("extra.bin", b"x"), "extra.bin is not in the manifest"),
        (change_part("../../etc/passwd.txt", b"x"), "tampered"),
        (change_part("folder/file.txt", b"x"), "tampered"),
        (lambda parts: parts.pop("model_card.md"), "model_card.md is missing"),
        (lambda parts: parts.pop(MANIFEST), "no exported policy"),
        (change_part(MANIFEST, b"[]"), "malformed"),
        (change_part(MANIFEST, b"{"), "malformed"),
        (change_part(MANIFEST, b"\xff\xfe"), "malformed"),
        (change_part(MANIFEST, b"[" * 100_000), "malformed"),
        (change_manifest(format="something else"), "something else"),
        (change_manifest(version=2), "format version 2"),
        (change_manifest(noise_size="many"), "malformed"),
        (change_manifest(noise_size=7), "the manifest says otherwise"),
        (change_manifest(tolerance=[1.0]), "tolerance has 1 entries"),
        (change_manifest(tolerance=[1e-9, 1e-9]), "acts otherwise than recorded"),
        (change_manifest(horizons={"obs_steps": 0, "pred_steps": 4, "action_steps": 3}), "horizons"),
        (change_manifest(spec={}), "malformed"),
        (change_manifest(seen=[]), "malformed"),
    ],
)
def test_changed_parts_are_named(bundle: Path, tmp_path: Path, change, said: str) -> None:
    assert said in refused(with_parts(bundle, change, tmp_path / "changed.imitate"))


def test_what_is_no_bundle_is_named(bundle: Path, tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent")
    assert "folder" in refused(tmp_path)
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as file:
        file.writestr("hello.txt", "hello")
    assert "no exported policy" in refused(foreign)
    foreign.write_bytes(b"not a zip at all")
    assert "no exported policy" in refused(foreign)
    foreign.write_bytes(b"")
    assert "no exported policy" in refused(foreign)


def test_a_part_that_claims_to_be_larger_than_the_file_is_not_read(bundle: Path, tmp_path: Path) -> None:
    deflated = io.BytesIO()
    with zipfile.ZipFile(bundle) as file, zipfile.ZipFile(deflated, "w") as bomb:
        for name in file.namelist():
            compressed = zipfile.ZIP_DEFLATED if name == MODEL else zipfile.ZIP_STORED
            bomb.writestr(name, b"0" * 10_000_000 if name == MODEL else file.read(name), compressed)
    path = tmp_path / "bomb.imitate"
    path.write_bytes(deflated.getvalue())
    assert "claims 10000000 bytes" in refused(path)


def test_a_repeated_part_is_refused(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.imitate"
    path.write_bytes(bundle.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr(MODEL, b"another")
    assert "damaged" in refused(path)


@functools.cache
def whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return small_bundle.written(
            Path(folder) / "b", Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        ).read_bytes()


def requires_the_same_or_a_line(content: bytes) -> None:
    """A bundle of these bytes is refused in one line, or acts as the undamaged one does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.imitate"
        path.write_bytes(content)
        try:
            policy = open_bundle(path).policy()
        except BundleError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            return
    assert policy.manifest == described_with_hashes()
    obs, noise = (
        small_bundle.observation(np.random.default_rng(5)),
        np.zeros(small_bundle.NOISE_SIZE, np.float32),
    )
    np.testing.assert_allclose(policy.predict_with(obs, noise), small_bundle.expected(obs, noise), atol=1e-5)


@functools.cache
def described_with_hashes() -> Manifest:
    with zipfile.ZipFile(io.BytesIO(whole())) as file:
        return Manifest.from_bytes(file.read(MANIFEST))


@settings(max_examples=150)
@given(st.data())
def test_no_flipped_byte_gives_a_wrong_answer(data: st.DataObject) -> None:
    content = bytearray(whole())
    # Most of the bytes are weights; the last ones are the list of parts.
    near_the_end = data.draw(st.booleans())
    place = data.draw(st.integers(1, 700 if near_the_end else len(content)))
    content[-place] ^= data.draw(st.integers(1, 255))
    requires_the_same_or_a_line(bytes(content))


@settings(max_examples=60)
@given(st.integers(0, 100_000), st.integers(0, 200), st.binary(max_size=40))
def test_cut_or_overwritten_pieces_give_no_wrong_answer(place: int, length: int, other: bytes) -> None:
    content = whole()
    place %= len(content)
    requires_the_same_or_a_line(content[:place] + other + content[place + length :])


def test_the_signature_is_a_part_like_any_other(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    signed = small_bundle.written(tmp_path / "signed", key)
    with zipfile.ZipFile(signed) as file:
        assert len(file.read(SIGNATURE)) == 64
