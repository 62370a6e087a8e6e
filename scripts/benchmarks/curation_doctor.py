"""How many planted faults of recording `imitate doctor` finds, and what it says of clean sets."""

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commands import say
from curation_runs import row
from planted_doctor import FAULTS, Fault

from imitate.collection import Recipe, collect
from imitate.config import compose
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.health.diagnosis import CHECKS, OF_ALL, OF_SOUND, diagnose
from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group, of_episode
from imitate.datasets.importing import read_foreign
from imitate.evaluation.statistics import wilson
from imitate.types import DataSpec, Episode

FIRST_SEED = 9000
"""The thresholds were chosen with seeds below; what is reported comes from these on."""
DRAWN, DRAWN_WITH_IMAGES, MOST_WITH_IMAGES = 50, 16, 40
NOISE = 0.37
"""Of half the action range: some demonstrations fail."""
NUMBERS, PICTURES, OUTCOMES = "numbers", "pictures", "outcomes"


@dataclass(frozen=True)
class Set:
    """Clean demonstrations. path: in the folder of real data, or the settings of `imitate collect` that make
    them. planted: the kinds of faults that are planted in them; tuned: whether thresholds were chosen by it.
    known: {check: what is true of it and reported}, each looked at by eye or computed otherwise.
    """

    name: str
    path: str = ""
    collected: tuple[str, ...] = ()
    planted: tuple[str, ...] = (NUMBERS,)
    tuned: bool = False
    known: dict[str, str] = dataclasses.field(default_factory=dict)


SPEED_LIMIT = "the scripted expert moves at its speed limit for much of the way"
NOISE_CUT_OFF = "noise beyond the range of the action is cut off"
SETS: tuple[Set, ...] = (
    Set("Push-T", "pusht/pusht_lowdim.npz", (), (NUMBERS, OUTCOMES), True),
    Set("Push-T with images", "pusht/pusht_cchi_v7_replay.zarr", (), (PICTURES,), True),
    Set("Adroit door", "adroit_door/door_human.npz", (), (NUMBERS, OUTCOMES), True),
    Set("G1", "lerobot_v21_g1_inspire", (), (NUMBERS, OUTCOMES), True),
    Set(
        "Bridge",
        "octo_bridge_rlds/tests/debug_dataset/bridge_dataset/1.0.0",
        (),
        (NUMBERS, PICTURES),
        True,
    ),
    Set("SO-101", "lerobot_v3_so101_from_rosbag/lerobot_dataset_example", (), ()),
    Set("Lift", "robosuite_v14_lift_official/demo.hdf5", (), (NUMBERS,)),
    Set("robosuite Stack", "robosuite_v10_panda_demos/stack.hdf5", (), ()),
    Set("robosuite Door", "robosuite_v10_panda_demos/door.hdf5", (), ()),
    Set("robosuite Lift 1.0", "robosuite_v10_panda_demos/lift.hdf5", (), ()),
    Set("robosuite NutAssembly", "robosuite_v10_panda_demos/nut-assembly.hdf5", (), ()),
    Set("robosuite PickPlace", "robosuite_v10_panda_demos/pick-place.hdf5", (), ()),
    Set("robosuite Wipe", "robosuite_v10_panda_demos/wipe.hdf5", (), ()),
    Set(
        "pick and place",
        collected=("tabletop/pick_place", "env.cameras=[front,wrist]", "env.image_size=[64,64]"),
        planted=(NUMBERS, PICTURES),
        known={"actions stay off their bounds": SPEED_LIMIT},
    ),
    Set(
        "peg insertion",
        collected=("tabletop/peg_insertion",),
        known={"actions stay off their bounds": SPEED_LIMIT},
    ),
    Set("push", collected=("tabletop/push",), known={"actions stay off their bounds": SPEED_LIMIT}),
    Set(
        "noisy pick and place",
        collected=("tabletop/pick_place", "expert_noise"),
        planted=(OUTCOMES,),
        known={"actions stay off their bounds": NOISE_CUT_OFF},
    ),
    Set(
        "noisy push",
        collected=("tabletop/push", "expert_noise"),
        planted=(OUTCOMES,),
        known={"actions stay off their bounds": NOISE_CUT_OFF},
    ),
)


QUICK = ("Push-T", "Adroit door", "Bridge")
"""Sets that are read in a second or two."""


def doctor(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Recall of every planted fault, and alarms on what is clean."""
    tally, alarms, said = Tally(), Tally(), []
    wanted = [fault for fault in FAULTS if not chosen.faults or fault.name in chosen.faults.split(",")]
    for one in [one for one in SETS if one.name in QUICK or not chosen.quick]:
        path = find(one, chosen)
        if path is None:
            say(f"{one.name} is not there: left out")
            continue
        say(one.name)
        said += clean(one, path, alarms)
        episodes, spec = load(path) if one.planted else ([], None)
        for fault in wanted:
            if spec and fault.kind in one.planted:
                spoil(one, fault, episodes, spec, chosen.trials, tally, alarms)
    print("\n| what is said of the clean sets | severity | episodes | finding |\n|---|---|---|---|")
    print("\n".join(said))
    return [*found_rows(tally), *alarm_rows(alarms)]


class Tally:
    """Counts of (hits, tries) by name and set."""

    def __init__(self) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()
        self.tries: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, where: str, hits: int, tries: int) -> None:
        self.hits[name, where] += hits
        self.tries[name, where] += tries

    def of(self, name: str, sets: Sequence[str]) -> tuple[int, int]:
        keys = [key for key in self.tries if key[0] == name and key[1] in sets]
        return sum(self.hits[key] for key in keys), sum(self.tries[key] for key in keys)

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.tries))


def find(one: Set, chosen: argparse.Namespace) -> Path | None:
    """Where the set is, collected if need be; None where its files are absent."""
    if not one.collected:
        path = chosen.data / one.path
        return path if path.exists() else None
    path = chosen.out / "doctor" / f"{one.name.replace(' ', '_')}.zarr"
    make(one, path, chosen.clean)  # Goes on where it was interrupted, and does nothing where it was not.
    return path


def load(path: Path) -> tuple[list[Episode], DataSpec]:
    """All episodes, and of large stores with images every few."""
    source, _ = read_foreign(path)
    if isinstance(source, EpisodeStore):
        images = any(array.is_image for array in source.spec.obs.values())
        stride = -(-len(source) // MOST_WITH_IMAGES) if images else 1
        return [source.episode(i) for i in range(0, len(source), stride)], source.spec
    return list(source.episodes()), source.spec


def make(one: Set, path: Path, episodes: int) -> None:
    env, *settings = one.collected
    noisy = "expert_noise" in settings
    words = [word for word in settings if "=" in word]
    recipe = Recipe(
        compose("collect", [f"env={env}", "out=unused", *words]).env,
        ("direct",),
        expert_noise=NOISE if noisy else 0.0,
    )
    collect(recipe, episodes, 5_000_000, path, append=True, keep_failures=noisy)


def clean(one: Set, path: Path, alarms: Tally) -> list[str]:
    """What all checks say of the set as it is; what is not known to be true counts as an alarm."""
    found = diagnose(read_foreign(path)[0])
    for check in CHECKS:
        named = {name for f in found.findings if f.check == check for name in f.episodes}
        alarms.add(check, f"{one.name}, as it is", 0 if check in one.known else len(named), found.episodes)
    return [_line(one, finding) for finding in found.findings]


def _line(one: Set, finding: Finding) -> str:
    which = f"{len(finding.episodes)}" if finding.episodes else "all"
    mark = f" (true: {one.known[finding.check]})" if finding.check in one.known else ""
    return f"| {one.name} | {finding.severity} | {which} | {finding.check}: {finding.what}{mark} |"


def spoil(
    one: Set,
    fault: Fault,
    episodes: list[Episode],
    spec: DataSpec,
    trials: int,
    tally: Tally,
    alarms: Tally,
) -> None:
    """Plant a fault in random episodes of random parts of a set, `trials` times."""
    images = fault.kind == PICTURES
    keys = [key for key, array in spec.obs.items() if images or not array.is_image]
    if images and not any(array.is_image for array in spec.obs.values()):
        return
    for seed in range(FIRST_SEED, FIRST_SEED + trials):
        rng = np.random.default_rng([seed, *fault.name.encode()])
        size = min(len(episodes), DRAWN_WITH_IMAGES if images else DRAWN)
        drawn = [episodes[i] for i in sorted(rng.choice(len(episodes), size, replace=False))]
        drawn = [dataclasses.replace(each, obs={key: each.obs[key] for key in keys}) for each in drawn]
        planted = fault.plant(drawn, spec.select(keys), rng)
        if planted is None:
            return
        made, spoilt, new = planted
        named, of_all = judged(fault.check, made, new)
        aliases = [{made[i].id, made[i].id.removeprefix("copy of ")} for i in spoilt]
        if len(spoilt) == len(made):  # One fault of the whole set.
            found = [of_all or any(each & named for each in aliases)]
        else:
            found = [bool(each & named) for each in aliases]
        tally.add(fault.name, one.name, sum(found), len(found))
        known = set().union(*aliases)
        good = [each.id for each in made if each.id not in known]
        false = [] if fault.check in one.known else [name for name in good if name in named]
        alarms.add(fault.check, one.name, len(false), len(good))
        if false or not all(found):
            missed = [made[i].id for i, hit in zip(spoilt, found, strict=False) if not hit]
            say(f"  {one.name}, {fault.name}, seed {seed}: missed {missed}, named wrongly {false}")


def judged(check: str, episodes: list[Episode], spec: DataSpec) -> tuple[set[str], bool]:
    """Whom the check names, and whether it says something of the whole set."""
    group = Group(spec, [of_episode(each, spec) for each in episodes])
    for run, over in _runs(group):
        if run.__globals__["CHECK"] == check:  # type: ignore[attr-defined]
            findings = run(over)
            named = {name for finding in findings for name in finding.episodes}
            return named, any(not finding.episodes for finding in findings)
    raise AssertionError(f"there is no check {check!r}")


def _runs(group: Group) -> Iterator[tuple[Callable[[Group], list[Finding]], Group]]:
    yield from ((run, group) for run in OF_ALL)
    yield from ((run, group.sound) for run in OF_SOUND)


def found_rows(tally: Tally) -> list[dict[str, Any]]:
    """A table, and rows, of the share of planted faults that are found."""
    tuned = [one.name for one in SETS if one.tuned]
    fresh = [one.name for one in SETS if not one.tuned]
    print("\n| planted | found | 95 % interval | tuned sets | sets never tuned on |\n|---|---|---|---|---|")
    rows = []
    for name in tally.names():
        hits, tries = tally.of(name, tuned + fresh)
        low, high = wilson(hits, tries)
        parts = [f"{a} of {b}" if b else "–" for a, b in (tally.of(name, tuned), tally.of(name, fresh))]
        print(f"| {name} | {hits} of {tries} | {low:.3f} to {high:.3f} | {parts[0]} | {parts[1]} |")
        rows.append(row(f"doctor finds: {name}", hits / tries, "share", 0.95) | {"found": hits, "of": tries})
    return rows


def alarm_rows(alarms: Tally) -> list[dict[str, Any]]:
    """A table, and rows, of the share of clean episodes that are named."""
    sets = list(dict.fromkeys(where for _, where in alarms.tries))
    print("\n| check | clean episodes named | 95 % interval | where |\n|---|---|---|---|")
    rows = []
    for name in alarms.names():
        hits, tries = alarms.of(name, sets)
        low, high = wilson(hits, tries)
        where = ", ".join(f"{one}: {alarms.hits[name, one]}" for one in sets if alarms.hits[name, one])
        print(f"| {name} | {hits} of {tries} | {low:.4f} to {high:.4f} | {where} |")
        rows.append(row(f"doctor alarms: {name}", hits / tries, "share", 0.02) | {"named": hits, "of": tries})
    sys.stdout.flush()
    return rows
