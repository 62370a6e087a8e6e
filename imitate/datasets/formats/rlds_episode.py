"""Which features of an RLDS step are observations, action, task or the rest; one record as an Episode."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.datasets.formats.array_names import array_name
from imitate.datasets.formats.rlds_features import (
    IMAGE,
    MARKS,
    STEPS,
    TENSOR,
    TEXT,
    Declared,
    Feature,
)
from imitate.datasets.formats.rlds_values import count_steps, plain, step_array, texts
from imitate.datasets.formats.tfexample import Example, Values
from imitate.errors import DataError
from imitate.types import ArraySpec, DataSpec, Episode

OBSERVATION, ACTION, METADATA = "observation", "action", "episode_metadata/"
SUCCESS = ("success", "is_success", "episode_success")
NUMBERS = Feature(TENSOR)
LONGEST_LIST = 1000
"""Lists of the episode's metadata with more entries are left out."""


@dataclass(frozen=True)
class Layout:
    """observations: feature by the name it gets here. actions: the features whose numbers, end to end, are
    the action. instruction: the text that says what to do. left_out: in words.
    """

    declared: Declared
    observations: Mapping[str, str]
    actions: tuple[str, ...]
    instruction: str | None
    left_out: tuple[str, ...]


def find_layout(declared: Declared, first: Example, where: str) -> Layout:
    """Sort the features that the first record holds; raises DataError where there is no action, or
    nothing was observed."""
    held = {name for name in declared.steps if _get(first, name) is not None}
    arrays = [
        n for n in declared.steps if n in held and _is_array(declared.steps[n]) and "embedding" not in n
    ]
    actions = [n for n in arrays if _under(n, ACTION) and declared.steps[n].kind == TENSOR]
    if not actions:
        raise DataError(f"{where} holds no steps/action of numbers; found {sorted(declared.steps)[:10]}")
    observations = [n for n in arrays if _under(n, OBSERVATION)]
    if not observations:
        raise DataError(
            f"{where} holds no steps/observation of numbers or images; found {sorted(declared.steps)[:10]}"
        )
    named = {_name(n): n for n in observations}
    if len(named) < len(observations):
        raise DataError(f"{where}: two observations get the same name; found {observations[:10]}")
    kept = {n for n in held if declared.steps[n].kind == TEXT}.union(observations, actions)
    left_out = (*_left_out(declared, kept, held), *_unkept(declared, first))
    return Layout(declared, named, tuple(actions), _instruction(kept, declared), left_out)


def read_episode(example: Example, layout: Layout, name: str, where: str) -> Episode:
    """One record; raises DataError naming the feature that is missing, too short or damaged."""
    steps = _count(example, layout, where)
    parts = [_array(example, layout, n, steps, where).reshape(steps, -1) for n in layout.actions]
    return Episode(
        id=name,
        obs={key: _array(example, layout, n, steps, where) for key, n in layout.observations.items()},
        action=parts[0] if len(parts) == 1 else np.concatenate([p.astype(np.float32) for p in parts], axis=1),
        success=_success(example),
        metadata={**_texts(example, layout), **_metadata(example, layout.declared)},
    )


def spec_of(episode: Episode, layout: Layout) -> DataSpec:
    """Shapes and types as of `episode`; the elements of an action of several parts are named by part."""
    obs = {key: ArraySpec(array.shape[1:], array.dtype.name) for key, array in episode.obs.items()}
    names = [name for part in layout.actions for name in _element_names(part, layout.declared.steps[part])]
    told = tuple(names) if len(layout.actions) > 1 else ()
    return DataSpec(obs, ArraySpec(episode.action.shape[1:], episode.action.dtype.name, told))


def _count(example: Example, layout: Layout, where: str) -> int:
    first = layout.actions[0]
    return count_steps(_held(example, first, where), layout.declared.steps[first], f"{where}, {STEPS}{first}")


def _array(example: Example, layout: Layout, name: str, steps: int, where: str) -> np.ndarray:
    values = _held(example, name, where)
    return step_array(values, layout.declared.steps[name], steps, f"{where}, {STEPS}{name}")


def _held(example: Example, name: str, where: str) -> Values:
    values = _get(example, name)
    if values is None:
        raise DataError(f"{where} has no {STEPS}{name}, which the first record has")
    return values


def _get(example: Example, name: str) -> Values | None:
    """The values of a step feature; SequenceExamples leave out "steps/"."""
    for held in (example.features, example.lists):
        if STEPS + name in held:
            return held[STEPS + name]
    return example.lists.get(name)


def _is_array(feature: Feature) -> bool:
    return feature.kind in (IMAGE, TENSOR) and feature.values_per_step > 0


def _under(name: str, group: str) -> bool:
    return name == group or name.startswith(f"{group}/")


def _name(feature: str) -> str:
    """A name for an array: "observation/wrist/image" becomes "wrist.image"."""
    return array_name(feature.removeprefix(f"{OBSERVATION}/"))


def _element_names(feature: str, spec: Feature) -> list[str]:
    part, count = feature.removeprefix(f"{ACTION}/"), spec.values_per_step
    size = int(np.prod([s or 0 for s in spec.shape])) if spec.encoding != "none" else count
    return [part] if size == 1 else [f"{part}.{index}" for index in range(size)]


def _instruction(texts_held: set[str], declared: Declared) -> str | None:
    told = [n for n in sorted(texts_held) if "instruction" in n and declared.steps[n].kind == TEXT]
    return "language_instruction" if "language_instruction" in told else (told[0] if told else None)


def _texts(example: Example, layout: Layout) -> dict[str, Any]:
    """Each text as the first step has it; where it changes, also every [step, text] at which it does."""
    found: dict[str, Any] = {}
    for name, feature in layout.declared.steps.items():
        values = _get(example, name)
        said = texts(values, feature) if values is not None else []
        if not said:
            continue
        key = "task" if name == layout.instruction else name.replace("/", ".")
        changes = [[step, text] for step, text in enumerate(said) if not step or text != said[step - 1]]
        found[key] = said[0]
        if len(changes) > 1:
            found[f"{key}_changes"] = changes
    return found


def _metadata(example: Example, declared: Declared) -> dict[str, Any]:
    facts = {name: example.features[name] for name in sorted(example.features) if not name.startswith(STEPS)}
    return {
        name.removeprefix(METADATA).replace("/", "."): plain(values, declared.episode.get(name, NUMBERS))
        for name, values in facts.items()
        if _is_fact(values, declared.episode.get(name, NUMBERS))
    }


def _is_fact(values: Values, feature: Feature) -> bool:
    """Whether these are a few numbers or texts, and no image or tensor kept as a string."""
    return 0 < len(values) <= LONGEST_LIST and (isinstance(values, np.ndarray) or feature.kind == TEXT)


def _success(example: Example) -> bool | None:
    """What the episode's metadata says, else True where the only reward is a positive one at the end.

    Rewards of zero throughout do not tell: most RLDS datasets of demonstrations have them, successful or not.
    """
    for name in SUCCESS:
        told = example.features.get(METADATA + name)
        if isinstance(told, np.ndarray) and len(told) == 1 and told[0] in (0, 1):
            return bool(told[0])
    reward = _get(example, "reward")
    if not isinstance(reward, np.ndarray) or not len(reward):
        return None
    paid = np.flatnonzero(reward)
    at_the_end = len(paid) > 0 and paid[0] == len(reward) - len(paid) and (paid[0] > 0 or len(reward) == 1)
    return True if at_the_end and len(set(reward[paid].tolist())) == 1 and reward[-1] > 0 else None


def _left_out(declared: Declared, kept: set[str], held: set[str]) -> tuple[str, ...]:
    rest = [name for name in declared.steps if name not in kept]
    marks = [name for name in rest if name in MARKS]
    said = []
    if marks:
        said.append(f"{', '.join(marks)} of every step, except for the success that rewards tell")
    said += [
        f"{STEPS}{name}" + ("" if name in held else " (ragged, or not in the first record)")
        for name in rest
        if name not in MARKS
    ]
    said += [
        f"the fourth channel (alpha) of {STEPS}{name}"
        for name in sorted(kept)
        if declared.steps[name].dtype == "uint8" and declared.steps[name].shape[2:] == (4,)
    ]
    return tuple(said)


def _unkept(declared: Declared, first: Example) -> list[str]:
    """What is said of the episode as a whole, and is neither a few numbers nor text."""
    return [
        f"{name} ({len(values)} values)"
        for name, values in sorted(first.features.items())
        if not name.startswith(STEPS)
        and len(values)
        and not _is_fact(values, declared.episode.get(name, NUMBERS))
    ]
