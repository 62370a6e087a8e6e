"""Damage to files of demonstrations, by copying, disks and malice; the same whenever it is done again."""

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

NUMBERS = (b"0", b"-1", b"7", b"999999999999", b"1e999", b"18446744073709551616", b"null", b"NaN")
TEXTS = (b"", b"/etc/passwd", b"../../../outside", b"x" * 300, b"\xff\xfe", b"a\\nb", b"|O8", b"\x00")
BLOCK = 4096


@dataclass(frozen=True)
class Damage:
    """kind: what is done. file: to which one, modulo their number. place: where, 0 … 1. value: with what."""

    kind: str
    file: int = 0
    place: float = 0.0
    value: int = 0

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    def do(self, path: Path) -> Path:
        """Damage the file or a file of the folder; returns which one."""
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        file = files[self.file % len(files)]
        KINDS[self.kind](self, file, files)
        return file

    def at(self, count: int) -> int:
        return min(int(self.place * count), max(count - 1, 0))


def _truncate(damage: Damage, file: Path, files: list[Path]) -> None:
    file.write_bytes((data := file.read_bytes())[: damage.at(len(data))])


def _flip(damage: Damage, file: Path, files: list[Path]) -> None:
    data = bytearray(file.read_bytes())
    if data:
        data[damage.at(len(data))] ^= damage.value % 255 + 1
    file.write_bytes(data)


def _zero(damage: Damage, file: Path, files: list[Path]) -> None:
    data = bytearray(file.read_bytes())
    start = damage.at(len(data))
    stop = min(len(data), start + 1 + damage.value * 17 % BLOCK)
    data[start:stop] = bytes(stop - start)
    file.write_bytes(data)


def _remove(damage: Damage, file: Path, files: list[Path]) -> None:
    if len(files) > 1:
        file.unlink()


def _empty(damage: Damage, file: Path, files: list[Path]) -> None:
    file.write_bytes(b"")


def _swap(damage: Damage, file: Path, files: list[Path]) -> None:
    other = files[damage.value % len(files)]
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


def _repeat(damage: Damage, file: Path, files: list[Path]) -> None:
    """Half a file twice, as two downloads into one name."""
    data = file.read_bytes()
    file.write_bytes(data[: damage.at(len(data))] + data)


def _number(damage: Damage, file: Path, files: list[Path]) -> None:
    _replace(damage, file, rb"-?\d+(\.\d+)?", NUMBERS)


def _text(damage: Damage, file: Path, files: list[Path]) -> None:
    _replace(damage, file, rb"[A-Za-z_]{3,}", TEXTS)


def _replace(damage: Damage, file: Path, pattern: bytes, others: tuple[bytes, ...]) -> None:
    data = file.read_bytes()
    found = list(re.finditer(pattern, data))
    if found:
        start, stop = found[damage.at(len(found))].span()
        file.write_bytes(data[:start] + others[damage.value % len(others)] + data[stop:])


KINDS: dict[str, Any] = {
    "truncate": _truncate,
    "flip": _flip,
    "zero": _zero,
    "remove": _remove,
    "empty": _empty,
    "swap": _swap,
    "repeat": _repeat,
    "number": _number,
    "text": _text,
}


def copy(src: Path, folder: Path) -> Path:
    """The file or folder `src` again, in `folder`."""
    target = folder / src.name
    return Path(shutil.copytree(src, target) if src.is_dir() else shutil.copyfile(src, target))


def listing(folder: Path) -> dict[str, int]:
    """Every file in `folder` with its size, every folder with -1."""
    return {str(p.relative_to(folder)): p.stat().st_size if p.is_file() else -1 for p in folder.rglob("*")}
