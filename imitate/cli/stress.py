"""imitate stress: how much of what goes wrong a policy stands: noise, delays, friction, pushes and more.

    imitate stress checkpoint=runs/pick episodes=50 seed=100000 out=runs/pick/stress
    imitate stress checkpoint=runs/pick out=runs/pick/noise stress.kinds=[noise] stress.sizes.noise=[0.05,0.1]

The first plays the episodes undisturbed, then again from the same starts with one perturbation at a time,
more and more, and writes stress.json, videos/ and index.html to runs/pick/stress: success against the size of
each, and the level at which it halves. Every size is kept as soon as it is played, so an interrupted sweep
goes on where it stopped, and a sweep with more kinds or sizes adds to what is there.

Perturbations, and their size:
    noise           white noise on every observation, in units of its spread in training (stress.noise_unit)
    delay           control steps by which observations are late
    drop            share of observations that are lost: the one before is seen again
    action_delay    control steps by which actions are late
    action_lag      time constant, in control steps, of a first-order lag of what is executed
    friction        share of all contact friction that is taken away
    mass            by how many times its mass everything loose becomes heavier
    lighting        share of all light that is taken away
    camera          turn of each observed camera, degrees
    start_range     by which share of their width the ranges of starts are wider than in training
    push            change of velocity of everything loose, m/s, about once a second
What an environment cannot do is left out, and said.

Keys:
    checkpoint          a run folder (its best) or one checkpoint file
    env                 the environment; by default the one the policy was trained for
    episodes, seed      how many episodes of each size, and the seed of the first
    allow_used_seeds    true: play seeds that the policy has met
    out                 the folder to write or to go on with
    against             the folder of another sweep, drawn into the same charts
    videos              false: none
    device              auto, cpu, cuda or cuda:N
    policy.…            a setting of the trained policy to act with instead, such as policy.inference_steps=2
    cluster             ray: play on the workers of a Ray; the result is the same. See docs/scaling.md
    rollout.…           as for  imitate rollout
    stress.kinds        such as [noise,delay]; null: all
    stress.sizes.KIND   the sizes of a kind
    stress.noise_unit   spread, or a unit such as m: noise of that unit on what is measured in it
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imitate.checkpoint import load_policy
from imitate.cli.command import Outcome
from imitate.cluster.config import ClusterConfig
from imitate.cluster.rollouts import player
from imitate.device import chosen_device
from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.evaluation.folder import PAGE, VIDEOS, replacing
from imitate.evaluation.play import Play
from imitate.evaluation.stress.films import film
from imitate.evaluation.stress.page import interval_text, level_text, write_stress_page
from imitate.evaluation.stress.result import FILE_NAME, StressResult, load, save
from imitate.evaluation.stress.sweep import StressConfig, Sweep
from imitate.progress import Progress
from imitate.rollout import Player, RolloutConfig


@dataclass(frozen=True)
class StressCommand:
    """The settings of `imitate stress`; see the module."""

    checkpoint: str
    out: str
    env: EnvConfig | None
    episodes: int
    seed: int
    allow_used_seeds: bool
    against: str | None
    videos: bool
    device: str
    policy: Mapping[str, Any]
    rollout: RolloutConfig
    stress: StressConfig
    cluster: ClusterConfig | None = None

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least}")

    def run(self, progress: Progress) -> Outcome:
        """Play the sweep, write the folder, and give the figures."""
        against = load(self.against) if self.against else None
        with player(self.cluster) as playing:
            sweep = self._sweep(playing)
            for note in sweep.play.notes():
                progress.say(note)
            return self._played(sweep, against, progress)

    def _played(self, sweep: Sweep, against: StressResult | None, progress: Progress) -> Outcome:
        out = Path(self.out)
        if out.exists() and not out.is_dir():
            raise ConfigError(f"out={out} is a file, expected a folder or nothing")
        result = sweep.run(out, progress)
        with replacing(out, (VIDEOS, PAGE)) as folder:
            films = film(sweep, result, out, folder, progress) if self.videos else {}
            result = replace(result, films=films)
            write_stress_page(folder / PAGE, result, folder, against)
        save(result, out)
        return Outcome(result.to_json(), _lines(result, out))

    def _sweep(self, playing: Player) -> Sweep:
        device = chosen_device(self.device, "device")
        loaded = load_policy(self.checkpoint, device, self.policy)
        seeds = range(self.seed, self.seed + self.episodes)
        play = Play.of(loaded, self.env, seeds, self.rollout, device, playing)
        sweep = Sweep.of(play, self.stress)
        if not self.allow_used_seeds:
            play.check.require_disjoint(str(loaded.file))
        return sweep


def _lines(result: StressResult, out: Path) -> list[str]:
    plain = result.plain
    first = [f"{plain.success_rate:.3f}", "{:.3f} to {:.3f}".format(*plain.interval)]
    rows = [["undisturbed", *first, f"{len(plain.episodes)} episodes of each size"]]
    for kind in result.kinds:
        found, unit = result.halving(kind), result.unit(kind)
        worst = result.of_kind(kind)[-1]
        at_worst = f"{worst.result.success_rate:.2f} at {worst.size:g} {unit}"
        level = level_text(found, unit)
        rows.append(
            [kind, level if found.level is None else f"halves at {level}", interval_text(found), at_worst]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    left = [f"left out  {line}" for line in result.left_out]
    return [*lines, *left, f"result    {out / FILE_NAME}", f"page      {out / PAGE}"]
