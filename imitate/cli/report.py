"""imitate report: what a data set is worth, on one page that opens offline.

    imitate report data.path=demos.zarr out=report.html

measures every demonstration and writes report.html and, beside it, report.json (the same for programs:
verdict, findings, and per episode its scores, whether to keep it, and the reasons) and report.csv (the
episodes as a table). Nothing in the data set is changed, and no policy is trained: 200 demonstrations take
seconds. docs/curate.md explains the measures. Two data sets side by side, on the same axes:

    imitate report data.path=demos.zarr compare=others.zarr out=both.html

Keys:
    data.path   a demonstration store, a Diffusion Policy replay buffer, or a .zarr.zip
    out         the .html file to write
    compare     another store; the page and its .json are then about both, and there is no .csv
    images      whether camera images are compared, too: auto, only where the data has no states; always;
                never; or always, by torchvision's ResNet-18 with weights from a .safetensors file
    cluster     ray searches neighbours on the workers of a cluster, with the same result: docs/scaling.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.cluster.config import ClusterConfig
from imitate.cluster.neighbours import neighbour_place
from imitate.curation.report import Comparison, Report, write_comparison, write_report
from imitate.curation.verdict import SIGNS, Finding
from imitate.datasets.loader import DataConfig
from imitate.datasets.opening import open_store
from imitate.progress import Progress


@dataclass(frozen=True)
class ReportCommand:
    """The settings of `imitate report`; see the module."""

    data: DataConfig
    out: str
    compare: str | None
    images: str
    cluster: ClusterConfig | None = None

    def run(self, progress: Progress) -> Outcome:
        """Write page and JSON, and give the verdict."""
        with open_store(self.data.path, progress) as store, neighbour_place(self.cluster) as place:
            if self.compare is None:
                report = write_report(store, Path(self.out), progress, self.images, place)
                return Outcome(dict(report.content), _lines(report))
            with open_store(self.compare, progress) as other:
                comparison = write_comparison(store, other, Path(self.out), progress, self.images, place)
        return Outcome(dict(comparison.content), _lines_of_both(comparison))


def _lines(report: Report) -> list[str]:
    return [
        report.content["verdict"],
        *_told(report.findings),
        f"page  {report.page}",
        f"json  {report.json_file}",
        f"csv   {report.csv_file}",
    ]


def _lines_of_both(comparison: Comparison) -> list[str]:
    lines = []
    for name, content, found in zip(
        comparison.names, comparison.content["sets"], comparison.findings, strict=True
    ):
        lines += [f"{name}: {content['verdict']}", *_told(found)]
    return [*lines, f"page  {comparison.page}", f"json  {comparison.json_file}"]


def _told(found: Sequence[Finding]) -> list[str]:
    return [f"  {SIGNS[finding.level]} {finding.text}" for finding in found]
