"""Signatures of exported policies: Ed25519 (RFC 8032) over the bytes of the manifest, which holds all hashes.

A key pair is made by  openssl genpkey -algorithm ed25519 -out private.pem  and
openssl pkey -in private.pem -pubout -out public.pem.
"""

from pathlib import Path

from imitate.errors import BundleError, import_extra


def verify(signature: bytes, content: bytes, public_key: Path | str | bytes) -> None:
    """Check `signature` of `content`; `public_key` is a PEM file, or the key's 32 bytes.

    Raises BundleError where it does not fit or the key is none, MissingExtraError without cryptography.
    """
    exceptions = import_extra("cryptography.exceptions", "export")
    ed25519 = import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "export")
    key = _from_bytes(public_key) if isinstance(public_key, bytes) else _from_file(Path(public_key))
    assert isinstance(key, ed25519.Ed25519PublicKey)
    try:
        key.verify(signature, content)
    except exceptions.InvalidSignature as error:
        raise BundleError(
            "the signature is not of this key, or the file was changed after it was signed"
        ) from error


def _from_bytes(content: bytes) -> object:
    ed25519 = import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "export")
    try:
        return ed25519.Ed25519PublicKey.from_public_bytes(content)
    except ValueError as error:
        raise BundleError(f"the public key has {len(content)} bytes, expected the 32 of Ed25519") from error


def _from_file(path: Path) -> object:
    serialization = import_extra("cryptography.hazmat.primitives.serialization", "export")
    ed25519 = import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "export")
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BundleError(f"public key {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # cryptography documents several, among them its own
        raise BundleError(f"public key {path} is no PEM file of a public key") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise BundleError(f"public key {path} is of another kind, expected Ed25519")
    return key
