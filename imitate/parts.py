"""Parts as plain JSON: a frozen config dataclass <-> {"_target_": "package.module.Class", field: value, …}.

The import path plus its arguments is the only registry: configuration files, checkpoints and results all
name a part this way, so a new policy or environment is one module and one YAML.
"""

import dataclasses
import importlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from imitate.errors import ConfigError, nearest

TARGET = "_target_"


def to_json(part: Any) -> Any:
    """The JSON form of a config dataclass, nested ones included; plain values stay as they are."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        cls = type(part)
        fields = {f.name: to_json(getattr(part, f.name)) for f in dataclasses.fields(part)}
        return {TARGET: f"{cls.__module__}.{cls.__qualname__}", **fields}
    if isinstance(part, Mapping):
        return {str(key): to_json(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [to_json(value) for value in part]
    return part


def from_json(value: Any, where: str = "") -> Any:
    """Build the dataclass that `value` names, checking every key and type.

    `where` is the key under which `value` stands; errors (ConfigError) name the full key, what was found
    and what was expected. Only dataclasses can be named: no other callable is ever run.
    """
    if not isinstance(value, Mapping) or TARGET not in value:
        raise ConfigError(f"{where or 'the configuration'} is {_shown(value)}, expected a part with {TARGET}")
    cls = _dataclass_at(value[TARGET], _join(where, TARGET))
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = typing.get_type_hints(cls)
    given = {key: item for key, item in value.items() if key != TARGET}
    for key in given:
        if key not in fields:
            raise ConfigError(f"unknown key {_join(where, key)}{nearest(key, fields)}")
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if no_default and name not in given:
            raise ConfigError(f"{_join(where, name)} is missing")
    return cls(**{key: _convert(item, hints[key], _join(where, key)) for key, item in given.items()})


def _dataclass_at(target: Any, where: str) -> type:
    module_name, _, class_name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where} is {target!r}, which cannot be imported: {error}") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ConfigError(f"{where} is {target!r}, expected the import path of a config dataclass")
    return found


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`: lists become tuples, whole numbers floats, mappings dataclasses."""
    origin = get_origin(hint)
    if isinstance(value, Mapping) and TARGET in value:
        return _require_kind(from_json(value, where), hint, where)
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(hint), where)
    if origin is Literal:
        if value not in get_args(hint):
            expected = ", ".join(map(str, get_args(hint)))
            raise ConfigError(f"{where} is {_shown(value)}, expected one of {expected}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_tuple(value, get_args(hint), where)
    if origin is Mapping and isinstance(value, Mapping) and get_args(hint)[1] is not Any:
        item = get_args(hint)[1]
        return {key: _convert(entry, item, _join(where, key)) for key, entry in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = hint if isinstance(hint, type) else origin
    wrong_bool = isinstance(value, bool) and plain in (int, float)
    if plain in (int, float, str, bool, dict, list, tuple, types.NoneType, Mapping) and (
        wrong_bool or not isinstance(value, plain)
    ):
        raise ConfigError(f"{where} is {_shown(value)}, expected {_type_name(hint)}")
    if isinstance(plain, type) and dataclasses.is_dataclass(plain) and not isinstance(value, plain):
        raise ConfigError(f"{where} is {_shown(value)}, expected the settings of a {plain.__name__}")
    return value


def _convert_union(value: Any, options: tuple[Any, ...], where: str) -> Any:
    if value is None and types.NoneType in options:
        return None
    problems = []
    # A float option would silently turn a whole number into a float that an int option takes as it is.
    for option in sorted(options, key=lambda o: o is float):
        try:
            return _convert(value, option, where)
        except ConfigError as error:
            if option is not types.NoneType:
                problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    expected = " or ".join(_type_name(option) for option in options)
    raise ConfigError(f"{where} is {_shown(value)}, expected {expected}")


def _convert_tuple(value: list[Any] | tuple[Any, ...], hints: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ConfigError(f"{where} has {len(value)} entries, expected {len(hints)}")
    pairs = zip(value, hints, strict=True)
    return tuple(_convert(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(pairs))


def _require_kind(part: Any, hint: Any, where: str) -> Any:
    options = [o for o in (get_args(hint) or (hint,)) if isinstance(o, type) and dataclasses.is_dataclass(o)]
    if options and not isinstance(part, tuple(options)):
        names = " or ".join(option.__name__ for option in options)
        raise ConfigError(f"{where} names a {type(part).__name__}, expected a {names}")
    return part


def _type_name(hint: Any) -> str:
    names: dict[Any, str] = {
        int: "a whole number", float: "a number", str: "text", bool: "true or false",
        types.NoneType: "null", tuple: "a list", list: "a list",
    }  # fmt: skip
    return names.get(hint) or names.get(get_origin(hint)) or str(getattr(hint, "__name__", hint))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
