"""What a policy would have done where a held-out demonstration was recorded."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imitate.checkpoint import load_policy
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.keep_list import everything, read_keep_list
from imitate.datasets.loader import DataConfig, split_episodes
from imitate.datasets.opening import open_store
from imitate.datasets.windows import WindowSampler
from imitate.errors import DataError
from imitate.parts import from_json
from imitate.policy import Policy
from imitate.training.run import CONFIG
from imitate.training.validation import action_names


@dataclass(frozen=True)
class Trace:
    """Recorded and predicted actions (T, Da) of one validation episode, in physical units.

    Each predicted chunk starts from the recorded observations, so errors do not add up along the episode.
    """

    episode_id: str
    names: list[str]
    recorded: np.ndarray
    predicted: np.ndarray
    rate_hz: float | None

    @property
    def mean_error(self) -> np.ndarray:
        """Mean absolute difference of each dimension, (Da,)."""
        return np.abs(self.predicted - self.recorded).mean(axis=0)


def validation_trace(run_folder: Path) -> Trace:
    """The run's best policy on its first validation episode.

    Raises DataError where the data is not as the policy was trained on it, or nothing was held out, and
    other ImitateErrors where checkpoint or data cannot be read.
    """
    loaded = load_policy(run_folder)
    config = _data_config(run_folder)
    store = open_store(config.path)
    data_hash = store.content_hash()
    if data_hash != loaded.info.data_hash:
        raise DataError(f"{config.path} has changed since the policy was trained")
    chosen = everything(store) if config.keep is None else read_keep_list(Path(config.keep), store, data_hash)
    _, validation = split_episodes(chosen, store, config)
    if not validation:
        raise DataError("no episode was held out for validation (data.val_fraction=0)")
    return trace(loaded.policy, store, validation[0])


@torch.no_grad()
def trace(policy: Policy, store: EpisodeStore, episode: int) -> Trace:
    """`policy` on every Ta-th window of an episode of `store`, its executed actions one after the other."""
    horizons = policy.horizons
    sampler = WindowSampler(store.episode_ends, horizons.obs_steps, horizons.pred_steps, [episode])
    rows = sampler.obs_rows(np.arange(0, len(sampler), horizons.action_steps))
    first = int(rows.min())
    whole = slice(first, first + len(sampler))
    obs = {key: _tensor(store.array(key)[whole][rows - first]) for key in policy.spec.obs}
    values = policy.predict(obs, torch.Generator().manual_seed(0)).values
    return Trace(
        store.record(episode).id,
        action_names(policy.spec),
        store.array(ACTION)[whole],
        values.flatten(0, 1)[: len(sampler)].float().numpy(),
        policy.spec.rate_hz,
    )


def _tensor(values: np.ndarray) -> torch.Tensor:
    """States as float32, images as they are: what batches hold."""
    return torch.from_numpy(values if values.dtype == np.uint8 else values.astype(np.float32))


def _data_config(run_folder: Path) -> DataConfig:
    file = run_folder / CONFIG
    try:
        config = from_json(json.loads(file.read_text())["data"], "data")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} does not say which data the run used: {error!r}") from error
    if not isinstance(config, DataConfig):
        raise DataError(f"{file}: data is a {type(config).__name__}, expected a DataConfig")
    return config
