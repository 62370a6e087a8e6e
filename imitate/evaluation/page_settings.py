"""What settings say in words: the method, the task, and the keys in which several differ."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imitate.page import Html, tag
from imitate.parts import TARGET
from imitate.rollout import EpisodeResult
from imitate.training.run import CONFIG

ABSENT = "–"


def read_config(run_folder: Path | None) -> dict[str, Any]:
    """The settings of the run; nothing where they cannot be read, since no page depends on them."""
    try:
        return dict(mapping(json.loads((run_folder / CONFIG).read_text()))) if run_folder else {}
    except (OSError, ValueError):
        return {}


def method(policy: Any) -> str:
    """A policy's class in words, without "Config": "Behaviour cloning"."""
    name = str(mapping(policy).get(TARGET, "")).rpartition(".")[2].removesuffix("Config")
    return re.sub(r"(?<=[a-z])[A-Z]", lambda capital: f" {capital[0].lower()}", name) or "Unknown policy"


def task(env: Any) -> str:
    """An environment's module, and its task where it names one: "tabletop/push", "metaworld reach-v3"."""
    module = str(mapping(env).get(TARGET, "")).rpartition(".")[0] or "unknown environment"
    name = module.removeprefix("imitate.envs.").replace(".", "/")
    named = mapping(env).get("task")
    return f"{name} {named}" if isinstance(named, str) else name


def flat(part: Any) -> dict[str, object]:
    """The settings of a part and of the parts in it by name, without the import paths; the outer one wins."""
    pairs: dict[str, object] = {}
    for key, value in mapping(part).items():
        if isinstance(value, Mapping):
            pairs = flat(value) | pairs
        elif key != TARGET and value not in (None, "", []):
            pairs[key] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return pairs


def dotted(part: Any, prefix: str = "") -> dict[str, Any]:
    """Every setting of a part and of the parts in it under its full key; lists stay whole."""
    if not isinstance(part, Mapping):
        return {prefix: part}
    merged: dict[str, Any] = {}
    for key, value in part.items():
        merged |= dotted(value, f"{prefix}.{key}" if prefix else str(key))
    return merged


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The keys in which `settings` are not all the same, each with its values as text, in reading order.

    What a part is stands under the key of the part, by the name of its class.
    """
    keys = list(dict.fromkeys(key for one in settings for key in one))
    values = {key: [_shown(one[key]) if key in one else ABSENT for one in settings] for key in keys}
    known = {key: found for key, found in values.items() if len(set(found)) > 1}
    return {_named(key): [_class(key, value) for value in found] for key, found in known.items()}


def _named(key: str) -> str:
    return key.removesuffix(TARGET).rstrip(".") or key


def _class(key: str, value: str) -> str:
    return value.rpartition(".")[2] if key.endswith(TARGET) else value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def short(digest: object) -> Html:
    """The start of a hash."""
    return tag("code", str(digest or "unknown")[:12])


def outcome(episode: EpisodeResult) -> Html:
    """Success or failure by sign, word and colour."""
    return (
        tag("span", "✓ success", class_="good") if episode.success else tag("span", "✕ failed", class_="bad")
    )
