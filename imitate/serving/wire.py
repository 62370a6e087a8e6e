"""What policy server and client say to one another: one msgpack map per WebSocket message.

    server, once      {"protocol": 1, "spec": …, "obs_steps": To, "action_steps": Ta, "plan_steps": P,
                       "origin": …}
    client            {"id": n, "obs": {name: array (To, …)}, "seed": s}        seed may be absent
    server            {"id": n, "action": array (Ta, Da), "batch": rows, "seconds": of inference}
                  or  {"id": n, "error": "one line"}

An array is {"dtype": "<f4", "shape": […], "data": bytes}, little-endian, in C order. Nothing but numbers can
travel in one, so nothing is ever unpickled.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from imitate.errors import ServerError, import_extra

PROTOCOL = 1
DTYPES = ("<f4", "<f8", "|u1", "<i4", "<i8", "|b1")
LARGEST_RANK = 8


def pack(message: Mapping[str, Any]) -> bytes:
    """`message` as msgpack; numpy arrays anywhere in it become maps."""
    packed: bytes = import_extra("msgpack", "serve").packb(message, default=_array_map)
    return packed


def unpack(data: bytes | str) -> dict[str, Any]:
    """The map in `data`; raises ServerError where it is text, truncated, too deep or no map."""
    if isinstance(data, str):
        raise ServerError("a message is text, expected msgpack in a binary message")
    msgpack = import_extra("msgpack", "serve")
    try:
        message = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise ServerError(f"a message is no msgpack: {str(error)[:80]}") from error
    if not isinstance(message, dict):
        raise ServerError(f"a message is {type(message).__name__}, expected a map")
    return message


def array(value: Any, where: str) -> np.ndarray:
    """The array that `value` describes, read-only; raises ServerError, naming `where`, for others."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data"}:
        raise ServerError(f"{where} is no array: expected a map of dtype, shape and data")
    dtype, shape, data = value["dtype"], value["shape"], value["data"]
    if dtype not in DTYPES:
        raise ServerError(f"{where} has dtype {dtype!r:.20}, expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > LARGEST_RANK or not all(_is_size(n) for n in shape):
        raise ServerError(f"{where} has shape {shape!r:.60}, expected a list of whole numbers")
    size = np.dtype(dtype).itemsize
    for length in shape:
        size *= length
    if not isinstance(data, bytes) or len(data) != size:
        found = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise ServerError(f"{where} holds {found}, expected {size} bytes for shape {tuple(shape)}")
    return np.frombuffer(data, dtype).reshape(shape)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _array_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} cannot be sent")
    dense = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    # ascontiguousarray makes a number an array of one.
    return {"dtype": dense.dtype.str, "shape": list(value.shape), "data": dense.tobytes()}
