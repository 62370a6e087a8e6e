"""imitate import: bring demonstrations from one format into another.

    imitate import src=low_dim.hdf5 out=demos.zarr
    imitate import src=pusht_cchi_v7_replay.zarr out=pusht.zarr
    imitate import src=session.mcap out=corrections.zarr
    imitate import src=demos.zarr out=for_lerobot format=lerobot

The format that is read is recognised by content; docs/datasets.md lists those there are. What is written
appears once it is complete and has been read back; what could not be carried over is listed. Replay buffers
need no import: training reads them as they are.

Keys:
    src       file or folder to read
    out       what to write; must not exist
    format    of what is written: imitate, a store of our own, or one of the formats of others
    topics    of a recorded bag: the YAML that says which topics are observations and actions
    storage   of camera images above 64 px: auto (exactly where that takes at most a quarter of the bytes,
              else JPEG), jpeg, or lossless
"""

from dataclasses import dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.datasets.formats import ReadOptions
from imitate.datasets.image_chunks import Storage, require_storage
from imitate.datasets.importing import import_file
from imitate.progress import Progress


@dataclass(frozen=True)
class ImportCommand:
    """The settings of `imitate import`; see the module."""

    src: str
    out: str
    format: str
    topics: str | None
    storage: Storage

    def run(self, progress: Progress) -> Outcome:
        """Import, and say what was written and what was not."""
        require_storage(self.storage)
        options = ReadOptions(topics=Path(self.topics) if self.topics else None)
        report = import_file(self.src, self.out, progress, options, self.format, self.storage)
        lines = [
            f"imported  {report.episodes} episodes, {report.steps} steps from {self.src} ({report.kind})",
            f"{'store' if self.format == 'imitate' else self.format:<9} {report.out}",
            f"hash      {report.data_hash}",
            *(f"note      {item}" for item in report.notes),
            *(f"left out  {item}" for item in report.left_out),
        ]
        return Outcome(
            {
                "out": str(report.out),
                "format": report.kind,
                "episodes": report.episodes,
                "steps": report.steps,
                "hash": report.data_hash,
                "left_out": list(report.left_out),
                "notes": list(report.notes),
            },
            lines,
        )
