"""Everything that is measured by comparing the steps of demonstrations with each other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imitate.curation.consensus import Consensus, consensus
from imitate.curation.evidence import Evidence, gather
from imitate.curation.faults import EXTRANEOUS, NOISY, SLOW, Judgement, judge
from imitate.datasets.quality.coverage import coverage
from imitate.datasets.quality.divergence import Agreement, action_divergence, agreement
from imitate.datasets.quality.diversity import transition_diversity
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.mutual_information import mutual_information
from imitate.datasets.quality.near_duplicates import near_duplicates
from imitate.datasets.quality.neighbour_index import HERE, NeighbourIndex, Place, examined_rows
from imitate.datasets.quality.out_of_dynamics import out_of_dynamics
from imitate.datasets.quality.room import covariance, in_blocks
from imitate.progress import Task

NEIGHBOURS = 16
JUDGED_EPISODES = 10
"""Below this, what is ordinary cannot be told, and no fault is named."""
NAME_OF_STAGES = ("neighbours of states", "neighbours of transitions", "information", "what others would do")
SPREAD_OUT = 0.5
"""A flagged stretch reaches as far as the surprise stays above this share of its median in the stretch."""


@dataclass(frozen=True)
class Flag:
    """Steps `start` to `stop` (excluded) of episode `episode` with their fault, and `text` to explain it."""

    episode: int
    start: int
    stop: int
    fault: str
    text: str


@dataclass(frozen=True)
class Examination:
    """What comparing found. steps: {name: (N,) float64}, NaN where it cannot be told; episodes: the same for
    what only whole episodes have, {name: (E,)}. agreement: of the whole set, None where it cannot be told.
    judgement, evidence: None where there are too few episodes.
    """

    frames: Frames
    steps: Mapping[str, np.ndarray]
    episodes: Mapping[str, np.ndarray]
    duplicates: list[tuple[int, int, float]]
    agreement: Agreement | None
    judgement: Judgement | None
    evidence: Evidence | None
    surprise: np.ndarray

    def score(self, name: str) -> np.ndarray:
        """One score of every episode, (E,): its own, or the mean over its steps."""
        return self.episodes[name] if name in self.episodes else self.frames.episode_means(self.steps[name])

    @property
    def names(self) -> list[str]:
        """All scores."""
        return [*self.steps, *self.episodes]

    def flags(self) -> list[Flag]:
        """Where in the episodes of named faults these show."""
        if self.judgement is None or self.evidence is None:
            return []
        return [
            self._flag(index, fault, self.evidence)
            for index, fault in enumerate(self.judgement.faults)
            if fault
        ]

    def _flag(self, index: int, fault: str, evidence: Evidence) -> Flag:
        steps = int(self.frames.lengths[index])
        if fault in (NOISY, SLOW):
            return Flag(index, 0, steps, fault, "from the start to the end")
        surprise = self.surprise[self.frames.rows(index)]
        if fault == EXTRANEOUS:
            start, stop = (
                int(evidence.detour_start[index]),
                int(evidence.detour_start[index]) + evidence.window,
            )
            start, stop = _spread_out(surprise, start, min(stop, steps))
            return Flag(index, start, stop, fault, f"steps {start} to {stop - 1} lead no nearer to the end")
        start, stop = _most_surprising(surprise, evidence.window)
        return Flag(index, start, stop, fault, f"most unlike the others in steps {start} to {stop - 1}")


def examine(frames: Frames, bar: Task, place: Place = HERE) -> Examination:
    """Compare the steps of `frames`, which have at least one column of state and of action that varies.

    Of many steps only examined_rows are compared with their neighbours, and those between them get what lies
    between. `place` keeps the index of neighbours, and has no influence on what is found.
    """
    examined = examined_rows(len(frames))
    bar.advance(note=NAME_OF_STAGES[0])
    near = NeighbourIndex.of(frames, place=place).neighbours(NEIGHBOURS, examined)
    agreed_upon = agreement(frames, near)
    divergence, covered = action_divergence(frames, near), coverage(near)
    bar.advance(note=NAME_OF_STAGES[1])
    alike = NeighbourIndex.of_transitions(frames, place=place).neighbours(NEIGHBOURS, examined)
    bar.advance(note=NAME_OF_STAGES[2])
    information = mutual_information(frames)
    bar.advance(note=NAME_OF_STAGES[3])
    agreed = consensus(frames) if len(frames.lengths) >= JUDGED_EPISODES else None
    steps = {
        "disagreement": np.full(len(frames), np.nan) if agreed_upon is None else agreed_upon.per_row,
        "divergence": divergence.plain,
        "mode_divergence": divergence.within_modes,
        "diversity": transition_diversity(frames, alike).spread,
        "novelty": covered.novelty,
        "odd_dynamics": out_of_dynamics(frames, alike),
        "mutual_information": information.contribution,
    }
    steps = {name: between(frames, values, examined) for name, values in steps.items()}
    episodes: dict[str, np.ndarray] = {}
    evidence = judgement = None
    surprise = np.full(len(frames), np.nan)
    if agreed is not None:
        surprise = agreed.surprise
        evidence = gather(frames, agreed, steps["novelty"], steps["mode_divergence"])
        judgement = judge(evidence)
        steps |= {"surprise": surprise, "progress": _progress(frames, agreed)}
        episodes = {"noise": evidence.noise, "deviation": evidence.deviation, "excess": evidence.excess}
        episodes |= {"turning": evidence.turning, "pace": evidence.pace, "badness": judgement.badness}
    duplicates = near_duplicates(frames, alike).pairs
    return Examination(frames, steps, episodes, duplicates, agreed_upon, judgement, evidence, surprise)


def between(frames: Frames, values: np.ndarray, examined: np.ndarray) -> np.ndarray:
    """`values` (N,), at steps that are not `examined` interpolated between those of the same episode.

    Before the first known step of an episode, and after its last, that one's value is taken; NaN stays at
    examined steps, and where nothing of the episode is known.
    """
    asked = np.ones(len(values), bool)
    asked[examined] = False
    asked, known = np.flatnonzero(asked), np.flatnonzero(np.isfinite(values))
    if not len(asked) or not len(known):
        return values
    place = np.searchsorted(known, asked)
    before, after = known[np.maximum(place - 1, 0)], known[np.minimum(place, len(known) - 1)]
    episode = frames.episode[asked]
    early, late = frames.episode[before] != episode, frames.episode[after] != episode
    share = np.clip((asked - before) / np.maximum(after - before, 1), 0.0, 1.0)
    share = np.where(early, 1.0, np.where(late, 0.0, share))
    filled = values.copy()
    filled[asked] = (1 - share) * values[before] + share * values[after]
    filled[asked[early & late]] = np.nan
    return filled


def _progress(frames: Frames, agreed: Consensus) -> np.ndarray:
    """By how many steps each step brings the others' end nearer, (N,): 1 is the usual; NaN at last steps."""
    nearer = -np.diff(agreed.to_go.astype(np.float64), append=np.nan)
    nearer[frames.to_go == 0] = np.nan
    return nearer


def _spread_out(surprise: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The stretch grown to both sides while it stays surprising."""
    smooth = np.convolve(surprise, np.ones(3) / 3, "same")
    least = SPREAD_OUT * float(np.median(smooth[start:stop]))
    while start > 0 and smooth[start - 1] > least:
        start -= 1
    while stop < len(surprise) and smooth[stop] > least:
        stop += 1
    return start, stop


def _most_surprising(surprise: np.ndarray, window: int) -> tuple[int, int]:
    window = min(window, len(surprise))
    sums = np.convolve(surprise, np.ones(window), "valid")
    start = int(np.argmax(sums))
    return start, start + window


def projection(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Standardised features (N, F) in their first two principal components, (N, 2) float32.

    The components are those of the rows `known`, (N,) bool; a missing second one is 0.
    """
    if not features.shape[1]:
        return np.zeros((len(features), 2), np.float32)
    mean, spread = covariance(features, known)
    axes = np.linalg.eigh(spread)[1][:, ::-1][:, :2]
    axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    return in_blocks(len(features), lambda at: ((features[at] - mean) @ axes).astype(np.float32))
