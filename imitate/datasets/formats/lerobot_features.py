"""Which features of a LeRobot dataset become observations and the action, and under which names."""

import re

from imitate.datasets.episode_store import ACTION
from imitate.datasets.formats.lerobot_info import Feature, Info
from imitate.errors import DataError, nearest
from imitate.types import ArraySpec

OBSERVATION, IMAGES = "observation.", "observation.images."
STAMP, FRAME, TASK = "timestamp", "frame_index", "task_index"
BOOKKEEPING = {STAMP, FRAME, TASK, "episode_index", "index"}
SUCCESS = ("next.success", "success", "is_success")
ACTIONS = ("action", "actions")


def choose_features(info: Info) -> tuple[dict[str, Feature], list[str]]:
    """{name: feature} of the observations and the action, and what is not carried over."""
    features = info.features
    action = next((key for key in ACTIONS if key in features), None)
    if action is None or features[action].spec is None or len(known(features[action].spec).shape) != 1:
        raise DataError(
            f"{info.root}/meta/info.json: no feature 'action' of shape [n]{nearest('action', features)}"
        )
    others = [key for key in features if key != action and key not in BOOKKEEPING]
    # Sets that were written without LeRobot's names: all that is not about what came of the step.
    bare = not any(key.startswith(OBSERVATION) for key in others)
    wanted = [key for key in others if (_is_plain(key) if bare else key.startswith(OBSERVATION))]
    usable = tuple(key for key in wanted if features[key].spec is not None)
    chosen = {name: features[key] for key, name in names_of(usable).items()} | {ACTION: features[action]}
    said = [f"feature {key!r}: {features[key].problem}" for key in wanted if key not in usable]
    told = next((key for key in SUCCESS if key in others), None)
    rest = [key for key in others if key not in wanted and key != told]
    if rest:
        said.append(f"features that are no observations: {', '.join(rest)}")
    return chosen, said


def _is_plain(key: str) -> bool:
    return key not in SUCCESS and not key.startswith(("next.", "action")) and key not in ("reward", "done")


def names_of(keys: tuple[str, ...]) -> dict[str, str]:
    """{feature: name of the observation}: "observation." and "images." are dropped where that is unambiguous.

    What cannot stand in a name becomes "_".
    """

    def clean(text: str) -> str:
        return re.sub(r"^[^A-Za-z0-9_]|[^\w.\-]", "_", text, flags=re.ASCII)

    short = {key: clean(key.removeprefix(IMAGES).removeprefix(OBSERVATION)) for key in keys}
    taken = [*short.values(), ACTION]
    names: dict[str, str] = {}
    for key, name in short.items():
        wanted = name if name and taken.count(name) == 1 else clean(key) or "_"
        while wanted in {*names.values(), ACTION}:
            wanted += "_"
        names[key] = wanted
    return names


def known(spec: ArraySpec | None) -> ArraySpec:
    """The spec of a feature that was chosen, which has one."""
    assert spec is not None
    return spec
