"""Recordings that are there twice, exactly or nearly."""

from imitate.datasets.health.finding import Finding, listed
from imitate.datasets.health.recording import Group
from imitate.datasets.quality.duplicates import exact_duplicates
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.near_duplicates import near_duplicates
from imitate.datasets.quality.neighbour_index import NeighbourIndex

CHECK = "every recording is there once"
FIX = "Keep one of each: a copy counts twice in training, and in validation it is known already."
NEIGHBOURS = 4


def check(group: Group) -> list[Finding]:
    """Exact copies, and pairs that nearly agree over nine tenths of the shorter one."""
    exact = exact_duplicates([one.digest for one in group.recordings])
    found = []
    if exact:
        pairs = [(first, again) for again, first in exact.items()]
        found.append(_finding(group, pairs, "exact copies", "error"))
    rest = Group(group.spec, [one for i, one in enumerate(group.recordings) if i not in exact])
    near = _near(rest)
    if near:
        found.append(_finding(rest, near, "nearly the same recording", "warning"))
    return found


def _near(group: Group) -> list[tuple[int, int]]:
    if len(group) < 3 or not group.actions:
        return []
    frames = Frames.of(group.features, [one.values[:, group.actions] for one in group.recordings])
    if not frames.state.shape[1] and not frames.action.shape[1]:
        return []
    alike = NeighbourIndex.of_transitions(frames).neighbours(NEIGHBOURS)
    return [(a, b) for a, b, _ in near_duplicates(frames, alike).pairs]


def _finding(group: Group, pairs: list[tuple[int, int]], how: str, severity: str) -> Finding:
    said = listed([f"{group.recordings[b].id} of {group.recordings[a].id}" for a, b in pairs])
    again = group.ids(sorted({b for _, b in pairs}))
    what = f"{len(pairs)} pairs are {how}: {said}"
    return Finding(CHECK, "error" if severity == "error" else "warning", again, what, FIX)
