"""What a policy server counts, in the text format of Prometheus."""

import bisect
from collections import Counter

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Histogram:
    """Times in s by the bounds above, as Prometheus wants them."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str) -> list[str]:
        """The series of this histogram."""
        found, below = [f"# TYPE {name} histogram"], 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), self._counts, strict=True):
            below += count
            found.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*found, f"{name}_sum {self._sum_s:.6f}", f"{name}_count {below}"]


class Metrics:
    """clients: connected now. waiting: questions in the queue when the last one came. turned_away: by why."""

    def __init__(self) -> None:
        self.clients = self.waiting = self.answered = self.refused = self._batches = 0
        self.turned_away: Counter[str] = Counter()
        self._answer_s, self._inference_s = Histogram(), Histogram()

    def batch(self, size: int, seconds: float) -> None:
        """A call of the policy for `size` questions."""
        self._batches += 1
        self._inference_s.add(seconds)

    def answer(self, seconds: float) -> None:
        """An answer that left `seconds` after its question came."""
        self.answered += 1
        self._answer_s.add(seconds)

    def text(self) -> str:
        """All of it."""
        lines = [
            *_series("imitate_clients", "gauge", self.clients),
            *_series("imitate_waiting", "gauge", self.waiting),
            *_series("imitate_answered_total", "counter", self.answered),
            *_series("imitate_refused_total", "counter", self.refused),
            *_series("imitate_batches_total", "counter", self._batches),
            "# TYPE imitate_turned_away_total counter",
            *(f'imitate_turned_away_total{{why="{w}"}} {n}' for w, n in sorted(self.turned_away.items())),
            *self._answer_s.lines("imitate_answer_seconds"),
            *self._inference_s.lines("imitate_inference_seconds"),
        ]
        return "\n".join(lines) + "\n"


def _series(name: str, kind: str, value: int) -> list[str]:
    return [f"# TYPE {name} {kind}", f"{name} {value}"]
