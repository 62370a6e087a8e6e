"""imitate compare: set two rollouts on the same seeds against each other.

    imitate compare a=runs/bc/rollout b=runs/diffusion/rollout

prints the success rate of b minus that of a with its 95 % interval (Newcombe 1998, paired), the p-value of
McNemar's exact test, and the difference of the mean scores. Pairing by seed takes out how hard each start
is, so fewer episodes are needed to tell two policies apart.

Keys:
    a, b        rollout.json files, or the folders that hold them
    same_env    false: pair results of environments that differ, say only in what is observed
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.evaluation.compare import Comparison, compare
from imitate.evaluation.result import load
from imitate.progress import Progress


@dataclass(frozen=True)
class CompareCommand:
    """The settings of `imitate compare`; see the module."""

    a: str
    b: str
    same_env: bool

    def run(self, progress: Progress) -> Outcome:
        """Read both results and compare them."""
        found = compare(load(self.a), load(self.b), same_env=self.same_env)
        return Outcome(found.to_json(), [*_warnings(found), *_lines(found)])


def _warnings(found: Comparison) -> list[str]:
    lines = [f"warning: the environments differ: {line}" for line in found.env_differences]
    if found.left_out_a or found.left_out_b:
        lines.append(
            f"warning: paired on the {found.rates.pairs} seeds in common; "
            f"{found.left_out_a} episodes of a and {found.left_out_b} of b are left out"
        )
    return lines


def _lines(found: Comparison) -> list[str]:
    rates, (low, high) = found.rates, found.rates.interval()
    score_low, score_high = found.score_interval
    return [
        f"success   a {(rates.both + rates.only_a) / rates.pairs:.3f}   "
        f"b {(rates.both + rates.only_b) / rates.pairs:.3f}   over {rates.pairs} seeds",
        f"b - a     {rates.difference:+.3f}  [{low:+.3f}, {high:+.3f}] 95 %   p = {rates.p_value():.2g}",
        f"pairs     {rates.both} both, {rates.only_a} only a, {rates.only_b} only b, {rates.neither} neither",
        f"score     {found.score_difference:+.3f}  [{score_low:+.3f}, {score_high:+.3f}] 95 %",
    ]
