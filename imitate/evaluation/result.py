"""rollout.json: the result of an evaluation, written and read back with every field checked.

Beside it lies episodes.csv, one row per episode, for spreadsheets and other programs.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np

from imitate.errors import DataError
from imitate.evaluation.statistics import Interval, mean_interval, wilson
from imitate.rollout import EpisodeResult, Rollout

FILE_NAME, TABLE_NAME = "rollout.json", "episodes.csv"
NOT_IN_TABLE = {"final_obs"}
Conduct = Literal["violations", "collisions"]


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

    @property
    def seconds_to_success(self) -> list[float]:
        """How long each episode that succeeded took, s; empty where the control rate is not known."""
        seconds = [_seconds(episode, self.rate_hz) for episode in self.episodes]
        return [one for one in seconds if one is not None]

    @property
    def smoothness(self) -> list[float]:
        """The smoothness of every episode that has one, see EpisodeResult."""
        return [e.smoothness for e in self.episodes if e.smoothness is not None]

    def steps_with(self, what: Conduct) -> tuple[int, int] | None:
        """In how many control steps it happened, and in how many episodes; None where nothing says so."""
        counts = [count for e in self.episodes if (count := getattr(e, what)) is not None]
        return (sum(counts), sum(count > 0 for count in counts)) if counts else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is its inverse."""
        return {
            "success_rate": self.success_rate,
            "interval": list(self.interval),
            "mean_score": self.mean_score,
            "score_interval": list(self.score_interval),
            "mean_return": float(np.mean([episode.total_reward for episode in self.episodes])),
            "mean_length": float(np.mean([episode.length for episode in self.episodes])),
            **self._conduct(),
            "max_steps": self.max_steps,
            "rate_hz": self.rate_hz,
            "score_name": self.score_name,
            "success_definition": self.success_definition,
            "timing": dict(self.timing),
            "videos": [{"seed": seed, "file": file} for seed, file in self.videos.items()],
            "episodes": [_row(episode) for episode in self.episodes],
            "provenance": dict(self.provenance),
        }

    def _conduct(self) -> dict[str, Any]:
        seconds, smoothness = self.seconds_to_success, self.smoothness
        found: dict[str, Any] = {
            "median_seconds_to_success": float(np.median(seconds)) if seconds else None,
            "mean_smoothness": float(np.mean(smoothness)) if smoothness else None,
            "smoothness_interval": list(mean_interval(smoothness)) if smoothness else None,
        }
        kinds: tuple[Conduct, ...] = ("violations", "collisions")
        for what in kinds:
            steps, episodes = self.steps_with(what) or (None, None)
            found |= {f"steps_with_{what}": steps, f"episodes_with_{what}": episodes}
        return found

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
    """Write `folder`/rollout.json and `folder`/episodes.csv."""
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")
    with (folder / TABLE_NAME).open("w", encoding="utf-8", newline="") as file:
        names = [field.name for field in fields(EpisodeResult) if field.name not in NOT_IN_TABLE]
        table = csv.DictWriter(file, [*names, "seconds_to_success"], extrasaction="ignore")
        table.writeheader()
        for episode in result.episodes:
            table.writerow(asdict(episode) | {"seconds_to_success": _seconds(episode, result.rate_hz)})


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


def _seconds(episode: EpisodeResult, rate_hz: float | None) -> float | None:
    steps = episode.steps_to_success
    return None if steps is None or not rate_hz else steps / rate_hz


def _row(episode: EpisodeResult) -> dict[str, Any]:
    return asdict(episode) | {"final_obs": {key: list(values) for key, values in episode.final_obs.items()}}


def _episode(row: "_Checked") -> EpisodeResult:
    """An episode of a row; a field that an earlier version did not write has its default."""
    hints = get_type_hints(EpisodeResult)
    plain = {
        field.name: row.get(field.name, hints[field.name])
        for field in fields(EpisodeResult)
        if field.name != "final_obs" and (field.default is MISSING or field.name in row.value)
    }
    return EpisodeResult(**plain, final_obs=_final_obs(row))


def _final_obs(row: "_Checked") -> dict[str, tuple[float, ...]]:
    if "final_obs" not in row.value:
        return {}
    seen = _Checked(row.get("final_obs", dict), f"{row.where}.final_obs")
    return {key: seen.numbers(key) for key in seen.value}


@dataclass(frozen=True)
class _Checked:
    """A JSON object whose fields are looked up with their type."""

    value: Any
    where: str

    def get(self, key: str | int, kind: Any) -> Any:
        """What stands under `key`; raises DataError where it is absent or of another kind."""
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

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers."""
        listed = _Checked(dict(enumerate(self.get(key, list))), f"{self.where}.{key}")
        return tuple(float(listed.get(i, float)) for i in listed.value)
