"""imitate curate: which demonstrations to train on, and which to collect next.

    imitate curate data.path=demos.zarr out=keep.json
    imitate train policy=diffusion env=tabletop/pick_place data.path=demos.zarr data.keep=keep.json out=runs/x

writes a keep-list: of each episode whether to use it, its weight, the reasons, and the steps to cut out. The
data itself is not changed. What to show next, and what to think of new demonstrations, by those of data.path:

    imitate curate data.path=demos.zarr next=true out=next.json
    imitate curate data.path=demos.zarr judge=new.zarr out=feedback.json

Keys:
    data.path   the demonstrations
    out         the JSON file to write
    method      recommended: leave out what the report finds at fault; everything; or keep the best by one
                score: quality, mutual_information, divergence, mode_divergence, surprise, novelty,
                disagreement, jerk, compatibility, shortest; or random. By what a policy learnt from the
                demonstrations: policy_divergence, its loss; demo_score, whether they look like rollouts
                that succeed; influence, what they did for its success
    keep        the share to keep, for a method that ranks; demo_score has a threshold of its own
    checkpoint  the policy, for policy_divergence and influence: a run folder or one checkpoint file
    rollouts    its episodes, for demo_score and influence: what  imitate rollout … record=…  wrote
    seed        of what is drawn at random
    next        suggest what to demonstrate next: where demonstrators disagree and few have been
    images      whether camera images are compared, too: auto, only where the data has no states; always;
                never; or always, by torchvision's ResNet-18 with weights from a .safetensors file
    judge       a store of new demonstrations: accept or reject each, with the reason and its worst moments
    cluster     ray searches neighbours on the workers of a cluster, with the same result: docs/scaling.md
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.cli.command import Outcome
from imitate.cluster.config import ClusterConfig
from imitate.cluster.neighbours import neighbour_place
from imitate.curation.by_rollouts import NEEDS, Experience, require_fit, worth
from imitate.curation.elicitation import Coach
from imitate.curation.measurement import Measurement
from imitate.curation.measuring import measure
from imitate.curation.selection import keep_list, require_method, usable_episodes
from imitate.curation.suggestions import Suggestion, suggest
from imitate.datasets.durable import write_durably
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.loader import DataConfig
from imitate.datasets.opening import open_store
from imitate.errors import ConfigError, DataError
from imitate.progress import Progress

SHOWN = 8


@dataclass(frozen=True)
class CurateCommand:
    """The settings of `imitate curate`; see the module."""

    data: DataConfig
    out: str
    method: str
    keep: float | None
    checkpoint: str | None
    rollouts: str | None
    seed: int
    next: bool
    judge: str | None
    images: str
    cluster: ClusterConfig | None = None

    def __post_init__(self) -> None:
        if self.next and self.judge is not None:
            raise ConfigError("next=true and judge=… are two tasks: give one of them")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}, expected 0 or more")
        if Path(self.out).is_dir():
            raise ConfigError(f"out is {self.out!r}, which is a folder: give the name of a file in it")

    def run(self, progress: Progress) -> Outcome:
        """Write the file that was asked for, and say what is in it."""
        with open_store(self.data.path, progress) as store:
            if self.judge is not None:
                return self._judge(store, self.judge, progress)
            return self._next(store, progress) if self.next else self._choose(store, progress)

    def _choose(self, store: EpisodeStore, progress: Progress) -> Outcome:
        experience = Experience(self.checkpoint, self.rollouts)
        entries = self._entries(store, experience, progress)
        made_by = {"method": self.method, "keep": self.keep, "seed": self.seed, "data": store.address}
        made_by |= {"images": self.images}
        made_by |= {key: value for key, value in asdict(experience).items() if value is not None}
        write_keep_list(Path(self.out), entries, store.content_hash(), made_by)
        kept = sum(entry["keep"] for entry in entries)
        cut = sum(len(entry["segments"]) for entry in entries)
        steps = sum(part["stop"] - part["start"] for entry in entries for part in entry["segments"])
        lines = [f"keep     {kept} of {len(entries)} episodes" + (f", {cut} of them in part" if cut else "")]
        reasons = [f"{entry['id']}: {'; '.join(entry['reasons'])}" for entry in entries if entry["reasons"]]
        lines += [f"  {reason}" for reason in reasons[:SHOWN]]
        lines += [f"  and {len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else []
        lines += [
            f"written  {self.out}",
            f"next     imitate train … data.path={store.address} data.keep={self.out}",
        ]
        said = {"out": self.out, "kept": kept, "episodes": len(entries), "steps_cut": steps}
        return Outcome(said, lines)

    def _entries(
        self, store: EpisodeStore, experience: Experience, progress: Progress
    ) -> list[dict[str, Any]]:
        require_method(self.method, self.keep)
        experience.require(self.method, store.address)
        needs = self.method in NEEDS
        if needs:
            # Measuring may take minutes, after which nobody wants to hear of a mistake.
            require_fit(self.method, store, experience)
        measured = self._measured(store, progress)
        chosen = usable_episodes(measured).tolist()
        found = worth(self.method, store, chosen, experience, self.seed, progress) if needs else None
        return keep_list(measured, self.method, self.keep, self.seed, found)

    def _measured(self, store: EpisodeStore, progress: Progress) -> Measurement:
        with neighbour_place(self.cluster) as place:
            return measure(store, progress, self.images, place)

    def _next(self, store: EpisodeStore, progress: Progress) -> Outcome:
        suggestions = _suggestions(store, self._measured(store, progress))
        said = [asdict(suggestion) for suggestion in suggestions]
        _write(self.out, {"suggestions": said, "data_hash": store.content_hash()})
        lines = [f"{place}. {one.reason}" for place, one in enumerate(suggestions, start=1)]
        return Outcome({"out": self.out, "suggestions": said}, [*lines, f"written  {self.out}"])

    def _judge(self, store: EpisodeStore, path: str, progress: Progress) -> Outcome:
        said = []
        with open_store(path, progress) as new:
            coach = Coach.fit(store.episodes(), store.spec, self.seed)
            unfit = len(store) - len(coach.ids)
            if unfit:
                progress.say(
                    f"{unfit} of {len(store)} known demonstrations failed or repeat another: not used"
                )
            with progress.task("judge", len(new), "episodes") as bar:
                for episode in new.episodes():
                    said.append({"id": episode.id, **asdict(coach.score(episode))})
                    bar.advance()
        _write(self.out, {"episodes": said, "judged_by": store.address})
        accepted = sum(one["is_accepted"] for one in said)
        lines = [
            f"accepted {accepted} of {len(said)}",
            *(f"  {one['id']}: {one['reason']}" for one in said[:SHOWN]),
        ]
        return Outcome({"out": self.out, "episodes": said}, [*lines, f"written  {self.out}"])


def _suggestions(store: EpisodeStore, measured: Measurement) -> Sequence[Suggestion]:
    frames = measured.frames
    if frames is None or set(measured.arrays) == {ACTION}:
        raise DataError(f"{store.address} holds too little to compare: at least three episodes with states")
    chosen = measured.compared
    rows = np.concatenate([np.arange(r.start, r.stop) for r in map(measured.slice_of, chosen)])
    obs = {key: values[rows] for key, values in measured.arrays.items() if key != ACTION}
    scores = measured.steps_scores
    ids = [measured.episodes[i].record.id for i in chosen]
    return suggest(frames, scores["mode_divergence"][rows], scores["novelty"][rows], obs, store.spec, ids)


def _write(path: str, content: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_durably(Path(path), (json.dumps(content, indent=1) + "\n").encode())
