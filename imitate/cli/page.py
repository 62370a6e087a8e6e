"""imitate page: several runs side by side on one page that opens offline.

    imitate page runs/bc runs/diffusion
    imitate page runs/bc runs/diffusion/rollout runs/diffusion/rollout_noise out=noise.html

sets the rollouts of run folders beside each other, each against the first on the seeds that both played:
their figures, how they learnt, videos of the same seed, the seeds that fail everywhere, how the failures
ended, what sweeps of imitate stress found, and in which settings the runs differ. Runs that differ in
nothing but the seed of training are joined. A run folder stands for every rollout in it; a folder of a
rollout, or a rollout.json, for that one.

Keys:
    runs        run folders, folders of rollouts, or rollout.json files; words without a key are runs
    out         the .html file to write
    megabytes   at most so much of the page are videos; the page says which seeds are left out
    same_env    false: pair results of environments that differ, say only in what is observed
"""

from dataclasses import dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.errors import ConfigError
from imitate.evaluation.compare import Comparison
from imitate.evaluation.page_runs import RunsPage
from imitate.evaluation.runs import read_entries
from imitate.page import percent, require_page
from imitate.progress import Progress

POSITIONAL = "runs"


@dataclass(frozen=True)
class PageCommand:
    """The settings of `imitate page`; see the module."""

    runs: tuple[str, ...]
    out: str
    megabytes: float
    same_env: bool

    def __post_init__(self) -> None:
        if self.megabytes < 0:
            raise ConfigError(f"megabytes is {self.megabytes:g}, expected at least 0")

    def run(self, progress: Progress) -> Outcome:
        """Read the runs and write the page."""
        out = Path(self.out)
        require_page(out)
        page = RunsPage.of(read_entries(self.runs, progress), self.same_env, self.megabytes, progress)
        page.write(out)
        return Outcome({"page": self.out, **page.to_json()}, [*_lines(page), f"page      {out}"])


def _lines(page: RunsPage) -> list[str]:
    width = max(len(entry.label) for entry in page.entries)
    lines = []
    for entry in page.entries:
        low, high = entry.result.interval
        rate = f"{entry.label:<{width}}  {percent(entry.result.success_rate, 1):>7}"
        line = f"{rate}  [{low:.3f}, {high:.3f}]  of {len(entry.result.episodes)} episodes"
        one = page.compared.get(entry.label)
        if isinstance(one, Comparison):
            below, above = one.rates.interval()
            line += f"   {one.rates.difference:+.3f} [{below:+.3f}, {above:+.3f}] against the first"
        lines.append(line)
    refused = [(label, one) for label, one in page.compared.items() if isinstance(one, str)]
    lines += [f"{label} is not compared: {one}" for label, one in refused]
    if page.shown.left_out:
        lines.append(f"videos    of {len(page.shown.left_out)} seeds left out: more than megabytes allows")
    return lines
