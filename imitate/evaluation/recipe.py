"""What a result says of how it was made, and the checkpoint it was made with."""

from dataclasses import dataclass
from pathlib import Path

from imitate.checkpoint import checkpoint_file, checkpoint_hash
from imitate.env import EnvConfig
from imitate.errors import CheckpointError, ConfigError, DataError
from imitate.evaluation.result import FILE_NAME, RolloutResult, load
from imitate.parts import from_json
from imitate.rollout import RolloutConfig

NEEDED = ("checkpoint", "checkpoint_hash", "env", "policy", "rollout")


@dataclass(frozen=True)
class Recipe:
    """A result in `file`, and its environment and settings as parts that can be built again."""

    file: Path
    result: RolloutResult
    env: EnvConfig
    config: RolloutConfig

    @classmethod
    def read(cls, path: Path | str) -> "Recipe":
        """From a rollout.json, or the folder that holds one.

        Raises DataError where it is none, does not say enough, or names parts that are not here.
        """
        file = Path(path)
        file = file / FILE_NAME if file.is_dir() else file
        result = load(file)
        absent = [key for key in NEEDED if not result.provenance.get(key)]
        if absent:
            raise DataError(f"{file} does not say its {absent[0]}, so it cannot be played again")
        try:
            env = from_json(result.provenance["env"], "env")
            config = from_json(result.provenance["rollout"], "rollout")
        except ConfigError as error:
            raise DataError(f"{file} was made by parts that are not here: {error}") from error
        return cls(file, result, env, config)

    def checkpoint(self, given: str | None) -> Path:
        """The file with the hash of the result: `given`, else where it was, else near the result.

        Raises CheckpointError where there is none.
        """
        wanted, named = self.result.provenance["checkpoint_hash"], self.result.provenance["checkpoint"]
        if given is not None:
            found = checkpoint_file(given)
            if checkpoint_hash(found) != wanted:
                raise CheckpointError(f"checkpoint={given} is not the one of {self.file}: its hash differs")
            return found
        there = Path(named)
        near = [path for folder in self.file.absolute().parents[:3] for path in _checkpoints_in(folder)]
        near.sort(key=lambda path: path.name != there.name)
        for path in [there, *near]:
            if path.is_file() and checkpoint_hash(path) == wanted:
                return path
        what = "has changed since then (its hash differs)" if there.is_file() else "is not there"
        raise CheckpointError(
            f"{named}, the checkpoint of {self.file}, {what}, and none near the result has its hash "
            f"{wanted[:12]}…: add  checkpoint=FILE"
        )


def _checkpoints_in(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("checkpoints/*.safetensors")])
