"""imitate inspect: what a data set of any format holds.

    imitate inspect data.path=demos.zarr
    imitate inspect data.path=low_dim.hdf5 out=page.html
    imitate inspect data.path=lerobot_folder viewer=true          also --viewer, or viewer=demos.rrd

reads stores of imitate, replay buffers and every format that can be imported, without importing it, and shows
episodes, steps, every array with its units, and what each dimension does; of a recorded bag without `topics`,
its topics. The page shows the same with pictures, short videos, histograms, and actions and observations over
time; it opens offline. Of a large data set a part is read, and it says which.

Keys:
    data.path    a file or folder of any format; docs/datasets.md lists those there are
    out          the .html page to write
    viewer       true opens the shown episodes in Rerun; a name that ends in .rrd writes its recording instead
    episodes     at most so many are read; null for as many as are read quickly
    topics       of a recorded bag: the YAML that says which topics are observations and actions
    verify       read every number and, in stores of imitate, compare it with what was written
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.cli.command import Outcome
from imitate.cli.inspect_table import table_lines, topic_lines
from imitate.datasets.bags.opening import is_recording, recordings
from imitate.datasets.bags.opening import title as title_of
from imitate.datasets.bags.survey import survey as topics_of
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.formats import Foreign, ReadOptions
from imitate.datasets.importing import read_foreign
from imitate.datasets.loader import DataConfig
from imitate.datasets.opening import here, require_exists
from imitate.datasets.remote import address
from imitate.errors import ConfigError
from imitate.inspection.facts import outcomes
from imitate.inspection.gallery import Gallery
from imitate.inspection.page import inspection_page
from imitate.inspection.rerun_log import RerunLog, require_viewer
from imitate.inspection.survey import SHOWN, Survey, Visit, survey
from imitate.inspection.topics import NEXT, topics_json, topics_page
from imitate.page import require_page, write_whole
from imitate.progress import Progress


@dataclass(frozen=True)
class InspectCommand:
    """The settings of `imitate inspect`; see the module."""

    data: DataConfig
    out: str | None
    viewer: bool | str
    episodes: int | None
    topics: str | None
    verify: bool

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise ConfigError(f"episodes is {self.episodes}, expected at least 1, or null")

    def run(self, progress: Progress) -> Outcome:
        """Read as much as was asked for; write the page and open the viewer where that was asked for."""
        out = Path(self.out) if self.out else None
        if out:
            require_page(out)
        if self.viewer:
            require_viewer(self.viewer)
        path = here(self.data.path, progress)
        require_exists(path)
        if self.topics is None and is_recording(path):
            return self._topics(path, out)
        options = ReadOptions(topics=Path(self.topics) if self.topics else None)
        with ExitStack() as stack:
            foreign, title = read_foreign(path, options)
            if isinstance(foreign, EpisodeStore):
                stack.enter_context(foreign)
            if self.verify:
                _verify(foreign, progress)
            gallery, visits = None, list[Visit]()
            if out:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imitate-inspect-"))
                gallery = Gallery(
                    Path(folder), foreign.spec, min(len(foreign), self.episodes or SHOWN, SHOWN)
                )
                visits.append(gallery.add)
            if self.viewer:
                visits.append(stack.enter_context(RerunLog(foreign.spec, path.name, self.viewer)).add)
            found = survey(foreign, address(self.data.path), title, self.episodes, progress, visits)
            if out and gallery:
                write_whole(out, inspection_page(found, gallery, out))
        return self._outcome(found)

    def _topics(self, path: Path, out: Path | None) -> Outcome:
        """Of a log of which nobody said what is an action, its topics."""
        if self.viewer or self.verify:
            asked = "viewer" if self.viewer else "verify"
            raise ConfigError(f"{asked} of a recorded log needs topics: {NEXT}")
        found, title = topics_of(path), title_of(recordings(path)[0])
        lines = topic_lines(path, title, found)
        if out:
            write_whole(out, topics_page(path, title, found))
            lines.append(f"page      {out}")
        return Outcome(topics_json(path, title, found) | ({"page": str(out)} if out else {}), lines)

    def _outcome(self, found: Survey) -> Outcome:
        content, lines = _json(found), table_lines(found, self.verify)
        if self.out:
            content["page"] = self.out
            lines.append(f"page      {self.out}")
        if isinstance(self.viewer, str):
            content["recording"] = self.viewer
            lines.append(f"recording {self.viewer}")
        return Outcome(content, lines)


def _verify(foreign: Foreign, progress: Progress) -> None:
    """Read everything; raises DataError for what cannot be read or is not what was written."""
    with progress.task("check", len(foreign), "episodes") as task:
        if isinstance(foreign, EpisodeStore):
            for index in range(len(foreign)):
                foreign.verify(index)
                task.advance()
            return
        for _ in foreign.episodes():
            task.advance()


def _json(found: Survey) -> dict[str, Any]:
    steps = [record.steps for record in found.records.values()]
    return {
        "path": found.address,
        "format": found.title,
        "episodes": found.episodes,
        "episodes_read": len(found.read),
        "steps": found.steps,
        "steps_per_episode": [min(steps), max(steps)],
        **outcomes(found),
        "source": found.source,
        "metadata": dict(found.metadata),
        "spec": found.spec.to_json(),
        "hash": found.data_hash,
        "left_out": list(found.left_out),
        "notes": list(found.notes),
        "dimensions": {
            key: [
                {"name": one.name, "unit": one.unit}
                | {field: _number(getattr(one, field)) for field in ("min", "max", "mean", "std")}
                for one in ranges
            ]
            for key, ranges in found.dimensions.items()
        },
    }


def _number(value: float) -> float | None:
    return value if value == value and abs(value) != float("inf") else None
