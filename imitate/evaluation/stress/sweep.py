"""Playing a sweep: the unperturbed episodes first, then every size, each cell kept as soon as it is done."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from imitate.env import PERTURBATIONS
from imitate.errors import ConfigError, EnvError
from imitate.evaluation.play import Play
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.stress.env import StressedEnvConfig
from imitate.evaluation.stress.kinds import KINDS, PLAIN, SEEN_ONLY_IN_IMAGES, kind_of, require_size
from imitate.evaluation.stress.result import FILE_NAME, Cell, StressResult, load, save
from imitate.evaluation.stress.spread import SPREAD, Spread, spread_of
from imitate.parts import to_json
from imitate.progress import Progress, Task

SIZES = {name: kind.sizes for name, kind in KINDS.items()}
DECIDING = ("checkpoint_hash", "env", "policy", "rollout")
"""What of a cell's provenance must be the same for it to be kept."""


@dataclass(frozen=True)
class StressConfig:
    """Which perturbations are played: `kinds` (None: all that are possible), `sizes` of each.

    noise_unit: "spread", for noise in units of each observation's spread in training, or a physical unit such
    as "m": noise of that unit on what is measured in it.
    """

    kinds: tuple[str, ...] | None = None
    sizes: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: SIZES)
    noise_unit: str = SPREAD

    def __post_init__(self) -> None:
        for name in (*(self.kinds or ()), *self.sizes):
            kind_of(name, "stress.kinds" if name in (self.kinds or ()) else "stress.sizes")
        for name, sizes in self.sizes.items():
            where = f"stress.sizes.{name}"
            for size in sizes:
                require_size(name, size, where)
            if not sizes or 0.0 in sizes or len(set(sizes)) < len(sizes):
                raise ConfigError(
                    f"{where} is {list(sizes)}, expected sizes above 0, none twice; the unperturbed episodes "
                    "are always played"
                )
        if self.kinds is not None and (missing := set(self.kinds) - self.sizes.keys()):
            raise ConfigError(f"stress.sizes.{sorted(missing)[0]} is missing")

    def ladder(self) -> Iterator[tuple[str, float]]:
        """Every kind and size, in the order of KINDS and from small to large."""
        for name in KINDS:
            if name in self.sizes and (self.kinds is None or name in self.kinds):
                yield from ((name, float(size)) for size in sorted(self.sizes[name]))


@dataclass(frozen=True)
class Sweep:
    """The unperturbed episodes of `play`, and everything that goes wrong in them."""

    play: Play
    stress: StressConfig
    spread: Spread

    @classmethod
    def of(cls, play: Play, stress: StressConfig) -> "Sweep":
        """The sweep around `play`; raises ConfigError where noise has no unit."""
        try:
            spread = spread_of(play.loaded.policy, stress.noise_unit)
        except ConfigError:
            if any(kind == "noise" for kind, _ in stress.ladder()):
                raise
            spread = Spread({}, "× spread", "")  # a policy that knows none can be swept without noise
        return cls(play, stress, spread)

    def run(self, folder: Path, progress: Progress) -> StressResult:
        """Play what `folder`/stress.json does not hold yet, and keep every cell there as it is done.

        Raises ConfigError where the file holds a sweep of something else.
        """
        possible, left_out = self._possible()
        wanted = [(PLAIN, 0.0), *possible]
        result = self._kept(folder, left_out)
        for line in left_out:
            progress.say(f"left out: {line}")
        done = [cell for cell in wanted if result.find(*cell)]
        if done:
            progress.say(f"{len(done)} of {len(wanted)} cells were played before")
        left = [cell for cell in wanted if cell not in done]
        with progress.task("stress", len(left) * len(self.play.seeds), "episodes") as task:
            for kind, size in left:
                played = self._play(kind, size, _OneTask(progress, task, kind, size))
                result = result.with_cell(Cell(kind, size, played))
                save(result, folder)
        return result

    def cell(self, kind: str, size: float) -> Play:
        """The episodes of a cell: the unperturbed ones are those of `play`."""
        if kind == PLAIN:
            return self.play
        spread = self.spread.values if kind == "noise" else {}
        return replace(self.play, env=StressedEnvConfig(self.play.env, kind, size, spread))

    def _play(self, kind: str, size: float, progress: Progress) -> RolloutResult:
        cell = self.cell(kind, size)
        try:
            done = cell.evaluation().play(cell.seeds, progress)
        except EnvError as error:
            if kind == PLAIN:
                raise
            raise EnvError(
                f"{kind} {size:g}: {error}; what was played is kept: go on without this size by  "
                f"stress.sizes.{kind}=[…]"
            ) from error
        return RolloutResult.of(done, {}, cell.origin())

    def _possible(self) -> tuple[list[tuple[str, float]], tuple[str, ...]]:
        """The kinds and sizes that the environment and the policy allow, and why others are left out."""
        sees_images = any(spec.is_image for spec in self.play.loaded.policy.spec.obs.values())
        possible: list[tuple[str, float]] = []
        reasons: list[str] = []
        with closing(self.play.env.build()) as env:
            for kind, size in self.stress.ladder():
                try:
                    if kind in PERTURBATIONS:
                        env.perturb(kind, size)
                    if kind in SEEN_ONLY_IN_IMAGES and not sees_images:
                        raise EnvError("the policy sees no images")
                    possible.append((kind, size))
                except EnvError as error:
                    reasons.append(f"{kind}: {error}")
        return possible, tuple(dict.fromkeys(reasons))

    def _kept(self, folder: Path, left_out: tuple[str, ...]) -> StressResult:
        """What was played before; raises ConfigError where that was something else."""
        noise = asdict(self.spread) | {"values": {k: list(v) for k, v in self.spread.values.items()}}
        fresh = StressResult((), noise, left_out)
        if not (folder / FILE_NAME).exists():
            return fresh
        found = load(folder)
        origin = self.play.origin()
        for cell in found.cells:
            self._require_same(folder, cell, origin)
        keeps_noise = "noise" in found.kinds or not self.spread.values
        return replace(found, left_out=left_out, noise=found.noise if keeps_noise else noise)

    def _require_same(self, folder: Path, cell: Cell, origin: Mapping[str, Any]) -> None:
        if cell.kind == "noise" and not self.spread.values:
            return  # kept as it is; this sweep plays none
        now = {**origin, "env": to_json(self.cell(cell.kind, cell.size).env)}
        differing = [k for k in DECIDING if _plain(now[k]) != _plain(cell.result.provenance.get(k))]
        if [episode.seed for episode in cell.result.episodes] != list(self.play.seeds):
            differing.append("seeds")
        if differing:
            raise ConfigError(
                f"out={folder} holds a sweep with another {', '.join(differing)}: choose another  out=, or "
                f"remove {folder / FILE_NAME}"
            )


def _plain(part: Any) -> Any:
    """A part as a file holds it, without what is unset and the setting that changes nothing but the time."""
    found = json.loads(json.dumps(part))
    if not isinstance(found, Mapping):
        return found
    return {key: value for key, value in found.items() if key != "workers" and value is not None}


@dataclass(frozen=True)
class _OneTask:
    """Shows the episodes of one cell in the bar of the whole sweep."""

    progress: Progress
    whole: Task
    kind: str
    size: float

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        """The bar of the sweep."""
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count episodes."""
        where = self.kind if self.kind == PLAIN else f"{self.kind} {self.size:g}"
        self.whole.advance(amount, f"{where}: {note}")

    def say(self, text: str) -> None:
        """Show one line."""
        self.progress.say(text)
