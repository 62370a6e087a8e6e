"""Numbers that are none."""

from imitate.datasets.health.finding import Finding, listed
from imitate.datasets.health.recording import Group

CHECK = "values are finite"


def check(group: Group) -> list[Finding]:
    """Episodes that hold a NaN or an infinite value."""
    broken = [one for one in group.recordings if one.not_finite]
    if not broken:
        return []
    counts: dict[str, int] = {}
    for one in broken:
        for key, count in one.not_finite.items():
            counts[key] = counts.get(key, 0) + count
    where = listed([f"{key} at {count} steps" for key, count in counts.items()])
    return [
        Finding(
            CHECK,
            "error",
            tuple(one.id for one in broken),
            f"NaN or infinite values: {where}; no other check looks at these episodes' numbers",
            "Leave these episodes out, or repair the recorder: one NaN makes the loss NaN.",
        )
    ]
