"""The rounds of a rollout: which rows the policy is asked for, when, and who executes its answer.

A row of the policy's input has two episodes at a time where it has that many to play. They are in two lanes,
which take turns: while the policy thinks for one, the environments of the other execute what it thought
before, so that neither waits for the other. The turns do not depend on timing, so the policy sees the same
inputs in the same order however many workers there are.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imitate.errors import EnvError
from imitate.execution import Alternatives, ChunkExecution, ExecutionConfig
from imitate.history import PLAN, ahead
from imitate.policy import Policy
from imitate.progress import Task
from imitate.rollout.host import LANES, EpisodeResult, Reports
from imitate.rollout.shared import SharedObs
from imitate.rollout.workers import Place


@dataclass
class _Playing:
    """An episode in progress, as seen from the policy; `is_ready` while it wants actions.

    ahead: what the last chunk says of the steps after those that were executed of it, (n, Da).
    """

    seed: int
    generator: torch.Generator
    execution: ChunkExecution
    is_ready: bool = True
    ahead: np.ndarray | None = None


class Rounds:
    """The rounds of one rollout: take in a lane's reports, predict for its rows, send the actions."""

    def __init__(
        self,
        policy: Policy,
        batch: int,
        execution: ExecutionConfig,
        device: torch.device,
        opened: Sequence[Place],
        seen: SharedObs,
        task: Task,
    ) -> None:
        self._policy, self._batch, self._execution, self._device = policy, batch, execution, device
        self._places, self._seen, self._task = opened, seen.open(), task
        self._playing: dict[int, _Playing] = {}
        self._idle_generator = torch.Generator()
        self.results: dict[int, EpisodeResult] = {}
        self.env_s = self.policy_s = 0.0
        self.policy_calls = 0

    def play(self) -> None:
        """Play until every queue is empty."""
        for place in self._places:
            self.facts = place.begin()
        awaited: dict[int, Sequence[Place]] = dict.fromkeys(LANES, self._places)
        turns = itertools.cycle(LANES)
        began: float | None = None
        while self._playing or any(awaited.values()):
            lane = next(turns)
            for place in awaited[lane]:
                self._take_in(place.receive())
            began = began or time.perf_counter()
            slots = [slot for slot in sorted(self._playing) if self._wants_actions(slot, lane)]
            awaited[lane] = self._execute(self._predict(slots)) if slots else ()
        self.env_s = time.perf_counter() - (began or 0.0) - self.policy_s

    def _wants_actions(self, slot: int, lane: int) -> bool:
        """Whether `slot` is ready in the turn of `lane`; one that is left alone in its row goes with lane 0.

        Without that rule the last episodes of a rollout would need twice the calls.
        """
        is_alone = (slot + self._batch) % (len(LANES) * self._batch) not in self._playing
        return self._playing[slot].is_ready and lane == (LANES[0] if is_alone else slot // self._batch)

    def _predict(self, slots: Sequence[int]) -> dict[int, np.ndarray]:
        """{slot: actions (n, Da)} of slots in different rows."""
        began = time.perf_counter()
        obs, generators = self._rows(slots)
        chunk = self._policy.predict(obs, generators)
        values = chunk.values.float().cpu().numpy()
        alternatives = Alternatives.rows(chunk.modes, len(values))
        actions = {}
        for slot in slots:
            playing, row = self._playing[slot], slot % self._batch
            if not np.isfinite(values[row]).all():
                raise EnvError(f"the policy's action in the episode of seed {playing.seed} is not finite")
            actions[slot] = playing.execution.plan(values[row], alternatives[row])
            playing.ahead = values[row][len(actions[slot]) :]
        self.policy_s += time.perf_counter() - began
        self.policy_calls += 1
        return actions

    def _rows(self, slots: Sequence[int]) -> tuple[dict[str, Tensor], list[torch.Generator]]:
        """Observations {name: (batch, To, …)} and generators of all rows; an idle row repeats another."""
        sitting = {slot % self._batch: slot for slot in slots}
        rows = range(self._batch)
        chosen = [sitting.get(row, slots[0]) for row in rows]
        obs = {key: torch.from_numpy(array[chosen]).to(self._device) for key, array in self._seen.items()}
        if self._policy.plan_steps:
            obs[PLAN] = self._plans([self._playing[slot].ahead for slot in chosen])
        generators = [
            self._playing[sitting[row]].generator if row in sitting else self._idle_generator for row in rows
        ]
        return obs, generators

    def _plans(self, known: Sequence[np.ndarray | None]) -> Tensor:
        steps, size = self._policy.plan_steps, self._policy.spec.action.size
        plans = [ahead(() if plan is None else plan, steps, size) for plan in known]
        return torch.from_numpy(np.stack(plans)).to(self._device)

    def _execute(self, actions: Mapping[int, np.ndarray]) -> list[Place]:
        """Send every place its share; gives those that will report."""
        busy = []
        for place in self._places:
            share = {slot: some for slot, some in actions.items() if slot % self._batch in place.rows}
            if share:
                place.send(share)
                busy.append(place)
        for slot in actions:
            self._playing[slot].is_ready = False
        return busy

    def _take_in(self, reports: Reports) -> None:
        for slot, report in reports.items():
            if report.finished is not None:
                self._count(report.finished)
            if report.seed is None:
                self._playing.pop(slot, None)
            elif slot in self._playing and self._playing[slot].seed == report.seed:
                self._playing[slot].is_ready = True
            else:
                self._playing[slot] = self._beginning(report.seed)

    def _beginning(self, seed: int) -> _Playing:
        generator = torch.Generator().manual_seed(seed)
        return _Playing(seed, generator, self._execution.build())

    def _count(self, result: EpisodeResult) -> None:
        self.results[result.seed] = result
        won = sum(finished.success for finished in self.results.values())
        self._task.advance(1, f"success {won}/{len(self.results)}")
