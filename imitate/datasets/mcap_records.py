"""The records of an MCAP file in the order of the file, without its index: so one that is cut off is read
as far as it goes. No chunk becomes more than is in proportion to it.

Format: https://mcap.dev/spec
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imitate.datasets.proportion import PART, WHOLE
from imitate.datasets.session_format import MAGIC
from imitate.datasets.unpacking import DamagedError, unpacked
from imitate.errors import import_extra


def is_mcap(path: Path) -> bool:
    """Whether the file starts as MCAP files do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def mcap_records(path: Path, problems: list[str]) -> Iterator[Any]:
    """All records of mcap.records but chunks, in whose place those within come, one in memory at a time.

    What cannot be read is told in `problems`, a line each, before the next record comes: a chunk that is
    damaged is passed over, and the rest of the file where it is cut off.
    """
    chunk = import_extra("mcap.records", "ros").Chunk
    size, total = path.stat().st_size, 0
    with path.open("rb") as file:
        records = _stream(file, size).records
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except Exception:  # What half a record raises differs by record: mcap's, struct's.
                problems.append(
                    f"{path.name} is cut off or damaged after {file.tell()} of {size} bytes: "
                    f"what follows is lost"
                )
                return
            if isinstance(record, chunk):
                # What says more than it may is not unpacked.
                total += min(record.uncompressed_size, PART.most(len(record.data)))
                if total > WHOLE.most(size):
                    problems.append(f"{path.name} unpacks to more than {total:,} bytes: what follows is lost")
                    return
                yield from _within(record, path, problems)
            else:
                yield record


def _within(chunk: Any, path: Path, problems: list[str]) -> Iterator[Any]:
    try:
        raw = unpacked(chunk.data, chunk.compression, chunk.uncompressed_size)
        if chunk.uncompressed_crc and zlib.crc32(raw) != chunk.uncompressed_crc:
            raise DamagedError("its checksum is another")
        file = io.BytesIO(raw)
        records = _stream(file, len(raw), skip_magic=True).records
        while file.tell() < len(raw):
            yield next(records)
    except Exception as error:  # unpacked's, mcap's and struct's.
        problems.append(f"{path.name}: a chunk of {len(chunk.data)} bytes is lost: {error}")


def _stream(file: Any, size: int, skip_magic: bool = False) -> Any:
    reader = import_extra("mcap.stream_reader", "ros").StreamReader
    return reader(file, skip_magic=skip_magic, emit_chunks=True, record_size_limit=size)
