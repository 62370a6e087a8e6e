"""One policy exported in several forms: float32, float16, int8, and as machine code, beside one another."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import say
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from imitate.checkpoint import LoadedPolicy
from imitate.errors import BundleError, ConfigError
from imitate.export.bundle import export_policy
from imitate.export.precision import Precision
from imitate.runtime import Bundle, BundlePolicy, open_bundle

GRAPH, CODE = "float32", "machine code"
FORMS: dict[str, Precision] = {GRAPH: "float32", "float16": "float16", "int8": "int8", CODE: "float32"}
WARM_UP, COMPARED, LOADS = 30, 64, 3

LOADING = """
import time
began = time.perf_counter()
import sys
from imitate.runtime import open_bundle
key, is_code = bytes.fromhex(sys.argv[2]), sys.argv[3] == "1"
policy = open_bundle(sys.argv[1], key).policy(compiled=is_code)
took = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(took, time.process_time(), int(peak.split()[1]) / 1024)
"""


@dataclass(frozen=True)
class Form:
    """times_ms: processor time of chunks; load_s: seconds and processor seconds, in a process of its own.

    off: median and largest error of a chunk, as a share of an action's range.
    """

    times_ms: np.ndarray
    load_s: tuple[float, float]
    memory_mb: float
    size_mb: float
    off: tuple[float, float]


def measured(loaded: LoadedPolicy, folder: Path, chunks: int, compiled: bool) -> dict[str, Form]:
    """Every form by its name; the one of machine code only where it is to be `compiled` and can be."""
    key = Ed25519PrivateKey.generate()
    private = folder / "private.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes_raw()
    wanted = [name for name in FORMS if compiled or name != CODE]
    files = {name: folder / f"{name.replace(' ', '_')}.imitate" for name in wanted}
    for name, file in list(files.items()):
        settings = {"precision": FORMS[name], "machine_code": name == CODE}
        try:
            export_policy(loaded, file, **settings, sign_with=private, compared=COMPARED)
        except (ConfigError, BundleError) as error:
            say(f"left out: {error}")
            del files[name]
    opened = {name: open_bundle(file, public) for name, file in files.items()}
    policies = {name: each.policy(1, WARM_UP, name == CODE) for name, each in opened.items()}
    times = times_ms(policies, chunks)
    return {
        name: Form(
            times[name],
            *loading(files[name], public, name == CODE),
            size_mb(opened[name], name),
            off(opened[name]),
        )
        for name in files
    }


def times_ms(policies: dict[str, BundlePolicy], chunks: int) -> dict[str, np.ndarray]:
    """Processor time of the chunks of each; they take turns."""
    rng, times = np.random.default_rng(0), {name: np.zeros(chunks) for name in policies}
    first = next(iter(policies.values()))
    for index in range(chunks):
        obs = {
            key: rng.uniform(-1, 1, (first.horizons.obs_steps, *array.shape)).astype(array.dtype)
            for key, array in first.spec.obs.items()
        }
        noise = rng.standard_normal(first.noise_size, np.float32)
        for name, policy in policies.items():
            began = time.process_time()
            policy.predict_with(obs, noise)
            times[name][index] = 1000 * (time.process_time() - began)
    return times


def loading(file: Path, public: bytes, is_code: bool) -> tuple[tuple[float, float], float]:
    """Seconds, processor seconds, and peak memory in MB; the fastest of some tries after a first one."""
    command = [sys.executable, "-c", LOADING, str(file), public.hex(), str(int(is_code))]
    tries = []
    for _ in range(1 + LOADS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        tries.append(tuple(map(float, done.stdout.split())))
    wall, processor, memory = min(tries[1:])
    return (wall, processor), memory


def size_mb(bundle: Bundle, name: str) -> float:
    """Of the part that acts."""
    part = bundle.part("policy.pt2" if name == CODE else "model.onnx")
    return len(part or b"") / 1e6


def off(bundle: Bundle) -> tuple[float, float]:
    parity = bundle.manifest.parity
    most = parity["largest_error_in_ranges"]
    return parity.get("median_error_in_ranges", most), most
