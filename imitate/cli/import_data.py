"""imitate import: bring foreign demonstrations into a store of our own.

    imitate import src=low_dim.hdf5 out=demos.zarr
    imitate import src=pusht_cchi_v7_replay.zarr out=pusht.zarr
    imitate import src=session.mcap out=corrections.zarr

The format is recognised by content: robomimic HDF5, Diffusion Policy's replay buffers (zarr folder or
.zarr.zip), a session that `imitate deploy` recorded, or a store of imitate. The new store appears once it
is complete and has been read back; what could not be carried over is listed. Replay buffers need no import:
training reads them as they are.

Keys:
    src    file or folder to read
    out    the store to write; must not exist
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.datasets.importing import import_file
from imitate.progress import Progress


@dataclass(frozen=True)
class ImportCommand:
    """The settings of `imitate import`; see the module."""

    src: str
    out: str

    def run(self, progress: Progress) -> Outcome:
        """Import, and say what was written and what was not."""
        report = import_file(self.src, self.out, progress)
        lines = [
            f"imported  {report.episodes} episodes, {report.steps} steps from {self.src} ({report.kind})",
            f"store     {report.out}",
            f"hash      {report.data_hash}",
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
            },
            lines,
        )
