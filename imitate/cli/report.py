"""imitate report: what a data set is worth, on one page that opens offline.

    imitate report data.path=demos.zarr out=report.html

measures every demonstration and writes report.html and, beside it, report.json (the same for programs:
verdict, findings, and per episode its scores, whether to keep it, and the reasons). Nothing in the data set
is changed, and no policy is trained: 200 demonstrations take seconds. docs/curate.md explains the measures.

Keys:
    data.path   a demonstration store, a Diffusion Policy replay buffer, or a .zarr.zip
    out         the .html file to write
"""

from dataclasses import dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.curation.report import Report, write_report
from imitate.curation.verdict import SIGNS
from imitate.datasets.loader import DataConfig
from imitate.datasets.opening import open_store
from imitate.progress import Progress


@dataclass(frozen=True)
class ReportCommand:
    """The settings of `imitate report`; see the module."""

    data: DataConfig
    out: str

    def run(self, progress: Progress) -> Outcome:
        """Write page and JSON, and give the verdict."""
        with open_store(self.data.path) as store:
            report = write_report(store, Path(self.out), progress)
        return Outcome(dict(report.content), _lines(report))


def _lines(report: Report) -> list[str]:
    return [
        report.content["verdict"],
        *(f"  {SIGNS[finding.level]} {finding.text}" for finding in report.findings),
        f"page  {report.page}",
        f"json  {report.json_file}",
    ]
