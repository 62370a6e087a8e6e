"""The file of an exported policy: a zip of stored parts, with a manifest that holds their hashes."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.durable import sync_folder, write_durably
from imitate.errors import BundleError, ConfigError, import_extra
from imitate.runtime.manifest import MANIFEST, SIGNATURE, Manifest

DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip file knows: the same export gives the same bytes."""


def require_writable(out: Path) -> None:
    """Make the folder of `out`; raises ConfigError where `out` itself is one."""
    if out.is_dir():
        raise ConfigError(f"out={out} is a folder, expected a file such as {out / 'policy.imitate'}")
    out.parent.mkdir(parents=True, exist_ok=True)


def write_bundle(out: Path, manifest: Manifest, parts: Mapping[str, bytes], key: Any = None) -> None:
    """Replace `out` in one step by a file of `manifest`, to which hashes are added, and `parts`.

    `key`, an Ed25519 private key, signs the bytes of the manifest.
    """
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    described = replace(manifest, hashes=hashes).to_bytes()
    every = {MANIFEST: described, **parts}
    if key is not None:
        every[SIGNATURE] = key.sign(described)
    write_durably(out, zipped(every))
    sync_folder(out.parent)


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """A zip file of `parts`, stored as they are; the same parts give the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return file.getvalue()


def arrays(content: Mapping[str, np.ndarray]) -> bytes:
    """A .npz file of arrays; the same arrays give the same bytes."""
    parts = {}
    for name, array in content.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        parts[f"{name}.npy"] = file.getvalue()
    return zipped(parts)


def private_key(path: Path) -> Any:
    """The Ed25519 private key in a PEM file without a password; raises BundleError where it is none."""
    serialization = import_extra("cryptography.hazmat.primitives.serialization", "export")
    ed25519 = import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "export")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(f"sign_with={path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # cryptography documents several, among them its own
        raise BundleError(
            f"sign_with={path} is no PEM file of a private key without a password: make one with  "
            "openssl genpkey -algorithm ed25519 -out private.pem"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BundleError(f"sign_with={path} is a key of another kind, expected Ed25519")
    return key
