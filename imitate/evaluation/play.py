"""One policy on one set of seeds: checked, played, and written to a folder."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imitate.checkpoint import LoadedPolicy
from imitate.env import EnvConfig
from imitate.errors import ConfigError
from imitate.evaluation.evaluate import Evaluation
from imitate.evaluation.folder import PAGE, VIDEOS, replacing
from imitate.evaluation.page import write_experiment_page
from imitate.evaluation.provenance import provenance
from imitate.evaluation.result import FILE_NAME, TABLE_NAME, RolloutResult, save
from imitate.evaluation.seeds import SeedCheck
from imitate.execution import require_rest
from imitate.instruction import unseen
from imitate.progress import Progress
from imitate.rollout import Player, Recording, RolloutConfig, recording, rollout
from imitate.rollout.listening import instructions
from imitate.training.run import CONFIG

TELL = "add  rollout.instruction='…'"


@dataclass(frozen=True)
class Play:
    """A policy and the episodes of `seeds` in `env`; `check` says whether their starts are new to it.

    told: what the policy will be told in words, nothing where it does not listen. player: who plays, this
    machine or a cluster.
    """

    loaded: LoadedPolicy
    env: EnvConfig
    seeds: range
    config: RolloutConfig
    device: torch.device
    check: SeedCheck
    told: tuple[str, ...] = ()
    player: Player = rollout

    @classmethod
    def of(
        cls,
        loaded: LoadedPolicy,
        env: EnvConfig | None,
        seeds: range,
        config: RolloutConfig,
        device: torch.device,
        player: Player = rollout,
    ) -> "Play":
        """The policy in `env`, by default the one it was trained for.

        Raises ConfigError without either, where `config` leaves nothing to go on with (require_rest), and
        where nobody tells a policy that listens what to do.
        """
        require_rest(config.execution, loaded.policy.plan_steps)
        env = env or loaded.info.env_config()
        if env is None:
            raise ConfigError(f"{loaded.file} does not say which environment it is for: add  env=…")
        told = instructions(loaded.policy.spec, env, config.instruction, TELL)
        return cls(loaded, env, seeds, config, device, SeedCheck.of(loaded.info, env, seeds), told, player)

    def notes(self) -> list[str]:
        """What a person should know before the episodes are played."""
        note = unseen(self.loaded.policy.spec, self.told)
        return [f"note: {note}"] if note else []

    def origin(self) -> dict[str, Any]:
        """The provenance of a result that is played now."""
        return provenance(self.loaded, self.env, self.config, self.device, self.check)

    def evaluation(self, record: Recording | None = None) -> Evaluation:
        """What plays the episodes; `record` takes their steps."""
        return Evaluation(
            self.loaded.policy, self.env, self.seeds, self.config, self.device, record, self.player
        )

    def into(
        self, out: Path, videos: int, progress: Progress, record: str | None = None, page: bool = True
    ) -> RolloutResult:
        """Play, and write rollout.json, episodes.csv, and where asked for videos and page into `out`.

        `record` is the path of a store to make of the episodes. What `out` held of an earlier rollout is
        replaced when all is done, and stays where anything fails.
        """
        names, origin = (VIDEOS, PAGE, TABLE_NAME, FILE_NAME), self.origin()
        with self._recording(record, origin) as steps, replacing(out, names) as folder:
            result = self.evaluation(steps).run(folder, videos, origin, progress)
            save(result, folder)
            if page:
                files = [folder / file for file in result.videos.values()]
                write_experiment_page(folder / PAGE, result, _run_folder(self.loaded), files)
        return result

    def _recording(
        self, record: str | None, origin: Mapping[str, Any]
    ) -> AbstractContextManager[Recording | None]:
        if record is None:
            return nullcontext()
        known = {key: origin[key] for key in ("env", "checkpoint_hash", "data_hash")}
        return recording(Path(record), f"rollout of {self.loaded.file}", known)


def _run_folder(loaded: LoadedPolicy) -> Path | None:
    """The folder of the run that made the checkpoint, where the file still lies in it."""
    near = [loaded.file.parent, loaded.file.parent.parent]
    return next((folder for folder in near if (folder / CONFIG).exists()), None)
