"""Writing robomimic's HDF5 layout: what its SequenceDataset loads, and what reading it back needs.

    data            attrs: env_args, total, imitate (JSON: spec, source, metadata)
    data/demo_0     attrs: num_samples, ep_meta (JSON: lang), imitate (JSON: the episode's record)
        actions   obs/<key>   next_obs/<key>   rewards   dones
    mask/<filter key>

https://robomimic.github.io/docs/datasets/overview.html. What robomimic has no place for stands in attributes
named "imitate", which it does not look at.
"""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imitate.datasets.episode_store import EpisodeStore
from imitate.progress import Progress
from imitate.types import Episode

OURS = "imitate"
"""The attribute that holds what robomimic has no place for."""

ROBOSUITE, GYM = 1, 2
"""robomimic's numbers for kinds of environments (robomimic.envs.env_base.EnvType)."""


def write_robomimic(store: EpisodeStore, out: Path, progress: Progress) -> tuple[str, ...]:
    """Write all episodes to the new file `out`; gives in words what other readers will not find as it was."""
    names = _demo_names(store)
    filters: dict[str, list[str]] = {}
    with h5py.File(out, "w") as file, progress.task("write", len(store), "episodes") as task:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(_env_args(store))
        data.attrs["total"] = store.steps
        data.attrs[OURS] = json.dumps(
            {"spec": store.spec.to_json(), "source": store.source, "metadata": dict(store.metadata)}
        )
        for index, name in enumerate(names):
            episode = store.episode(index)
            _write_episode(data.create_group(name), episode)
            for key in _filter_keys(episode):
                filters.setdefault(key, []).append(name)
            task.advance()
        for key, members in filters.items():
            file[f"mask/{key}"] = np.array(members, dtype="S")
    return _said(store)


def _demo_names(store: EpisodeStore) -> list[str]:
    """The ids where all are demo_0, demo_7, …, else demo_ and the number: robomimic reads the number."""
    ids = [store.record(index).id for index in range(len(store))]
    fitting = all(re.fullmatch(r"demo_(0|[1-9]\d{0,17})", name, re.ASCII) for name in ids)
    return ids if fitting else [f"demo_{index}" for index in range(len(store))]


def _env_args(store: EpisodeStore) -> dict[str, Any]:
    known, raw = store.metadata.get("env_args"), store.metadata.get("robosuite")
    if isinstance(known, dict) and known:
        return known
    if isinstance(raw, dict) and raw.get("env_info"):  # as robomimic's convert_robosuite makes them
        version = {"env_version": raw["repository_version"]} if "repository_version" in raw else {}
        return {"env_name": raw.get("env"), "type": ROBOSUITE, **version, "env_kwargs": raw["env_info"]}
    name = store.metadata.get("env")
    kwargs = {"control_freq": store.spec.rate_hz} if store.spec.rate_hz else {}
    return {"env_name": name if isinstance(name, str) else store.source, "type": GYM, "env_kwargs": kwargs}


def _write_episode(demo: h5py.Group, episode: Episode) -> None:
    steps = len(episode)
    last = np.arange(steps) == steps - 1
    demo.attrs["num_samples"] = steps
    demo.attrs[OURS] = json.dumps(_record(episode))
    if isinstance(task := episode.metadata.get("task"), str):
        demo.attrs["ep_meta"] = json.dumps({"lang": task})
    demo["actions"] = episode.action
    demo["rewards"] = (last & bool(episode.success)).astype(np.float64)
    demo["dones"] = last.astype(np.int64)
    for key, array in episode.obs.items():
        _write_array(demo, f"obs/{key}", array)
        _write_array(demo, f"next_obs/{key}", np.concatenate([array[1:], array[-1:]]))


def _write_array(demo: h5py.Group, name: str, array: np.ndarray) -> None:
    """Images one by one, so that a window is read without its neighbours."""
    if array.ndim == 4 and array.dtype == np.uint8:
        demo.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), compression="gzip")
    else:
        demo[name] = array


def _record(episode: Episode) -> dict[str, Any]:
    known = ("id", "success", "source", "operator", "rate_hz")
    return {**{key: getattr(episode, key) for key in known}, "metadata": dict(episode.metadata)}


def _filter_keys(episode: Episode) -> list[str]:
    found = episode.metadata.get("filter_keys")
    names = found if isinstance(found, list) else []
    return [name for name in names if isinstance(name, str) and re.fullmatch(r"[\w.\-]+", name)]


def _said(store: EpisodeStore) -> tuple[str, ...]:
    records = [store.record(index) for index in range(len(store))]
    unjudged = sum(record.success is None for record in records)
    said = [
        "the observation after the last action, which is not known: next_obs repeats the last one there",
        "names, units and ranges of array elements: in the attribute 'imitate', unknown to robomimic",
    ]
    if unjudged:
        said.append(f"that nobody judged {unjudged} episodes: their rewards are 0, as those of failures")
    if not {"env_args", "robosuite"} & set(store.metadata):
        said.append("an environment that robomimic can make: env_args only names where the data come from")
    return tuple(said)
