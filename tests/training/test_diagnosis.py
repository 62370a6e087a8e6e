"""What a policy says about its training reaches the log, and warnings a person, once."""

from torch import Tensor

from imitate.policies.mode import ModeConfig
from imitate.policies.nets.mode_transformer import ModeTransformerConfig
from imitate.policies.nets.moe import MoeConfig
from imitate.policy import Horizons
from imitate.progress import Silent
from imitate.training.logs import read_log
from imitate.training.loop import train


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(trial, windows, **moe: object) -> tuple[list[str], list[dict[str, float]]]:
    denoiser = ModeTransformerConfig(width=8, layers=1, heads=1, moe=MoeConfig(**moe))  # type: ignore[arg-type]
    policy = ModeConfig(Horizons(obs_steps=2, pred_steps=4, action_steps=2), denoiser=denoiser)
    job, heard = trial(policy=policy, max_steps=40, log_every=5), Heard()
    train(job.learner, windows(), None, job.folder, progress=heard)
    return heard.lines, read_log(job.folder.path / "log.jsonl")


def test_usage_is_in_every_row_and_a_blind_router_is_named_once(trial, windows) -> None:
    lines, rows = run(trial, windows, router_std=1e-4)
    assert len(rows) == 8
    assert all(row["experts/layer0/used"] == 4 for row in rows)
    assert sum("hardly depends on the noise level" in line for line in lines) == 1


def test_a_router_that_tells_levels_apart_is_not_warned_about(trial, windows) -> None:
    lines, _ = run(trial, windows, router_std=3.0, balance_weight=0.1)
    assert lines == []


def test_a_policy_without_a_diagnosis_adds_nothing(trial, windows) -> None:
    job = trial(max_steps=5)
    train(job.learner, windows(), None, job.folder)
    (row,) = read_log(job.folder.path / "log.jsonl")
    assert not any(key.startswith("experts/") for key in row)
    values: dict[str, Tensor] = job.learner.policy.loss(windows().batch(0))
    assert set(values) == {"loss"}
