"""Where numbers go: JSON lines always, TensorBoard where installed, Weights & Biases where asked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from imitate.errors import import_extra
from imitate.training.run import Position

LOG = "log.jsonl"

Row = Mapping[str, float]


class Log(Protocol):
    """Takes rows of numbers."""

    def write(self, step: int, row: Row) -> None:
        """Record `row` as measured when `step` steps were done."""


class JsonLog:
    """One JSON object per line, on disk as soon as it is written."""

    def __init__(self, path: Path, kept_rows: int) -> None:
        self.path = path
        # A run killed after its last save has rows of steps that are now done again.
        kept = read_log(path)[:kept_rows] if path.exists() else []
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in kept))
        unfinished.replace(path)

    def write(self, step: int, row: Row) -> None:
        """Append a line."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")


class TensorBoardLog:
    """Event files that TensorBoard shows."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # tensorboard is optional

        self.writer = SummaryWriter(str(folder), purge_step=resumed_step + 1 if resumed_step else None)

    def write(self, step: int, row: Row) -> None:
        """Add one point to every curve."""
        for name, value in row.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is left."""
        self.writer.close()


class WandbLog:
    """A run at Weights & Biases, one per run folder."""

    def __init__(self, project: str, folder: Path, config: Mapping[str, Any]) -> None:
        wandb = import_extra("wandb", "logging")
        self.run = wandb.init(project=project, name=folder.name, dir=str(folder), config=dict(config))

    def write(self, step: int, row: Row) -> None:
        """Send a row."""
        self.run.log(dict(row), step=step)

    def close(self) -> None:
        """Wait for what is left to be sent."""
        self.run.finish()


class Logs:
    """Several logs as one."""

    def __init__(self, logs: list[Log]) -> None:
        self.logs = logs

    def write(self, step: int, row: Row) -> None:
        """Write to each."""
        for log in self.logs:
            log.write(step, row)


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log.jsonl; a last line cut by a kill is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


@contextmanager
def open_logs(folder: Path, position: Position, wandb: str, config: Mapping[str, Any]) -> Iterator[Logs]:
    """Every log of the run in `folder`, continued from `position`; closed with the context."""
    with ExitStack() as stack:
        logs: list[Log] = [JsonLog(folder / LOG, position.log_rows)]
        try:
            board = TensorBoardLog(folder / "tb", position.step)
            stack.callback(board.close)
            logs.append(board)
        except ModuleNotFoundError:
            pass  # TensorBoard is not installed; the JSON lines hold the same.
        if wandb:
            remote = WandbLog(wandb, folder, config)
            stack.callback(remote.close)
            logs.append(remote)
        yield Logs(logs)
