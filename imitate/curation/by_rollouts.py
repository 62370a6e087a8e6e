"""Which demonstrations to keep by what a trained policy makes of them, or by how rollouts ended.

policy_divergence: the loss of the policy on a demonstration. demo_score: whether its states look like those
of rollouts that succeed. influence: what it did for the share of the policy's rollouts that succeed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np

from imitate.checkpoint import LoadedPolicy, checkpoint_hash, load_policy
from imitate.curation.compatibility import episode_features
from imitate.curation.influence import influence, last_weights
from imitate.curation.policy_divergence import policy_divergence
from imitate.curation.success_classifier import SuccessScores, success_scores
from imitate.datasets.episode_store import EpisodeRecord, EpisodeStore
from imitate.datasets.opening import open_store
from imitate.device import chosen_device
from imitate.errors import ConfigError, DataError
from imitate.policy import Policy, SelfTrainedPolicy, TaughtPolicy
from imitate.progress import SILENT, Progress
from imitate.types import DataSpec, require_match

CHECKPOINT, ROLLOUTS = "checkpoint", "rollouts"
NEEDS = {
    "policy_divergence": (CHECKPOINT,),
    "demo_score": (ROLLOUTS,),
    "influence": (CHECKPOINT, ROLLOUTS),
}
"""What each method is given besides the demonstrations."""
HOW = {
    CHECKPOINT: "a policy trained on these demonstrations: checkpoint=runs/x, made with  "
    "imitate train … data.path={data} out=runs/x",
    ROLLOUTS: "recorded rollouts: rollouts=rollouts.zarr, made with  "
    "imitate rollout checkpoint=runs/x seed=60000 out=runs/x/recorded record=rollouts.zarr",
}
MAX_WEIGHTS = 50_000_000
"""Influence takes gradients through the whole policy; at this size a step costs tens of milliseconds."""
LEAST_WEIGHTS = 1024
"""Of the last parameters, which influence looks at; the bias of the output alone says hardly anything."""
HARDLY = 0.95
"""Of the cross entropy of always saying the success rate: a classifier above it has learnt nothing."""


@dataclass(frozen=True)
class Worth:
    """What a method says of each episode.

    cost (E,) float64: the larger, the sooner an episode goes; NaN where it cannot be told. bound: episodes
    of a larger cost go, by the method's own rule, because they are `beyond` it; None where it has no rule.
    """

    cost: np.ndarray
    bound: float | None = None
    beyond: str = ""


@dataclass(frozen=True)
class Experience:
    """What was given to judge demonstrations by: a checkpoint or run folder, and a store of rollouts."""

    checkpoint: str | None = None
    rollouts: str | None = None

    def require(self, method: str, data: str) -> None:
        """Raise ConfigError where `method` needs something else than was given; `data` is named in it."""
        for key in (CHECKPOINT, ROLLOUTS):
            value, is_needed = getattr(self, key), key in NEEDS.get(method, ())
            if is_needed and value is None:
                raise ConfigError(f"{key} is null, but method={method} needs {HOW[key].format(data=data)}")
            if value is not None and not is_needed:
                raise ConfigError(f"{key} is {value!r}, but method={method} does not use it: leave it out")


def worth(
    method: str,
    store: EpisodeStore,
    chosen: Sequence[int],
    experience: Experience,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Worth:
    """What `method`, one of NEEDS, says of the episodes `chosen` of `store`; NaN for the others.

    Raises ConfigError where something is missing or the policy is too large, SpecError where observations or
    actions differ, DataError where the rollouts do not hold both outcomes, or belong to another policy.
    """
    with _opened(method, store, experience) as (loaded, rollouts):
        if method == "policy_divergence":
            assert loaded is not None
            return Worth(_losses(loaded, store, chosen, seed, progress))
        assert rollouts is not None
        if method == "demo_score":
            return _by_success(_scores(store, chosen, rollouts, seed), store, chosen, progress)
        assert loaded is not None
        demonstrations = [store.episode(i) for i in chosen]
        found = influence(
            loaded.policy, demonstrations, list(rollouts.episodes()), seed=seed, progress=progress
        )
    return Worth(_spread(-found, store, chosen))


def require_fit(method: str, store: EpisodeStore, experience: Experience) -> None:
    """Raise as `worth` would for what does not belong to `store`, without its work: in a second or two."""
    with _opened(method, store, experience):
        pass


@contextmanager
def _opened(
    method: str, store: EpisodeStore, experience: Experience
) -> Iterator[tuple[LoadedPolicy | None, EpisodeStore | None]]:
    """The policy and the rollouts that `method` needs, which fit `store`; None for what it does not need."""
    experience.require(method, store.address)
    loaded = None if experience.checkpoint is None else _load(experience.checkpoint, store)
    with nullcontext() if experience.rollouts is None else open_store(experience.rollouts) as rollouts:
        if rollouts is not None:
            _require_judged(rollouts)
        if method == "demo_score":
            assert rollouts is not None
            _shared_states(store, rollouts)
        if method == "influence":
            assert loaded is not None and rollouts is not None
            _require_feasible(loaded)
            _require_its_own(loaded, store, rollouts)
        yield loaded, rollouts


def _load(checkpoint: str, store: EpisodeStore) -> LoadedPolicy:
    loaded = load_policy(checkpoint, chosen_device("auto", "device"))
    if isinstance(loaded.policy, TaughtPolicy):
        raise ConfigError(
            f"checkpoint is {checkpoint!r}, a policy that has no loss without the one it learnt from: "
            "give the checkpoint of its teacher"
        )
    require_match(store.spec, loaded.policy.spec, store.address)
    return loaded


def _losses(
    loaded: LoadedPolicy, store: EpisodeStore, chosen: Sequence[int], seed: int, progress: Progress
) -> np.ndarray:
    per_step = policy_divergence(loaded.policy, store, chosen, seed=seed, progress=progress)
    ends = store.episode_ends
    parts = np.split(per_step, ends[:-1])
    return np.array([part.mean(dtype=np.float64) for part in parts])


def _scores(store: EpisodeStore, chosen: Sequence[int], rollouts: EpisodeStore, seed: int) -> SuccessScores:
    spec = _shared_states(store, rollouts)
    seen = [episode_features(one, spec)[0] for one in rollouts.episodes()]
    shown = [episode_features(store.episode(i), spec)[0] for i in chosen]
    return success_scores(seen, [bool(one.success) for one in _records(rollouts)], shown, seed)


def _by_success(
    scores: SuccessScores, store: EpisodeStore, chosen: Sequence[int], progress: Progress
) -> Worth:
    if scores.loss > HARDLY * scores.chance:
        progress.say(
            "the states of the rollouts hardly tell which of them succeed "
            f"(cross entropy {scores.loss:.2f}, by chance {scores.chance:.2f}): the scores mean little"
        )
    cost = _spread(-scores.per_demonstration, store, chosen)
    return Worth(cost, -scores.threshold, "less promising than the average rollout")


def _shared_states(store: EpisodeStore, rollouts: EpisodeStore) -> DataSpec:
    """The states that both hold; a foreign file may hold more, and know less of their units and angles."""
    keys = [key for key, one in store.spec.obs.items() if not one.is_image and key in rollouts.spec.obs]
    if not keys:
        raise DataError(
            f"{store.address} and {rollouts.address} have no states in common, which demo_score sees"
        )
    shown, seen = store.spec.select(keys), rollouts.spec.select(keys)
    require_match(seen, shown, str(rollouts.path))
    return shown.filled_from(seen)


def _require_judged(rollouts: EpisodeStore) -> None:
    for record in _records(rollouts):
        if record.success is None:
            raise DataError(f"{rollouts.path}: nobody judged whether episode {record.id!r} succeeded")


def _require_feasible(loaded: LoadedPolicy) -> None:
    if isinstance(loaded.policy, SelfTrainedPolicy):
        raise ConfigError(f"influence follows the gradient of one loss, by which {loaded.file} did not learn")
    why = _too_much(loaded.policy)
    if why:
        raise ConfigError(
            f"influence takes a gradient for every step, which is not feasible for {loaded.file}: it {why}; "
            "train a smaller policy on states, such as policy=bc policy.width=128, or use method=demo_score"
        )


def _too_much(policy: Policy) -> str:
    """What speaks against taking gradients of single steps; "" for nothing."""
    images = [key for key, one in policy.spec.obs.items() if one.is_image]
    if images:
        return f"reads images ({images[0]})"
    weights = sum(value.numel() for value in policy.parameters())
    if weights > MAX_WEIGHTS:
        return f"has {weights:,} weights, and {MAX_WEIGHTS:,} are the most"
    looked_at = sum(value.numel() for value in last_weights(policy).values())
    if looked_at < min(LEAST_WEIGHTS, weights):
        return f"has so large a layer near its end that only {looked_at} of its {weights:,} weights are left"
    return ""


def _require_its_own(loaded: LoadedPolicy, store: EpisodeStore, rollouts: EpisodeStore) -> None:
    """Influence relates a policy to what it learnt from and to what it did itself."""
    require_match(rollouts.spec, loaded.policy.spec, str(rollouts.path))
    if loaded.info.data_hash != store.content_hash():
        raise DataError(f"{loaded.file} was not trained on {store.address}: train on this data first")
    of = rollouts.metadata.get("checkpoint_hash")
    if of is not None and of != checkpoint_hash(loaded.file):
        raise DataError(f"{rollouts.path} holds rollouts of another checkpoint than {loaded.file}")


def _records(store: EpisodeStore) -> list[EpisodeRecord]:
    return [store.record(i) for i in range(len(store))]


def _spread(values: np.ndarray, store: EpisodeStore, chosen: Sequence[int]) -> np.ndarray:
    """Of all episodes, NaN where none of `chosen`."""
    everyone = np.full(len(store), np.nan)
    everyone[list(chosen)] = values
    return everyone
