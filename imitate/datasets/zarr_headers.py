"""What the headers of zarr arrays say, in format 2 (.zarray) and 3 (zarr.json), checked before all else.

https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html and …/v3/core/index.html
"""

import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numcodecs.registry import codec_registry  # type: ignore[import-untyped]

from imitate.datasets.zarr_tree import DAMAGE, ZarrTree
from imitate.errors import DataError

# Codecs that can run code or build arbitrary objects while they decode.
UNSAFE_CODECS = {
    "pickle",
    "json2",
    "msgpack2",
    "msgpack",
    "vlen-utf8",
    "vlen-bytes",
    "vlen-array",
    "categorize",
}
COMPRESSORS = {"blosc", "zlib", "gzip", "bz2", "lzma", "zstd", "lz4"}
KEEP_SIZE = {"bytes", "endian", "transpose", "shuffle", "delta", "bitround"}
V3_CODECS = {"bytes", "endian", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed"}


@dataclass(frozen=True)
class ArrayHeader:
    """An array of numbers: shape (N, …), and how a chunk of it is kept.

    chunks: shape of what one file holds. inner: shape of each chunk within, where files are shards.
    compressor: "" for none. checksum: bytes behind each chunk. keeps_size: whether what the compressor gives
    is exactly the chunk's numbers. separator and prefix: how chunk files are named. may_lack: absent files
    stand for the fill value. index_first: whether the index of a shard stands at its start.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    compressor: str = ""
    checksum: int = 0
    keeps_size: bool = True
    separator: str = "."
    prefix: str = ""
    may_lack: bool = False
    inner: tuple[int, ...] | None = None
    index_first: bool = False
    index_checksum: int = 0

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk's numbers; of an inner one where files are shards."""
        return math.prod(self.inner or self.chunks) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of files along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))


def read_array_header(tree: ZarrTree, array: str) -> ArrayHeader:
    """The header of `array` ("data/state").

    Raises DataError where it is missing or damaged, and for objects, which are pickled, and unknown codecs.
    """
    name = "zarr.json" if tree.zarr_format == 3 else ".zarray"
    where = f"{tree.path}/{array}"
    try:
        fields = json.loads(tree.read_header(f"{array}/{name}"))
        read = _version_3 if tree.zarr_format == 3 else _version_2
        return _checked(read(fields, where), where)
    except (*DAMAGE, LookupError, TypeError, AttributeError, OverflowError) as error:
        text = " ".join(repr(error).split())
        raise DataError(f"{where}/{name} is missing or damaged ({text}); copy the dataset again") from error


def _version_2(fields: Mapping[str, Any], where: str) -> ArrayHeader:
    codecs = [*(fields.get("filters") or []), *([fields["compressor"]] if fields.get("compressor") else [])]
    names = [str(codec["id"]) for codec in codecs]
    _require_safe(names, set(codec_registry), where, is_object=str(fields["dtype"]) == "|O")
    header = ArrayHeader(
        tuple(fields["shape"]),
        tuple(fields["chunks"]),
        _numbers(fields["dtype"], where, fields["shape"]),
        separator=fields.get("dimension_separator", "."),
    )
    return _with_codecs(header, names, where)


def _version_3(fields: Mapping[str, Any], where: str) -> ArrayHeader:
    kind, shape = fields["data_type"], fields["shape"]
    if fields["node_type"] != "array" or fields["zarr_format"] != 3 or fields.get("storage_transformers"):
        raise ValueError("expected an array of zarr format 3 without storage transformers")
    codecs: list[dict[str, Any]] = [{"name": c} if isinstance(c, str) else c for c in fields["codecs"]]
    names = [str(codec["name"]) for codec in codecs]
    _require_safe(
        names, _known_in_version_3(), where, is_object=kind in ("string", "bytes", "variable_length_bytes")
    )
    encoding = fields["chunk_key_encoding"]
    settings = encoding.get("configuration") or {}
    is_default = encoding["name"] == "default"
    header = ArrayHeader(
        tuple(shape),
        tuple(fields["chunk_grid"]["configuration"]["chunk_shape"]),
        _numbers(kind, where, shape),
        separator=settings.get("separator", "/" if is_default else "."),
        prefix="c" if is_default else "",
        may_lack=True,
    )
    if names != ["sharding_indexed"]:
        return _with_codecs(header, names, where)
    return _with_shards(header, codecs[0]["configuration"], where)


def _with_shards(header: ArrayHeader, settings: Mapping[str, Any], where: str) -> ArrayHeader:
    names = [str(codec["name"]) for codec in settings["codecs"]]
    _require_safe(names, _known_in_version_3() - {"sharding_indexed"}, where)
    index = [
        codec["name"] for codec in settings.get("index_codecs") or [{"name": "bytes"}, {"name": "crc32c"}]
    ]
    if index not in (["bytes"], ["bytes", "crc32c"]):
        raise ValueError(f"the index of shards is kept by {index}")
    sharded = replace(
        header,
        inner=tuple(settings["chunk_shape"]),
        index_first=settings.get("index_location", "end") == "start",
        index_checksum=4 * (len(index) - 1),
    )
    return _with_codecs(sharded, names, where)


def _with_codecs(header: ArrayHeader, names: list[str], where: str) -> ArrayHeader:
    """The header with what `names`, the codecs in the order of encoding, do to the bytes of a chunk."""
    has_checksum = names[-1:] == ["crc32c"]
    plain = [name.removeprefix("numcodecs.") for name in names[: len(names) - has_checksum]]
    compressors = [name for name in plain if name in COMPRESSORS]
    if compressors and plain[-1:] != compressors:
        raise DataError(f"{where} is kept by {names}, expected one compressor, the last one; store it again")
    return replace(
        header,
        compressor="".join(compressors),
        checksum=4 * has_checksum,
        keeps_size=all(name in KEEP_SIZE or name in compressors for name in plain),
    )


def _known_in_version_3() -> set[str]:
    return V3_CODECS | {f"numcodecs.{name}" for name in codec_registry}


def _require_safe(names: list[str], known: set[str], where: str, is_object: bool = False) -> None:
    unsafe = sorted({name.removeprefix("numcodecs.") for name in names} & UNSAFE_CODECS)
    if is_object or unsafe:
        found = ", ".join(unsafe) or "dtype object"
        raise DataError(f"{where} holds Python objects ({found}), which are never unpickled; store numbers")
    if unknown := [name for name in names if name not in known and not _is_of_imagecodecs(name)]:
        advice = "install imagecodecs" if "imagecodecs" in unknown[0] else "decode it elsewhere"
        raise DataError(
            f"{where} is kept by {unknown[0]!r}, which cannot be decoded here; {advice}, or store the array "
            f"again with Blosc"
        )


def _is_of_imagecodecs(name: str) -> bool:
    """Whether the imagecodecs package is here and knows the codec: real robots' buffers use its JPEG 2000.

    https://github.com/cgohlke/imagecodecs registers its codecs with numcodecs only when asked to.
    """
    if not name.startswith("imagecodecs_"):
        return False
    try:
        importlib.import_module("imagecodecs.numcodecs").register_codecs()
    except ImportError:
        return False
    return name in codec_registry


def _numbers(kind: Any, where: str, shape: Any) -> np.dtype:
    dtype = np.dtype(kind) if isinstance(kind, str) else np.dtype("V1")
    if dtype.kind not in "biuf" or not shape:
        raise DataError(f"{where} has dtype {kind} and shape {shape}, expected rows of numbers")
    return dtype


def _checked(header: ArrayHeader, where: str) -> ArrayHeader:
    sizes = (*header.shape, *header.chunks, *(header.inner or ()))
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        raise ValueError("shape and chunks must be whole numbers")
    fits = len(header.shape) == len(header.chunks) and len(header.inner or header.chunks) == len(
        header.chunks
    )
    if not fits or min(header.shape) < 0 or min((*header.chunks, *(header.inner or ()))) < 1:
        raise ValueError(f"shape {header.shape} does not go with chunks {header.chunks}")
    if header.inner and any(outer % inner for outer, inner in zip(header.chunks, header.inner, strict=True)):
        raise ValueError(f"shards {header.chunks} do not hold whole chunks {header.inner}")
    if header.separator not in (".", "/"):
        raise ValueError(f"dimension separator {header.separator!r}")
    return header
