"""All health checks over a store or a foreign file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import Foreign
from imitate.datasets.health import (
    cameras,
    constants,
    copies,
    finite,
    grippers,
    lag,
    lengths,
    outcomes,
    pauses,
    quaternions,
    saturation,
    stamps,
    units,
    video,
)
from imitate.datasets.health.finding import SEVERITIES, Finding
from imitate.datasets.health.recording import Group, Recording, columns, of_episode, of_store
from imitate.datasets.quality.duplicates import exact_duplicates
from imitate.progress import SILENT, Progress, Task

Check = Callable[[Group], list[Finding]]
OF_ALL: tuple[Check, ...] = (finite.check, stamps.check, lengths.check)
"""Those that need no finite numbers."""
OF_SOUND: tuple[Check, ...] = (
    video.check,
    cameras.check,
    copies.check,
    lag.check,
    constants.check,
    saturation.check,
    units.check,
    grippers.check,
    quaternions.check,
    pauses.check,
    outcomes.check,
)
CHECKS = tuple(
    module.CHECK
    for module in (
        finite, stamps, lengths, video, cameras, copies, lag, constants, saturation, units, grippers,
        quaternions, pauses, outcomes,
    )
)  # fmt: skip
BYTES_PER_NUMBER = 40
"""Of a number that is held for comparing: as float64, standardised, and in indices of neighbours."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings, the most severe first, and what was looked at; groups: how many sets of episodes, each
    compared only within itself, because not all fitted into memory together.
    """

    findings: tuple[Finding, ...]
    episodes: int
    steps: int
    groups: int


def diagnose(
    source: EpisodeStore | Foreign, memory_gib: float = 4.0, progress: Progress = SILENT
) -> Diagnosis:
    """Run every check over the episodes of `source`.

    Reads episode by episode; keeps the numbers of as many as fit into `memory_gib` and compares these with
    each other, and of images keeps small means. Raises DataError where an episode cannot be read.
    """
    findings: list[Finding] = []
    episodes = steps = groups = 0
    seen: dict[str, str] = {}
    # Half of the bar is for reading, half for comparing: neither is short on every set.
    with progress.task("examine", 2 * len(source)) as bar:
        recordings = _advancing(_recordings(source), bar.advance)
        for part in _fitting(recordings, memory_gib * 2**30, len(columns(source.spec))):
            group = Group(source.spec, part)
            findings += [*examine(group, bar), *_seen_before(group, seen)]
            episodes, steps, groups = episodes + len(part), steps + sum(map(len, part)), groups + 1
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    return Diagnosis(tuple(dict.fromkeys(findings)), episodes, steps, groups)


def examine(group: Group, bar: Task | None = None) -> list[Finding]:
    """What all checks find in recordings that are compared with each other; `bar` is advanced by each."""
    found: list[Finding] = []
    for check in (*OF_ALL, *OF_SOUND):
        of = group if check in OF_ALL else group.sound
        if len(of) and of.columns:
            found += check(of)
        if bar:
            bar.advance(len(group) / len(CHECKS), "comparing")
    return found


def _recordings(source: EpisodeStore | Foreign) -> Iterator[Recording]:
    if isinstance(source, EpisodeStore):
        return of_store(source)
    return (of_episode(episode, source.spec) for episode in source.episodes())


def _advancing(recordings: Iterable[Recording], advance: Callable[[], None]) -> Iterator[Recording]:
    for one in recordings:
        yield one
        advance()


def _fitting(recordings: Iterator[Recording], budget: float, width: int) -> Iterator[list[Recording]]:
    """Recordings in order, in lists whose numbers fit into `budget` bytes; at least one in each."""
    part: list[Recording] = []
    held = 0.0
    for one in recordings:
        size = float(BYTES_PER_NUMBER * len(one) * max(1, width))
        if part and held + size > budget:
            yield part
            part, held = [], 0.0
        part.append(one)
        held += size
    if part:
        yield part


def _seen_before(group: Group, seen: dict[str, str]) -> list[Finding]:
    """Exact copies of episodes of earlier groups, {digest: id}, which takes in those of this one."""
    again = [one for one in group.recordings if one.digest in seen]
    first = exact_duplicates([one.digest for one in group.recordings])
    for i, one in enumerate(group.recordings):
        if i not in first:
            seen.setdefault(one.digest, one.id)
    if not again:
        return []
    what = f"{len(again)} are exact copies, such as {again[0].id} of {seen[again[0].digest]}"
    return [Finding(copies.CHECK, "error", tuple(one.id for one in again), what, copies.FIX)]
