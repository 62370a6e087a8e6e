"""What scripts/benchmarks/results found on many tasks, as a picture."""

from pathlib import Path

from markdown_table import Row
from results_tables import columns

COLOURS = ("#56b4e9", "#0072b2", "#d55e00")  # told apart by the colour-blind, too


def draw(rows: list[Row], path: Path) -> None:
    """A line for each task, the hardest first: success and its interval by the number of demonstrations."""
    from matplotlib.figure import Figure

    many = [row for row in rows if row["cell"]]
    values: dict[str, list[float]] = {}
    for row in many:
        values.setdefault(row["cell"][0], []).append(row["value"])
    tasks = sorted(values, key=lambda task: sum(values[task]) / len(values[task]))
    figure = Figure(figsize=(7, 1.5 + 0.24 * len(tasks)), layout="constrained")
    panel = figure.subplots()
    for index, (column, colour) in enumerate(zip(columns(many), COLOURS, strict=False)):
        here = [row for row in many if row["cell"][1] == column]
        places = [tasks.index(row["cell"][0]) + 0.22 * (index - 1) for row in here]
        lows, highs = zip(*(row["interval"] for row in here), strict=True)
        panel.hlines(places, lows, highs, color=colour, linewidth=2, alpha=0.4)
        panel.plot([row["value"] for row in here], places, "o", color=colour, markersize=4, label=column)
    panel.set_yticks(range(len(tasks)), tasks, fontsize=8)
    panel.set(xlim=(-0.02, 1.02), ylim=(len(tasks) - 0.4, -0.6), xlabel="success, 95 % interval")
    panel.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(COLOURS))
    figure.savefig(path, dpi=110)
