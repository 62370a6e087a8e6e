"""LeRobot's and robomimic's loaders on the same episodes, each in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from commands import say
from loading_episodes import CAMERAS, Case
from loading_ours import HORIZONS

from imitate.datasets.store import DemoStore

ROOT = Path(__file__).resolve().parents[2]
LEROBOT_PYTHON = ROOT / ".venv-lerobot/bin/python"
LEROBOT = "lerobot==0.4.4"
ROBOMIMIC_HOME = ROOT / ".venv-robomimic"
ROBOMIMIC = ("robomimic==0.3.0", "termcolor", "tensorboardX", "six")
BASELINES = Path(__file__).parent / "baselines"

Rates = dict[str, float]


def lerobot_rates(folder: Path, store: DemoStore, case: Case, seconds: float) -> Rates:
    """{"0": windows/s without workers, "2": with two}; {} where LeRobot cannot be installed or fails."""
    if not LEROBOT_PYTHON.exists() and not make_lerobot_environment():
        return {}
    settings = write_arrays(folder, store, case, seconds)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(ffmpeg_of_av(folder))}
    return _rates(
        "LeRobot", [str(LEROBOT_PYTHON), str(BASELINES / "lerobot_loading.py"), settings], environment
    )


def robomimic_rates(folder: Path, store: DemoStore, case: Case, seconds: float) -> Rates:
    """{"0": …, "2": …} of SequenceDataset with its cache as robomimic sets it; {} where it fails."""
    if not ROBOMIMIC_HOME.exists() and not make_robomimic_environment():
        return {}
    write_hdf5(folder / "demo.hdf5", store)
    settings = write_arrays(folder, store, case, seconds)
    environment = {**os.environ, "PYTHONPATH": str(ROBOMIMIC_HOME)}
    return _rates(
        "robomimic", [sys.executable, str(BASELINES / "robomimic_loading.py"), settings], environment
    )


def _rates(name: str, command: list[str], environment: dict[str, str]) -> Rates:
    say(f"measuring {name}'s loader")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        cause = (done.stderr.strip() or "?").splitlines()[-1]
        say(f"{name}'s loader failed, so there is no baseline: {cause}")
        return {}
    found: Rates = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def write_arrays(folder: Path, store: DemoStore, case: Case, seconds: float) -> str:
    """The episodes as .npy files and what to do with them as JSON; gives the latter's path."""
    for name in store.keys:
        if not (folder / f"{name}.npy").exists():
            np.save(folder / f"{name}.npy", store.array(name)[:])
    settings = {
        "keys": list(store.keys),
        "cameras": list(CAMERAS) if case.side else [],
        "steps": case.steps,
        "rate_hz": store.spec.rate_hz,
        "obs_steps": HORIZONS.obs_steps,
        "pred_steps": HORIZONS.pred_steps,
        "batch_size": case.batch_size,
        "seconds": seconds,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return str(folder / "settings.json")


def write_hdf5(path: Path, store: DemoStore) -> None:
    """robomimic's file: data/demo_i/{actions, obs/<name>}, uncompressed as robomimic writes it."""
    with h5py.File(path, "w") as file:
        for index, episode in enumerate(store.episodes()):
            group = file.create_group(f"data/demo_{index}")
            group.attrs["num_samples"] = len(episode)
            group["actions"] = episode.action
            for name, array in episode.obs.items():
                group[f"obs/{name}"] = array
        file["data"].attrs["total"] = store.steps


def ffmpeg_of_av(folder: Path) -> Path:
    """A folder where torchcodec, LeRobot's decoder, finds FFmpeg: the libraries inside PyAV's wheel."""
    links = folder / "ffmpeg"
    links.mkdir(exist_ok=True)
    for library in LEROBOT_PYTHON.parents[1].glob("lib/python3*/site-packages/av.libs/*.so*"):
        stem, _, version = library.name.partition(".so.")
        plain = f"{stem.partition('-')[0]}.so.{version.partition('.')[0]}"
        for name in (plain, library.name):
            if not (links / name).exists():
                (links / name).symlink_to(library)
    return links


def make_lerobot_environment() -> bool:
    home = LEROBOT_PYTHON.parents[1]
    say(f"making {home.name} with {LEROBOT} (several GB; once)")
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [str(LEROBOT_PYTHON), "-m", "pip", "install", "--quiet", LEROBOT],
    ):
        if subprocess.run(command, check=False).returncode != 0:
            say("LeRobot cannot be installed here, so there is no baseline")
            shutil.rmtree(home, ignore_errors=True)
            return False
    return True


def make_robomimic_environment() -> bool:
    """robomimic without its simulator in a folder of its own; torch and h5py are those of .venv."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(ROBOMIMIC_HOME),
    ]
    if subprocess.run([*command, *ROBOMIMIC], check=False).returncode == 0:
        return True
    say("robomimic cannot be installed here, so there is no baseline")
    shutil.rmtree(ROBOMIMIC_HOME, ignore_errors=True)
    return False
