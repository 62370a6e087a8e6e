"""The JSON file of a view: the stores it names, by path and content hash, and the history of what was done.

    {"kind": "imitate view", "format": 1,
     "sources": [{"path": "demos.zarr", "hash": "…"}],
     "history": [{"operation": "filter", "date": "2026-11-21T12:00:00+00:00", "where": {"success": true}}]}

Paths are relative to the file. Dropping the last entry of the history undoes it.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imitate.datasets.durable import write_durably
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.instructing import Instruct
from imitate.datasets.views.operations import Filter, Operation, Relabel, Rename, Split, Trim
from imitate.errors import ConfigError, DataError, nearest
from imitate.parts import TARGET, from_json, to_json

KIND = "imitate view"
FORMAT = 1
SUFFIX = ".view.json"
START = re.compile(rb'\s*\{\s*"kind"\s*:\s*"imitate view"')
MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Merge:
    """All episodes of all sources; `names` stand before ids that several of them have. Always comes first."""

    names: tuple[str, ...]


Done = Merge | Operation
KINDS: dict[str, type] = {
    "merge": Merge,
    "split": Split,
    "filter": Filter,
    "trim": Trim,
    "relabel": Relabel,
    "rename": Rename,
    "instruct": Instruct,
}


@dataclass(frozen=True)
class Source:
    """A store that a view reads: where it lies (absolute), and the hash of what it held.

    files: the state of its files then, where reading them all again would take long; as long as it is the
    same, so is the hash.
    """

    path: Path
    hash: str
    files: str = ""


@dataclass(frozen=True)
class Entry:
    """What was done, and when (ISO 8601)."""

    done: Done
    date: str

    @classmethod
    def now(cls, done: Done) -> "Entry":
        """Done at this moment."""
        return cls(done, datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def operation(self) -> str:
        """Its name in the file."""
        return next(name for name, kind in KINDS.items() if type(self.done) is kind)

    def arguments(self) -> dict[str, Any]:
        """Those that differ from their defaults, as JSON values."""
        return _plain(self.done)


@dataclass(frozen=True)
class ViewFile:
    """What the file says. A view of several sources begins with a merge."""

    sources: tuple[Source, ...]
    history: tuple[Entry, ...]

    def followed_by(self, *done: Operation) -> "ViewFile":
        """The same with `done` at the end of the history."""
        return dataclasses.replace(self, history=(*self.history, *map(Entry.now, done)))


def is_view(path: Path) -> bool:
    """Whether the file says that it is a view."""
    try:
        with path.open("rb") as file:
            return START.match(file.read(256)) is not None
    except OSError:
        return False


def write_view_file(path: Path, view: ViewFile) -> None:
    """Write `view` to a new file, whole or not at all; raises DataError where `path` exists."""
    require_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_plain(view, path.parent), indent=1) + "\n"
    try:
        write_durably(path, text.encode())
    except BaseException:
        path.with_name(path.name + ".partial").unlink(missing_ok=True)
        raise


def require_new(path: Path) -> None:
    """Raise DataError where `path` cannot become a view file."""
    if path.suffix != ".json":
        raise DataError(
            f"out is {str(path)!r}, expected a name such as {path.stem}{SUFFIX}: a view is a small file; "
            "to make a store of it, run  imitate import  afterwards"
        )
    if path.exists():
        raise DataError(f"{path}: already exists; choose another name with out=…")


def to_plain(view: ViewFile, folder: Path) -> dict[str, Any]:
    """The JSON of the file that lies in `folder`."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "sources": [_plain_source(source, folder) for source in view.sources],
        "history": [
            {"operation": entry.operation, "date": entry.date, **entry.arguments()} for entry in view.history
        ],
    }


def read_view_file(path: Path) -> ViewFile:
    """Read what `write_view_file` wrote or a person edited; raises DataError naming the entry at fault."""
    plain = _read_json(path)
    if plain.get("format") != FORMAT:
        raise DataError(
            f"{path}: view format {plain.get('format')!r}, expected {FORMAT}; update imitate to read it"
        )
    sources, history = plain.get("sources"), plain.get("history")
    if not isinstance(sources, list) or not sources or not isinstance(history, list):
        raise DataError(f"{path}: a view holds 'sources', at least one, and 'history', a list of operations")
    try:
        view = ViewFile(
            tuple(_source(one, path.parent, f"sources[{i}]") for i, one in enumerate(sources)),
            tuple(_entry(one, f"history[{i}]") for i, one in enumerate(history)),
        )
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    _require_merge(path, view)
    return view


def _require_merge(path: Path, view: ViewFile) -> None:
    merges = [i for i, entry in enumerate(view.history) if isinstance(entry.done, Merge)]
    if merges != ([0] if len(view.sources) > 1 else []):
        raise DataError(f"{path}: the history of several sources, and of no single one, begins with a merge")
    for i in merges:
        names = view.history[i].done.names  # type: ignore[union-attr]
        if len(set(names)) != len(view.sources):
            raise DataError(f"{path}: history[0].names has to name each of {len(view.sources)} sources once")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES >> 20} MiB")
        plain = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as a view ({error}); make it again") from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise DataError(f"{path}: 'kind' is not {KIND!r}, so this is no view")
    # Values of the file must never name a class to import.
    if _has_target(plain):
        raise DataError(f"{path}: holds a key {TARGET!r}, which no view has")
    return plain


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _has_target(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if TARGET in item:
                return True
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return False


def _source(plain: Any, folder: Path, where: str) -> Source:
    if not isinstance(plain, dict) or not all(isinstance(plain.get(key), str) for key in ("path", "hash")):
        raise ConfigError(f"{where} is {_short(plain)}, expected the texts 'path' and 'hash'")
    if not plain["path"] or "\0" in plain["path"]:
        raise ConfigError(f"{where}.path is {plain['path']!r}, expected where a store lies")
    return Source((folder / plain["path"]).resolve(), plain["hash"], str(plain.get("files", "")))


def _plain_source(source: Source, folder: Path) -> dict[str, str]:
    plain = {"path": _seen_from(folder, source.path), "hash": source.hash}
    return plain | ({"files": source.files} if source.files else {})


def _entry(plain: Any, where: str) -> Entry:
    if not isinstance(plain, dict) or not isinstance(plain.get("operation"), str):
        raise ConfigError(f"{where} is {_short(plain)}, expected an 'operation'")
    if plain["operation"] not in KINDS:
        hint = nearest(plain["operation"], KINDS)
        raise ConfigError(f"{where}.operation is {plain['operation']!r}{hint}")
    given = {key: value for key, value in plain.items() if key not in ("operation", "date")}
    if isinstance(given.get("where"), dict):
        given["where"] = {TARGET: _target(Criteria), **given["where"]}
    done = from_json({TARGET: _target(KINDS[plain["operation"]]), **given}, where)
    return Entry(done, str(plain.get("date", "")))


def _target(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(part: Any) -> dict[str, Any]:
    """The fields that differ from their defaults, without the names of classes."""
    found = {}
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        default = f.default_factory() if callable(f.default_factory) else f.default
        if value != default or type(value) is not type(default):
            found[f.name] = _plain(value) if isinstance(value, Criteria) else to_json(value)
    return found


def _seen_from(folder: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return path.as_posix()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def described(entry: Entry) -> str:
    """One line for people: the operation and its arguments, long lists by their number of entries."""
    words = [f"{key}={_brief(value)}" for key, value in _flat(entry.arguments())]
    return " ".join([entry.operation, *words])


def _flat(arguments: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in arguments.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if key == "where" else [(name, value)]
    return found


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | dict) and len(text) > 60:
        return f"({len(value)} of them)"
    return text
