"""imitate collect: record demonstrations of an environment's scripted expert.

    imitate collect env=tabletop/pick_place episodes=60 seed=0 out=demos.zarr

writes 60 successful episodes to demos.zarr. Seeds are tried in order from `seed` on; an episode at which the
expert fails is left out (and counted) unless keep_failures=true. After an interruption the same command with
append=true does the rest: episodes that are there already, of the same settings and seeds, count. To add
more, ask for more episodes, give another seed or change a setting:

    imitate collect env=tabletop/pick_place style=[left,right] episodes=40 out=demos.zarr append=true

Keys:
    env             the environment; see  imitate list
    episodes        how many demonstrations `out` shall hold of these settings, from `seed` on
    seed            of the first one (demonstrations start at 0, evaluations at 100000)
    out             the store to write
    append          add to an existing store; without it an existing path is left alone
    style           an expert style, or a list of which each episode draws one; null: the usual one
    expert_noise    Gaussian noise on the expert's action, recorded; in fractions of half the action range
    system_noise    the same on what is executed, not recorded
    wander_steps    length of an excursion that has nothing to do with the task, as a fault to find; 0: none
    keep_failures   also store, and count, episodes without success
    storage         of camera images above 64 px: auto (exactly where that takes at most a quarter of the
                    bytes, else JPEG), jpeg, or lossless; a store that is added to goes on as it is
    workers         processes that make episodes, 0 for none besides this one; the result is the same
"""

from dataclasses import asdict, dataclass

from imitate.cli.command import Outcome
from imitate.collection import Recipe, collect
from imitate.datasets.image_chunks import Storage, require_storage
from imitate.env import EnvConfig
from imitate.progress import Progress


@dataclass(frozen=True)
class CollectCommand:
    """The settings of `imitate collect`; see the module."""

    env: EnvConfig
    episodes: int
    seed: int
    out: str
    append: bool
    style: str | tuple[str, ...] | None
    expert_noise: float
    system_noise: float
    wander_steps: int
    keep_failures: bool
    storage: Storage
    workers: int

    def run(self, progress: Progress) -> Outcome:
        """Collect, and say what the store holds."""
        require_storage(self.storage)
        styles = (self.style,) if isinstance(self.style, str) else self.style or ()
        recipe = Recipe(self.env, styles, self.expert_noise, self.system_noise, self.wander_steps)
        found = collect(
            recipe,
            self.episodes,
            self.seed,
            self.out,
            append=self.append,
            keep_failures=self.keep_failures,
            workers=self.workers,
            storage=self.storage,
            progress=progress,
        )
        there = f", {found.present} were there" if found.present else ""
        lines = [
            f"added    {found.added} episodes{there}; the expert failed {found.failed} times",
            f"store    {self.out}: {found.episodes} episodes, {found.steps} steps",
        ]
        return Outcome({"out": self.out, **asdict(found)}, lines)
