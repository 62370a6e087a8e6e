"""imitate rollout: play a trained policy on fixed seeds and report its success with an interval.

    imitate rollout checkpoint=runs/pick episodes=50 seed=100000 out=runs/pick/rollout

writes rollout.json, videos/ and index.html to runs/pick/rollout. Episode i starts from seed + i. A result
depends on the checkpoint, the seeds and rollout.batch, not on the number of workers, so two policies that
played the same seeds can be set against each other with  imitate compare.

Keys:
    checkpoint          a run folder (its best) or one checkpoint file
    env                 the environment; by default the one the policy was trained for
    episodes, seed      how many episodes, and the seed of the first (evaluation starts at 100000)
    out                 the folder to write; what it holds of an earlier rollout is replaced at the end
    record              a store to make of the episodes (observations, actions, success), for  imitate curate
    videos              how many episodes to record, failures first; 0 for none
    device              auto, cpu, cuda or cuda:N
    policy.…            a setting of the trained policy to act with instead, such as policy.inference_steps=2
    rollout.workers     processes that step environments; 0 for none besides this one
    rollout.batch       environments played at the same time
    rollout.execution   strategy: receding, ensemble or continuous; action_steps; ensemble_decay; continuity
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.checkpoint import LoadedPolicy, load_policy
from imitate.cli.command import Outcome
from imitate.device import chosen_device
from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.evaluation.evaluate import Evaluation
from imitate.evaluation.folder import PAGE, VIDEOS, replacing
from imitate.evaluation.page import write_experiment_page
from imitate.evaluation.provenance import provenance
from imitate.evaluation.result import FILE_NAME, RolloutResult, save
from imitate.progress import Progress
from imitate.rollout import Recording, RolloutConfig, recording
from imitate.training.run import CONFIG


@dataclass(frozen=True)
class RolloutCommand:
    """The settings of `imitate rollout`; see the module."""

    checkpoint: str
    out: str
    env: EnvConfig | None
    episodes: int
    seed: int
    record: str | None
    videos: int
    device: str
    policy: Mapping[str, Any]
    rollout: RolloutConfig

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("seed", 0), ("videos", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least}")

    def run(self, progress: Progress) -> Outcome:
        """Roll out, write the folder, and give the figures."""
        device = chosen_device(self.device, "device")
        loaded = load_policy(self.checkpoint, device, self.policy)
        env = self._env(loaded)
        seeds = range(self.seed, self.seed + self.episodes)
        origin = provenance(loaded, env, self.rollout, device)
        with (
            self._recording(loaded, origin) as record,
            replacing(Path(self.out), (VIDEOS, PAGE, FILE_NAME)) as folder,
        ):
            evaluation = Evaluation(loaded.policy, env, seeds, self.rollout, device, record)
            result = evaluation.run(folder, self.videos, origin, progress)
            save(result, folder)
            videos = [folder / file for file in result.videos.values()]
            write_experiment_page(folder / PAGE, result, _run_folder(loaded), videos)
        lines = _lines(result, Path(self.out))
        return Outcome(result.to_json(), lines + ([f"recorded  {self.record}"] if self.record else []))

    def _recording(
        self, loaded: LoadedPolicy, origin: Mapping[str, Any]
    ) -> AbstractContextManager[Recording | None]:
        if self.record is None:
            return nullcontext()
        known = {key: origin[key] for key in ("env", "checkpoint_hash", "data_hash")}
        return recording(Path(self.record), f"rollout of {loaded.file}", known)

    def _env(self, loaded: LoadedPolicy) -> EnvConfig:
        env = self.env or loaded.info.env_config()
        if env is None:
            raise ConfigError(f"{loaded.file} does not say which environment it is for: add  env=…")
        return env


def _run_folder(loaded: LoadedPolicy) -> Path | None:
    """The folder of the run that made the checkpoint, where the file still lies in it."""
    folder = loaded.file.parent
    return folder if (folder / CONFIG).exists() else None


def _lines(result: RolloutResult, out: Path) -> list[str]:
    low, high = result.interval
    score_low, score_high = result.score_interval
    return [
        f"success   {result.success_rate:.3f}  [{low:.3f}, {high:.3f}] 95 %   "
        f"{result.successes} of {len(result.episodes)} episodes: {result.success_definition}",
        f"score     {result.mean_score:.3f}  [{score_low:.3f}, {score_high:.3f}] 95 %   {result.score_name}",
        f"speed     {result.timing['env_steps_per_s']:.0f} env steps/s, "
        f"{result.timing['policy_ms_per_call']:.1f} ms per policy call",
        f"result    {out / FILE_NAME}" + (f", {len(result.videos)} videos" if result.videos else ""),
        f"page      {out / PAGE}",
    ]
