"""imitate doctor: whether demonstrations are sound, and what to do where they are not.

    imitate doctor data.path=demos.zarr
    imitate doctor data.path=session.mcap
    imitate doctor data.path=demos.zarr others=[more.zarr]

looks for what is recorded wrongly: uneven time stamps, black, frozen or swapped cameras, copies, a lag
between action and state, dead or saturated numbers, other units, inverted grippers, broken rotations, pauses,
and success labels that the end contradicts. What is demonstrated badly, `imitate report` shows. Nothing is
changed. Reads stores, replay buffers and every format that `imitate import` knows.

Each finding has a severity: error (breaks training or misleads it), warning (probably wrong), notice (good to
know). Findings are no failure: the exit code is 0 once everything was looked at.

Keys:
    data.path          the demonstrations
    data.memory_gib    numbers beyond this are compared in groups of episodes
    others             stores that shall be trained together with it: their cameras are compared
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.datasets.health import cameras
from imitate.datasets.health.diagnosis import CHECKS, Diagnosis, diagnose
from imitate.datasets.health.finding import SEVERITIES, Finding, listed
from imitate.datasets.importing import read_foreign
from imitate.datasets.loader import DataConfig
from imitate.errors import DataError
from imitate.progress import Progress

MARKS = {"error": "✕", "warning": "!", "notice": "●"}


@dataclass(frozen=True)
class DoctorCommand:
    """The settings of `imitate doctor`; see the module."""

    data: DataConfig
    others: tuple[str, ...]

    def run(self, progress: Progress) -> Outcome:
        """Look at every episode, and say what was found."""
        source, title = read_foreign(Path(self.data.path))
        if not len(source):
            raise DataError(f"{self.data.path}: holds no episodes yet")
        specs = {self.data.path: source.spec}
        specs |= {other: read_foreign(Path(other))[0].spec for other in self.others}
        found = diagnose(source, self.data.memory_gib, progress)
        findings = [*cameras.compare(specs), *found.findings]
        return Outcome(_json(findings, found, title), _lines(findings, found, self.data.path))


def _json(findings: list[Finding], found: Diagnosis, title: str) -> dict[str, object]:
    counts = {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}
    checked = {
        "format": title,
        "episodes": found.episodes,
        "steps": found.steps,
        "groups": found.groups,
        "checks": list(CHECKS),
    }
    return {"findings": [asdict(one) for one in findings], "counts": counts, "checked": checked}


def _lines(findings: list[Finding], found: Diagnosis, path: str) -> list[str]:
    lines = [f"{path}: {found.episodes} episodes, {found.steps} steps, {len(CHECKS)} checks"]
    if found.groups > 1:
        lines.append(f"compared within {found.groups} groups of episodes; for fewer, raise data.memory_gib")
    for severity in SEVERITIES:
        chosen = [one for one in findings if one.severity == severity]
        lines += ["", f"{severity}s" if chosen else f"no {severity}s"]
        for one in chosen:
            lines += _described(one)
    return lines


def _described(one: Finding) -> list[str]:
    which = f"{len(one.episodes)} episodes ({listed(list(one.episodes))})" if one.episodes else "all episodes"
    return [
        f"  {MARKS[one.severity]} {one.check}: {which}",
        f"      {one.what}",
        f"      → {one.fix}",
    ]
