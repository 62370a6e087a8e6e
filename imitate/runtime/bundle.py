"""Opening an exported policy: nothing of it is used before all of it has been checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imitate.errors import BundleError
from imitate.runtime.archive import read_parts
from imitate.runtime.manifest import CARD, COMPILED, GOLDEN, MANIFEST, MODEL, SIGNATURE, Manifest
from imitate.runtime.policy import BundlePolicy
from imitate.runtime.signing import verify

NEEDED = (MODEL, CARD, GOLDEN)


@dataclass(frozen=True)
class Bundle:
    """An exported policy whose parts are what its manifest says.

    is_signed: there is a signature; is_verified: it is of the key that was given to `open_bundle`.
    """

    path: Path
    manifest: Manifest
    is_signed: bool
    _parts: Mapping[str, bytes] = field(repr=False)
    is_verified: bool = False

    def part(self, name: str) -> bytes | None:
        """The bytes of a part such as "model_card.md" or "observations.npz"; None where there is none."""
        return self._parts.get(name)

    def policy(self, threads: int = 1, warm_up: int = 0, compiled: bool = False) -> BundlePolicy:
        """The policy, ready to act on `threads` processor cores, after `warm_up` chunks for nobody.

        The recorded inputs and outputs are tried first: raises BundleError where they differ here by more
        than the tolerance, or the graph cannot run. A warm-up of 30 takes the slow first runs out of control.
        `compiled` runs the machine code in the file in place of its graph, which takes torch and a signature
        that was checked.
        """
        try:
            code = self._machine_code() if compiled else None
            policy = BundlePolicy(self.manifest, self._parts[MODEL], threads, code)
            policy.require_recorded(self._parts[GOLDEN])
            policy.warm_up(warm_up)
        except BundleError as error:
            raise BundleError(f"{self.path}: {error}") from error
        return policy

    def _machine_code(self) -> bytes:
        if COMPILED not in self._parts:
            raise BundleError("it holds no machine code: export it with  compiled=true")
        if not self.is_verified:
            raise BundleError(
                "it holds machine code, which runs only where it is known whose it is: sign it "
                "(imitate export … sign_with=private.pem), and name  public_key=public.pem"
            )
        return self._parts[COMPILED]


def open_bundle(path: Path | str, public_key: Path | str | bytes | None = None) -> Bundle:
    """Read and check the exported policy `path`.

    `public_key` (a PEM file, or the 32 bytes of an Ed25519 key) demands a signature by that key. Raises
    BundleError, in one line, for a file that is missing, foreign, truncated, damaged, from a newer version,
    or not signed as demanded.
    """
    path = Path(path)
    parts = read_parts(path)
    content, signature = parts.pop(MANIFEST), parts.pop(SIGNATURE, None)
    try:
        if public_key is not None:
            _require_signature(signature, content, public_key)
        manifest = Manifest.from_bytes(content)
        _require_hashes(parts, manifest.hashes)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    return Bundle(path, manifest, signature is not None, parts, public_key is not None)


def _require_signature(signature: bytes | None, content: bytes, public_key: Path | str | bytes) -> None:
    if signature is None:
        raise BundleError(
            "is not signed, but a key to check was given: export it with  sign_with=private.pem"
        )
    verify(signature, content, public_key)


def _require_hashes(parts: Mapping[str, bytes], hashes: Mapping[str, str]) -> None:
    for name in sorted({*NEEDED, *hashes, *parts}):
        if name not in parts:
            raise BundleError(f"the part {name} is missing")
        if name not in hashes:
            raise BundleError(f"the part {name} is not in the manifest: it was added after exporting")
        if hashlib.sha256(parts[name]).hexdigest() != hashes[name]:
            raise BundleError(f"the SHA-256 of {name} is wrong: the file is damaged or was changed")
