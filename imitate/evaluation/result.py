"""rollout.json: the result of an evaluation, written and read back with every field checked."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from imitate.errors import DataError
from imitate.evaluation.statistics import Interval, mean_interval, wilson
from imitate.rollout import EpisodeResult, Rollout

FILE_NAME = "rollout.json"


@dataclass(frozen=True)
class RolloutResult:
    """Episodes of one policy in one environment, and where they come from.

    `timing` holds seconds and rates (see imitate.rollout.Timing); `videos` maps a seed to the video's path,
    relative to the folder of rollout.json; `provenance` see imitate.evaluation.provenance.
    """

    episodes: tuple[EpisodeResult, ...]
    max_steps: int
    rate_hz: float | None
    score_name: str
    success_definition: str
    timing: Mapping[str, float]
    videos: Mapping[int, str]
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, done: Rollout, videos: Mapping[int, str], provenance: Mapping[str, Any]) -> "RolloutResult":
        """The result of a finished rollout."""
        timing = asdict(done.timing) | {
            "env_steps_per_s": done.timing.env_steps_per_s,
            "policy_ms_per_call": done.timing.policy_ms_per_call,
        }
        env = done.env
        return cls(
            done.episodes,
            env.max_steps,
            env.spec.rate_hz,
            env.score_name,
            env.success_definition,
            timing,
            videos,
            provenance,
        )

    @property
    def successes(self) -> int:
        """How many episodes succeeded."""
        return sum(episode.success for episode in self.episodes)

    @property
    def success_rate(self) -> float:
        """The share of episodes that succeeded."""
        return self.successes / len(self.episodes)

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the success rate."""
        return wilson(self.successes, len(self.episodes))

    @property
    def mean_score(self) -> float:
        """The mean of the scores."""
        return float(np.mean([episode.score for episode in self.episodes]))

    @property
    def score_interval(self) -> Interval:
        """The 95 % bootstrap interval of the mean score."""
        return mean_interval([episode.score for episode in self.episodes])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is its inverse."""
        return {
            "success_rate": self.success_rate,
            "interval": list(self.interval),
            "mean_score": self.mean_score,
            "score_interval": list(self.score_interval),
            "mean_return": float(np.mean([episode.total_reward for episode in self.episodes])),
            "mean_length": float(np.mean([episode.length for episode in self.episodes])),
            "max_steps": self.max_steps,
            "rate_hz": self.rate_hz,
            "score_name": self.score_name,
            "success_definition": self.success_definition,
            "timing": dict(self.timing),
            "videos": [{"seed": seed, "file": file} for seed, file in self.videos.items()],
            "episodes": [asdict(episode) for episode in self.episodes],
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, value: Any) -> "RolloutResult":
        """Read what `to_json` wrote; raises DataError naming the key that is absent or malformed."""
        whole = _Checked(value, "")
        rows = [_Checked(row, f"episodes[{i}]") for i, row in enumerate(whole.get("episodes", list))]
        if not rows:
            raise DataError("episodes is empty")
        videos = [_Checked(row, f"videos[{i}]") for i, row in enumerate(whole.get("videos", list))]
        return cls(
            tuple(_episode(row) for row in rows),
            whole.get("max_steps", int),
            whole.get("rate_hz", float | None),
            whole.get("score_name", str),
            whole.get("success_definition", str),
            whole.get("timing", dict),
            {row.get("seed", int): row.get("file", str) for row in videos},
            whole.get("provenance", dict),
        )


def save(result: RolloutResult, folder: Path) -> None:
    """Write `folder`/rollout.json."""
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def load(path: Path | str) -> RolloutResult:
    """The result in a rollout.json, or in the folder that holds one.

    Raises DataError, naming the file, where it is absent, truncated or something else.
    """
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is truncated or not JSON: {error}") from error
    try:
        return RolloutResult.from_json(value)
    except DataError as error:
        raise DataError(f"{path} is not the result of a rollout: {error}") from error


def _episode(row: "_Checked") -> EpisodeResult:
    hints = get_type_hints(EpisodeResult)
    return EpisodeResult(
        **{field.name: row.get(field.name, hints[field.name]) for field in fields(EpisodeResult)}
    )


@dataclass(frozen=True)
class _Checked:
    """A JSON object whose fields are looked up with their type."""

    value: Any
    where: str

    def get(self, key: str, kind: Any) -> Any:
        name = f"{self.where}.{key}".lstrip(".")
        if not isinstance(self.value, Mapping):
            raise DataError(f"{self.where or 'it'} is {type(self.value).__name__}, expected an object")
        if key not in self.value:
            raise DataError(f"{name} is missing")
        found = self.value[key]
        whole_as_float = isinstance(found, int) and isinstance(1.0, kind)
        if (isinstance(found, bool) and kind is not bool) or not (isinstance(found, kind) or whole_as_float):
            expected = getattr(kind, "__name__", str(kind))
            raise DataError(f"{name} is {found!r:.60}, expected {expected}")
        return found
