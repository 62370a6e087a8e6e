"""What scripts/benchmarks/policies found, as a picture."""

from pathlib import Path

from markdown_table import Row
from policy_tables import best_first, policy, score, task, tasks_of


def draw(rows: list[Row], path: Path) -> None:
    """A panel for each task: success of each policy with its interval, each training seed, and the score."""
    from matplotlib.figure import Figure

    rows = best_first(rows)
    names = list(dict.fromkeys(policy(row) for row in rows))
    tasks = tasks_of(rows)
    figure = Figure(figsize=(3 + 3 * len(tasks), 1.2 + 0.28 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, tasks, strict=True):
        here = [row for row in rows if task(row) == name]
        places = [names.index(policy(row)) for row in here]
        for place, row in zip(places, here, strict=True):
            panel.plot(row["interval"], [place, place], color="#0072b2", linewidth=3, alpha=0.4)
            panel.plot(row["per_seed"], [place] * len(row["per_seed"]), "|", color="#0072b2", markersize=9)
        panel.plot([row["value"] for row in here], places, "o", color="#0072b2", label="success")
        if any(score(row) for row in here):
            panel.plot([row["score"] for row in here], places, "D", color="#d55e00", label="score")
        panel.set(title=name, xlim=(-0.03, 1.03), xlabel="mean over episodes")
        panel.grid(alpha=0.3)
    panels[0].set_yticks(range(len(names)), [name.replace("+", "\n", 1) for name in names])
    panels[0].invert_yaxis()
    panels[-1].legend(loc="lower right")
    figure.savefig(path, dpi=110)
