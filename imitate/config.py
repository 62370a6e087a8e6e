"""Composing a command's configuration: Hydra in, a checked frozen dataclass out.

This and imitate.cli are the only places that know Hydra. Every mistake comes back as one ConfigError line
with the full key, what was found, and the nearest valid one.
"""

import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imitate.errors import ConfigError, nearest
from imitate.parts import TARGET, from_json

CONFIG_MODULE = "imitate.configs"
OPEN_KEYS = {"rollout": "policy", "stress": "policy", "export": "policy"}
"""Keys of a command under which anything may stand: what fits, another file (a checkpoint) says."""
FREE_KEY = "env.kwargs"
"""A key of any command under which anything may stand: what fits, the environment that is named says."""
FILE_KEYS = {"sweep": "data", "deploy": "policy", "serve": "policy", "robot_check": "policy"}
"""Keys of a command that name a file, though a configuration group has the same name."""
TEXT_KEYS = {
    "rollout": "rollout.instruction",
    "stress": "rollout.instruction",
    "deploy": "instruction",
    "data_relabel": "task",
}
"""Keys of a command that are a sentence, with commas and apostrophes; one in quotes is what they hold."""


def verbs() -> dict[str, str]:
    """The commands there are: name -> module that holds it, read from the YAML files of the commands."""
    found = {}
    for entry in resources.files(CONFIG_MODULE).iterdir():
        if entry.name.endswith(".yaml"):
            match = re.search(rf"^{TARGET}:\s*([\w.]+)\.\w+\s*$", entry.read_text(), re.MULTILINE)
            if match:
                found[entry.name.removesuffix(".yaml")] = match[1]
    return dict(sorted(found.items()))


def options(group: str) -> list[str]:
    """The choices of a configuration group such as "policy" or "env", nested ones as "suite/task"."""
    root = resources.files(CONFIG_MODULE) / group
    if not root.is_dir():
        return []
    names = []
    for entry in root.iterdir():
        if entry.is_dir() and not entry.name.startswith("_"):
            names += [f"{entry.name}/{name}" for name in options(f"{group}/{entry.name}")]
        elif entry.name.endswith(".yaml"):
            names.append(entry.name.removesuffix(".yaml"))
    return sorted(names)


def compose(verb: str, overrides: Sequence[str] = ()) -> Any:
    """The command dataclass of `verb` with `overrides` ("key=value") applied; raises ConfigError."""
    return from_json(compose_plain(verb, overrides))


def compose_plain(verb: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The composed configuration as plain dictionaries, every required key present."""
    config = _compose(verb, list(overrides))
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"imitate {verb.replace('_', ' ')} needs {missing[0]}: add  {missing[0]}=…")
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _compose(verb: str, overrides: list[str]) -> DictConfig:
    for override in overrides:
        if "=" not in override:
            raise ConfigError(f"{override!r} is not of the form key=value")
    GlobalHydra.instance().clear()
    as_they_are = [o for o in overrides if _is_file(verb, o) or _is_text(verb, o)]
    words = [_in_hydras_words(verb, override) for override in overrides if override not in as_they_are]
    try:
        with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            config = hydra.compose(verb, overrides=words)
        for key, _, value in (override.partition("=") for override in as_they_are):
            OmegaConf.update(config, key, None if value == "null" else value)
        return config
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(verb, overrides, error)) from error


def _is_file(verb: str, override: str) -> bool:
    return override.partition("=")[0] == FILE_KEYS.get(verb)


def _is_text(verb: str, override: str) -> bool:
    key, _, value = override.partition("=")
    return key == TEXT_KEYS.get(verb) and not value.startswith(("'", '"'))


def _in_hydras_words(verb: str, override: str) -> str:
    """Hydra says "~env" for "env=null", none of a group, "++key=value" for a new key, and quotes "a=b"."""
    key, _, value = override.partition("=")
    if value.startswith("[") and value.endswith("]"):
        override = f"{key}=[{','.join(map(_quoted, _elements(value[1:-1])))}]"
    elif value:
        override = f"{key}={_quoted(value)}"
    opened = (OPEN_KEYS[verb],) if verb in OPEN_KEYS else ()
    if key == FREE_KEY or key.startswith((f"{FREE_KEY}.", *(f"{name}." for name in opened))):
        return f"++{override}"
    return f"~{key}" if value == "null" and options(key) else override


def _quoted(value: str) -> str:
    """A value that Hydra takes as it stands, also where it holds "="."""
    if "=" not in value or value[0] in "\"'[{":
        return value
    return '"{}"'.format(value.replace('"', '\\"'))


def _elements(inside: str) -> list[str]:
    """What stands between the brackets of a list, parted at the commas that are in no quotes or brackets."""
    parts, depth, quote = [""], 0, ""
    for letter in inside:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        parts[-1] += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "[{(") - (letter in "]})")
    return [part.strip() for part in parts]


def _explain(verb: str, overrides: list[str], error: Exception) -> str:
    """One line for what Hydra refused, with the nearest valid key or choice."""
    text = str(error)
    choice = re.search(r"Could not find '(?P<group>[\w/]+)/(?P<name>[^/']+)'", text)
    if choice:
        group = choice["group"].split("/")[0]
        name = f"{choice['group']}/{choice['name']}".partition("/")[2]
        return f"{group}={name}: there is no such {group}{nearest(name, options(group))}"
    key = re.search(r"Could not override '(?P<key>[^']+)'", text)
    if key:
        chosen = [override for override in overrides if options(override.partition("=")[0])]
        return f"unknown key {key['key']}{nearest(key['key'], _valid_keys(verb, chosen))}"
    return _first_line(error)


def _valid_keys(verb: str, chosen: list[str]) -> set[str]:
    """Every key of the command with the `chosen` parts ("policy=act"), dotted, parts included."""
    plain = OmegaConf.to_container(_compose(verb, chosen), resolve=False)
    assert isinstance(plain, dict)
    return {key for key in _dotted("", plain) if TARGET not in key}


def _dotted(prefix: str, value: Any) -> set[str]:
    keys = set()
    for name, item in value.items():
        key = f"{prefix}{name}"
        keys |= {key} | (_dotted(f"{key}.", item) if isinstance(item, dict) else set())
    return keys


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
