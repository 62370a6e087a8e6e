"""Reading a topics file: YAML, plain values only, every key known."""

import dataclasses
from collections.abc import Hashable, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar

import yaml

from imitate.datasets.bags.topics import Entry, EpisodeMarks, Mark, Topics
from imitate.errors import ConfigError, nearest

FILE_BYTES = 1024**2
TUPLES = {"names", "units", "circular", "size"}

Built = TypeVar("Built", Entry, Mark, EpisodeMarks)


def read_topics(path: Path) -> Topics:
    """The topics file at `path`; raises ConfigError naming file and key for whatever is wrong in it."""
    try:
        return _topics(_load(path), path)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def definitions_of(topics: Topics) -> dict[str, str]:
    """The texts of the .msg files that `topics` names, beside it; raises ConfigError for a missing one."""
    return {
        kind: _text(topics.path.parent / name, f"definitions.{kind}")
        for kind, name in topics.definitions.items()
    }


def _load(path: Path) -> Any:
    try:
        return yaml.load(_text(path, "topics"), Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path} is no YAML: {problem}{place}") from error


def _text(path: Path, where: str) -> str:
    if not path.is_file():
        raise ConfigError(f"{where} is {path}, which is no file")
    if path.stat().st_size > FILE_BYTES:
        raise ConfigError(f"{path} has {path.stat().st_size} bytes, expected a small text")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} stands there twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _topics(value: Any, path: Path) -> Topics:
    known = [field.name for field in dataclasses.fields(Topics) if field.name != "path"]
    found = dict(_mapping(value, "", known))
    for key in ("rate_hz", "observations", "action"):
        if key not in found:
            raise ConfigError(f"{key} is missing")
    observations = _mapping(found["observations"], "observations", None)
    found["observations"] = {key: _entries(item, f"observations.{key}") for key, item in observations.items()}
    found["action"] = _entries(found["action"], "action")
    if "episodes" in found:
        found["episodes"] = _marks(found["episodes"])
    if "definitions" in found:
        found["definitions"] = _definitions(found["definitions"])
    return Topics(**found, path=path)


def _entries(value: Any, where: str) -> tuple[Entry, ...]:
    if isinstance(value, list):
        return tuple(_entry(item, f"{where}[{index}]") for index, item in enumerate(value))
    return (_entry(value, where),)


def _entry(value: Any, where: str) -> Entry:
    return _built(Entry, {"topic": value} if isinstance(value, str) else value, where)


def _marks(value: Any) -> EpisodeMarks:
    found = dict(_mapping(value, "episodes", [f.name for f in dataclasses.fields(EpisodeMarks)][:-1]))
    for key in {"start", "end", "success"} & set(found):
        mark, where = found[key], f"episodes.{key}"
        found[key] = _built(Mark, {"topic": mark} if isinstance(mark, str) else mark, where)
    return EpisodeMarks(**found)


def _definitions(value: Any) -> dict[str, str]:
    found = _mapping(value, "definitions", None)
    for key, name in found.items():
        if not isinstance(name, str):
            raise ConfigError(f"definitions.{key} is {short(name)}, expected the name of a .msg file")
    return dict(found)


def _built(kind: type[Built], value: Any, where: str) -> Built:
    fields = [field.name for field in dataclasses.fields(kind) if field.name != "where"]
    found = {key: _plain(key, item) for key, item in _mapping(value, where, fields).items()}
    if "topic" in fields and "topic" not in found:
        raise ConfigError(f"{where}.topic is missing")
    return kind(**found, where=where)


def _plain(key: str, value: Any) -> Any:
    """Lists as tuples; one unit or name may stand without its list."""
    if key not in TUPLES:
        return value
    return tuple(value) if isinstance(value, list) else (value,)


def _mapping(value: Any, where: str, known: list[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where or 'the file'} is {short(value)}, expected keys and values")
    for key in value:
        name = f"{where}.{key}" if where else str(key)
        if not isinstance(key, str):
            raise ConfigError(f"{name} is no text; write it in quotes")
        if known is not None and key not in known:
            raise ConfigError(f"{name} is no key{nearest(key, known)}")
    return value
