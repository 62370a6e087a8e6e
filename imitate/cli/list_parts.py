"""imitate list: policies, environments, robots, formats of data and the other choices there are.

    imitate list
    imitate list envs

Each environment is made once, so what is said about it is so on this machine: its rate and longest episode,
what it observes and which actions it takes in which units, what counts as success, whether a scripted expert
can demonstrate it and in which styles; or what has to be installed before it runs.

Keys:
    group    only one of the groups: policies, envs, robots, formats, …; null: all
"""

import dataclasses
import textwrap
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf

from imitate.cli.command import Outcome
from imitate.config import CONFIG_MODULE, options
from imitate.datasets.formats import formats
from imitate.datasets.importing import OURS
from imitate.env import Env
from imitate.errors import ConfigError, ImitateError, nearest
from imitate.parts import from_json
from imitate.progress import Progress, Task
from imitate.types import ArraySpec

FIRST_GROUPS = ("policy", "env")
FORMATS = "format"
"""What `imitate import` reads, and what its format= can be: not a folder of configs, but modules."""

WIDTH = 110
POSITIONAL = "group"


@dataclass(frozen=True)
class ListCommand:
    """The settings of `imitate list`; see the module."""

    group: str | None

    def __post_init__(self) -> None:
        if self.group is not None and self.group not in _plurals():
            raise ConfigError(
                f"group is {self.group!r}: there is no such group{nearest(self.group, _groups())}"
            )

    def run(self, progress: Progress) -> Outcome:
        """Look at every part and describe it."""
        groups = [_plurals()[self.group]] if self.group else _groups()
        parts = {group: _names(group) for group in groups}
        with progress.task("looking", sum(map(len, parts.values())), "parts") as task:
            found = {group: [_counted(group, name, task) for name in names] for group, names in parts.items()}
        lines = [line for group, entries in found.items() for line in _section(group, entries)]
        return Outcome(found, lines)


def _groups() -> list[str]:
    """The folders of configs that hold choices, policies and environments first."""
    folders = [p.name for p in resources.files(CONFIG_MODULE).iterdir() if p.is_dir()]
    filled = sorted(name for name in folders if options(name))
    return [*FIRST_GROUPS, *(name for name in filled if name not in FIRST_GROUPS), FORMATS]


def _plurals() -> dict[str, str]:
    """{what a user may call a group: its name}, such as envs and policies."""
    plurals = {f"{group[:-1]}ies" if group.endswith("y") else f"{group}s": group for group in _groups()}
    return {group: group for group in _groups()} | plurals


def _names(group: str) -> list[str]:
    return [found.key for found in formats()] if group == FORMATS else options(group)


def _counted(group: str, name: str, task: Task) -> dict[str, Any]:
    entry = _format(name) if group == FORMATS else _entry(group, name)
    task.advance()
    return entry


def _format(name: str) -> dict[str, Any]:
    found = next(found for found in formats() if found.key == name)
    writes = bool(found.write) or found.key == OURS
    return {
        "name": name,
        "about": f"{found.title}, read{' and written' if writes else ''}",
        "writes": writes,
    }


def _entry(group: str, name: str) -> dict[str, Any]:
    text = resources.files(CONFIG_MODULE).joinpath(group, f"{name}.yaml").read_text()
    first = text.partition("\n")[0]
    entry = {"name": name, "about": first.lstrip("# ") if first.startswith("#") else ""}
    if group == "env":
        entry |= _env_facts(from_json(OmegaConf.to_container(OmegaConf.create(text)), group))
    return entry


def _env_facts(config: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"choices": _choices(type(config))}
    try:
        with closing(config.build()) as env:
            return facts | {"runs_here": True} | _described(env)
    except (ImitateError, ImportError, OSError) as error:
        return facts | {"runs_here": False, "reason": " ".join(str(error).split())}


def _choices(cls: type) -> dict[str, list[str]]:
    """{setting: its valid values} for the settings that have a list of them."""
    hints, found = get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        values = field.metadata.get("choices") or (get_args(hint) if get_origin(hint) is Literal else ())
        if values:
            found[field.name] = list(values)
    return found


def _described(env: Env) -> dict[str, Any]:
    spec = env.data_spec
    return {
        "rate_hz": spec.rate_hz,
        "max_steps": env.max_steps,
        "obs": {key: dataclasses.asdict(array) for key, array in spec.obs.items()},
        "action": dataclasses.asdict(spec.action),
        "success": env.success_definition,
        "score": env.score_name,
        "expert": type(env).expert is not Env.expert,
        "styles": list(env.expert_styles),
    }


def _section(group: str, entries: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{group}="
    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        yield f"  {entry['name']:<{width}}  {entry['about']}".rstrip()
        if "runs_here" in entry:
            for label, text in _env_lines(entry):
                yield from textwrap.wrap(
                    text,
                    WIDTH,
                    initial_indent=f"      {label:<9}",
                    subsequent_indent=" " * 15,
                    break_on_hyphens=False,
                )
    yield ""


def _env_lines(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if entry["runs_here"]:
        rate, steps = entry["rate_hz"], entry["max_steps"]
        styles = f" ({', '.join(entry['styles'])})" if entry["styles"] else ""
        expert = f"with expert{styles}" if entry["expert"] else "no expert: import demonstrations"
        yield "runs", f"{rate:g} Hz, up to {steps} steps ({steps / rate:g} s); {expert}"
        yield "observes", "; ".join(_array_text(key, array) for key, array in entry["obs"].items())
        yield "acts", _array_text("", entry["action"])
        yield "success", entry["success"]
        if entry["score"] != "success":
            yield "score", entry["score"]
    else:
        yield "not here", entry["reason"]
    for key, values in entry["choices"].items():
        yield f"{key}=", ", ".join(values)


def _array_text(key: str, array: dict[str, Any]) -> str:
    """Such as "ee_pos (3) m"; elements are named for an array without a name of its own."""
    spec = ArraySpec(**array)
    if not spec.units:
        return f"{key} {spec.shape}".strip()
    runs: dict[str, list[str]] = {}
    for name, unit in zip(spec.names, spec.units, strict=True):
        runs.setdefault("" if unit == "1" else unit, []).append(name)
    if key:
        return f"{key} ({spec.size}) {', '.join(unit for unit in runs if unit)}".strip()
    return "; ".join(f"{', '.join(names)} {unit}".strip() for unit, names in runs.items())
