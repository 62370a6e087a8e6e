"""What the commands of  imitate data  share: the store they are about, and what they say of a new view."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.cli.command import Outcome
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.views.view import View
from imitate.errors import ConfigError


@dataclass(frozen=True)
class EditedData:
    """path: a store, a replay buffer or a view."""

    path: str

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("data.path is empty, expected a store, e.g. data.path=demos.zarr")


def view_of(view: View, before: EpisodeStore, notes: list[str] | None = None) -> Outcome:
    """What is said of a view that was made of `before`."""
    said: dict[str, Any] = {**facts(view), "of": {"episodes": len(before), "steps": before.steps}}
    lines = [
        f"view  {view.path}: {len(view)} of {len(before)} episodes, {view.steps} of {before.steps} steps",
        f"hash  {view.content_hash()}",
        *(f"note  {note}" for note in notes or []),
    ]
    return Outcome({**said, "notes": notes or []}, lines)


def facts(view: EpisodeStore) -> dict[str, Any]:
    """Path, counts and hash."""
    return {
        "out": str(view.path),
        "episodes": len(view),
        "steps": view.steps,
        "hash": view.content_hash(),
    }


def texts(values: tuple[str | int, ...] | None) -> tuple[str, ...] | None:
    """Ids as text, also those that look like numbers on a command line."""
    return None if values is None else tuple(map(str, values))


def out_path(out: str) -> Path:
    """`out` as a path; raises ConfigError where it is empty."""
    if not out:
        raise ConfigError("out is empty, expected a new file, e.g. out=good.view.json")
    return Path(out)
