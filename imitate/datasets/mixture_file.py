"""The YAML file of a mixture: stores, how often each is drawn from, and how their names map to the first's.

    stores:
      - path: real.zarr
        weight: 0.7
      - path: simulated.view.json
        weight: 0.3
        keys: {eef_pos: ee_pos}          # what that store calls it: what the first store calls it
        action: [dx, dy, dz, grip]       # elements of its action, in the order of the first store's
        normalise: own                   # or shared
    obs: []                              # observations to use; empty: all of the first store's

Paths are relative to the file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from imitate.errors import ConfigError, DataError
from imitate.parts import TARGET, from_json

MOST_BYTES = 2**20
MOST_DEPTH = 10
START = re.compile(rb"^stores[ \t]*:", re.MULTILINE)

Normalise = Literal["own", "shared"]


@dataclass(frozen=True)
class MixtureEntry:
    """One store of a mixture.

    weight: its share of the windows, relative to the other weights. keys: {their name: our name} of
    observations that are called differently. action: names or indices of its action elements that stand for
    those of the first store, in their order; empty: all as they are. normalise: see imitate.datasets.mixture.
    """

    path: str
    weight: float
    keys: Mapping[str, str] = field(default_factory=dict)
    action: tuple[str | int, ...] = ()
    normalise: Normalise = "shared"

    def __post_init__(self) -> None:
        if not (0 < self.weight < float("inf")):
            raise ConfigError(f"weight of {self.path!r} is {self.weight}, expected a number above 0")
        if not self.path or "\0" in self.path:
            raise ConfigError(f"path is {self.path!r}, expected where a store lies")
        if len(set(self.keys.values())) < len(self.keys):
            raise ConfigError(f"keys of {self.path!r} give two observations one name: {dict(self.keys)}")


@dataclass(frozen=True)
class MixtureFile:
    """What the file says. obs: the observations to use, empty for all of the first store's."""

    stores: tuple[MixtureEntry, ...]
    obs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.stores:
            raise ConfigError("stores is empty, expected at least one store")
        paths = [one.path for one in self.stores]
        if len(set(paths)) < len(paths):
            raise ConfigError(f"stores lists one store twice: {paths}; give it the sum of the weights")


def is_mixture(path: Path) -> bool:
    """Whether the file is text that lists stores at its top level."""
    try:
        if path.suffix not in (".yaml", ".yml") or path.stat().st_size > MOST_BYTES:
            return False
        return START.search(path.read_bytes()) is not None
    except OSError:
        return False


def read_mixture_file(path: Path) -> MixtureFile:
    """Read the YAML at `path`; raises DataError naming the key that is wrong."""
    plain = _read_yaml(path)
    stores = plain.get("stores")
    if not isinstance(stores, list) or not all(isinstance(one, dict) for one in stores):
        raise DataError(f"{path}: 'stores' is {stores!r:.60}, expected a list of {{path, weight}}")
    entries = [{TARGET: _target(MixtureEntry), **one} for one in stores]
    try:
        found = from_json({TARGET: _target(MixtureFile), **plain, "stores": entries})
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    assert isinstance(found, MixtureFile)
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        _require_plain(text)
        plain = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
        raise DataError(f"{path}: expected 'stores', a list of {{path, weight}}")
    if _names_a_class(plain):
        raise DataError(f"{path}: holds a key {TARGET!r}, which no mixture has")
    return plain


def _require_plain(text: str) -> None:
    """Raise ValueError for what could take a reader long or stand for billions of entries."""
    depth = 0
    for event in yaml.parse(text):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it holds an alias (*name); write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} deep")


def _names_a_class(value: Any) -> bool:
    if isinstance(value, dict):
        return TARGET in value or any(_names_a_class(item) for item in value.values())
    return isinstance(value, list) and any(_names_a_class(item) for item in value)


def _target(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
